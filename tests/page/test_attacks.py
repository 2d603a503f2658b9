"""Attacks on a running page over HTTP, each found by somebody who tried."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.deploy.page_client import PageClient
from tests.page.served import Served, served
from tests.phantoms import make_volume_image, write_dicom_series

BOUNDARY = "--B\r\n"
END = b"\r\n--B--\r\n"
MULTIPART = "multipart/form-data; boundary=B"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        with served(folder) as page:
            yield page
    assert not [*folder.glob("fibroreview-images-*")], "an orderly stop deletes all images"


@pytest.fixture
def client(page: Served) -> PageClient:
    return PageClient(page.address)


def part(name: str, content: bytes) -> bytes:
    return f"{BOUNDARY}Content-Disposition: form-data; {name}\r\n\r\n".encode() + content + END


def upload(client: PageClient, body: bytes, content_type: str = MULTIPART) -> httpx.Response:
    return client.http.post("/gradio_api/upload", content=body, headers={"content-type": content_type})


def temporary(page: Served) -> list[Path]:
    """Files below the folder of the uploads."""
    return [file for file in page.log.parent.glob("fibroreview-images-*/uploads/**/*") if file.is_file()]


@pytest.mark.parametrize(
    "content_type", [f"{MULTIPART}; charset=punycode", f"{MULTIPART};x=y", "multipart/mixed; boundary=B", "text/plain"]
)
def test_no_upload_chooses_the_codec_of_its_names(client: PageClient, content_type: str) -> None:
    begin = time.monotonic()
    assert upload(client, part('name="x-"', b"4gq" + b"a" * 300_000), content_type).status_code == 400
    assert time.monotonic() - begin < 2


@pytest.mark.parametrize("name", ['name="files"', 'name="x"; filename="a"', 'name="x"', 'filename="a"', ""])
def test_parts_that_are_no_files_of_the_page_are_refused(client: PageClient, page: Served, name: str) -> None:
    before = temporary(page)
    assert upload(client, part(name, b"x" * 100_000)).status_code == 400
    assert temporary(page) == before


def test_a_cut_upload_leaves_nothing(client: PageClient, page: Served) -> None:
    before = temporary(page)
    address = urlsplit(page.address)
    head = part('name="files"; filename="Doe_Jane.nii"', b"x" * 200_000).removesuffix(END)
    for _ in range(5):
        with socket.create_connection((address.hostname, address.port)) as connection:
            request = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: {MULTIPART}\r\n"
            connection.sendall(f"{request}Content-Length: 900000\r\n\r\n".encode() + head)
            time.sleep(0.2)
    until = time.monotonic() + 5
    while temporary(page) != before and time.monotonic() < until:
        time.sleep(0.1)
    assert temporary(page) == before


def test_an_upload_leaves_its_file_alone(client: PageClient, page: Served) -> None:
    before = set(temporary(page))
    answer = client.http.post("/gradio_api/upload", files={"files": ("a.nii", b"x")})
    [path] = answer.json()
    assert set(temporary(page)) - before == {Path(path)}


def test_one_request_names_one_session(client: PageClient) -> None:
    many = "&".join(f"session_hash={number}" for number in range(3000))
    begin = time.monotonic()
    assert client.http.get(f"/robots.txt?{many}").status_code == 200
    assert client.http.get(f"/gradio_api/queue/data?{many}").status_code == 422
    assert client.http.get(f"/gradio_api/queue/data?session_hash={'x' * 65}").status_code == 422
    assert client.http.get("/gradio_api/queue/data?session_hash=nobody").status_code == 403
    assert time.monotonic() - begin < 5


def test_only_the_viewer_draws(client: PageClient) -> None:
    call = {"data": {}, "component_id": 99_999, "fn_name": "draw", "session_hash": client.session}
    assert client.http.post("/gradio_api/component_server", json=call).status_code == 422


def test_slices_of_another_visitors_case_are_not_drawn(client: PageClient, page: Served) -> None:
    client.press(label="NIfTI example")
    [volume] = page.log.parent.glob("fibroreview-images-*/served/*/volume.nii.gz")
    viewer = next(part["id"] for part in client.config["components"] if part["props"].get("elem_id") == "fr-viewer")
    wish = {"case": volume.parent.name}
    call = {"data": wish, "component_id": viewer, "fn_name": "draw", "session_hash": client.session}
    assert client.http.post("/gradio_api/component_server", json=call).status_code != 403
    other = PageClient(page.address)
    call["session_hash"] = other.session
    assert other.http.post("/gradio_api/component_server", json=call).status_code == 403
    file = f"/gradio_api/file={volume}"
    assert other.http.get(file).status_code == 403
    ranged = client.http.get(file, headers={"range": "bytes=5-2"})
    assert ranged.status_code == 200
    assert "cookie" not in ranged.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, 403),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, 200),
        ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, 200),
    ],
)
def test_requests_of_other_sites_without_an_origin_are_refused(
    page: Served, headers: dict[str, str], status: int
) -> None:
    assert httpx.get(f"{page.address}/config", headers=headers).status_code == status
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert httpx.get(page.address, headers=link).status_code == 200


def test_the_name_of_another_server_is_not_believed(page: Served) -> None:
    answer = httpx.get(f"{page.address}/config", headers={"x-gradio-server": "http://evil.org"})
    assert "evil.org" not in answer.text


def test_a_folder_of_thousands_of_files_opens(client: PageClient, tmp_path: Path) -> None:
    series = write_dicom_series(make_volume_image((40, 40, 12)), tmp_path / "series")
    names = [*((f"IM{number}", file.read_bytes()) for number, file in enumerate(series))]
    names += [(f"note{number}.txt", f"no image {number}".encode()) for number in range(2600)]
    paths: list[str] = []
    for first in range(0, len(names), 1000):  # as Gradio's page sends them
        files = [("files", one) for one in names[first : first + 1000]]
        answer = client.http.post("/gradio_api/upload", params={"upload_id": "u1"}, files=files)
        paths += answer.raise_for_status().json()
    assert len(paths) == len(names)
    event = client.event("fr-upload", "upload")
    meta = {"_type": "gradio.FileData"}
    sent = [
        {"path": path, "orig_name": name, "url": "x" * 150, "meta": meta}
        for path, (name, _) in zip(paths, names, strict=True)
    ]
    body = {"data": [None, sent, False], "fn_index": event["id"], "session_hash": client.session}
    assert "12 slices" in client.send(body)
