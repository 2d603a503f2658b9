"""HTTP: headers, own names and origins only, open routes, and sessions that belong to one browser."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.page.server.own_session import MOST_UNOPENED
from pipeline.page.server.routes import viewer_scripts
from pipeline.page.server.visitors import COOKIE, Visitors
from pipeline.page.state.open_cases import NO_ROOM, DiskBudget, OpenCases
from tests.page.server import client as client_module
from tests.page.server.client import client_for, visit


def test_scripts_health_and_headers(cases: OpenCases) -> None:
    client = client_for(cases)
    assert client.get("/healthz").json() == {"status": "ok"}
    script = client.get("/viewer/viewer.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "frame-ancestors 'self'" in script.headers["content-security-policy"]
    assert script.headers["x-content-type-options"] == "nosniff"
    assert script.headers["cross-origin-resource-policy"] == "same-origin"
    assert client.get("/viewer/niivue.js").status_code == 404
    assert client.get("/viewer/../style.css").status_code == 404


def test_every_script_that_a_script_imports_is_served(cases: OpenCases) -> None:
    client = client_for(cases)
    waiting, served = ["viewer.js"], set[str]()
    while waiting:
        name = waiting.pop()
        answer = client.get(f"/viewer/{name}")
        assert answer.status_code == 200, name
        served.add(name)
        found = re.findall(r'^import .* from "(.+)";$', answer.text, re.MULTILINE)
        imported = {posixpath.normpath(posixpath.join(posixpath.dirname(name), address)) for address in found}
        waiting += imported - served - set(waiting)
    assert served == set(viewer_scripts()), "no script lies there unused"


def test_own_headers_are_on_files(cases: OpenCases) -> None:
    client = client_for(cases)
    assert client.get("/gradio_api/file=x").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:7860", 200),
        ("127.0.0.1", 200),
        ("[::1]:7860", 200),
        ("LIVER.example.org", 200),
        ("liver.example.org.", 200),
        ("evil.org", 403),
        ("liver.example.org.evil.org", 403),
        ("evil.org@localhost", 403),
        ("localhost:x", 403),
        ("", 403),
    ],
)
def test_only_own_names_are_answered(cases: OpenCases, host: str, status: int) -> None:
    client = client_for(cases, hosts=frozenset({"liver.example.org"}))
    assert client.get("/config", headers={"host": host}).status_code == status
    assert client.get("/healthz", headers={"host": host}).status_code == 200
    assert client.get("/", headers={"host": host}).status_code == status
    on_space = client_for(cases, public=True)  # which checks by itself, under a name of its own, whether it is up
    assert on_space.get("/", headers={"host": host}).status_code == 200
    assert on_space.get("/config", headers={"host": "evil.org"}).status_code == 403


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:7860", "http://localhost:7860", 200),
        ("localhost:7860", "http://localhost:9999", 403),
        ("localhost:7860", "https://evil.org", 403),
        ("localhost:7860", "null", 403),
        ("localhost:7860", "http://localhost:7860.evil.org", 403),
        ("liver.example.org", "https://liver.example.org", 200),
        ("127.0.0.1:7860", "https://liver.example.org", 200),
        ("liver.example.org", "https://example.org", 403),
        ("liver.example.org", "http://liver.example.org:8080", 403),
        ("127.0.0.1:7860", "https://liver.example.org:9443", 403),
        ("other.example.org", "https://other.example.org:8443", 200),
        ("other.example.org", "https://other.example.org", 200),
        ("liver.example.org", "https://x@liver.example.org", 403),
    ],
)
def test_pages_of_other_sites_are_refused(cases: OpenCases, host: str, origin: str, status: int) -> None:
    client = client_for(cases, hosts=frozenset({"liver.example.org", "other.example.org:8443"}))
    headers = {"host": host, "origin": origin}
    body = {"data": [], "fn_index": 0, "session_hash": "s"}
    assert client.post("/gradio_api/queue/join", headers=headers, json=body).status_code == status
    assert client.get("/config", headers=headers).status_code == status


def test_a_plain_page_may_not_call_one_that_is_served_over_tls(cases: OpenCases) -> None:
    client = client_for(cases, base="https://localhost", hosts=frozenset({"liver.example.org"}))
    for origin, status in (("https://liver.example.org", 200), ("http://liver.example.org", 403)):
        headers = {"host": "liver.example.org", "origin": origin}
        assert client.get("/config", headers=headers).status_code == status


FORGED = {
    "x-forwarded-host": "evil.org",
    "x-forwarded-proto": "https",
    "forwarded": "host=evil.org",
    "x-forwarded-prefix": "/evil",
}


def test_what_a_stranger_says_of_the_address_is_not_believed(cases: OpenCases) -> None:
    hosts = frozenset({"liver.example.org"})
    assert "forwarded" not in client_for(cases, hosts=hosts).get("/config", headers=FORGED).text
    named = client_for(cases, hosts=hosts).get("/config", headers={"x-forwarded-host": "liver.example.org"})
    assert "x-forwarded-host=liver.example.org" in named.text
    on_space = client_for(cases, hosts=hosts, public=True).get("/config", headers=FORGED).text
    assert "x-forwarded-proto=https" in on_space
    assert "evil" not in on_space


@pytest.mark.parametrize(
    "path",
    [
        "gradio_api/deep_link?session_hash=a",
        "gradio_api/proxy=http://127.0.0.1/",
        "gradio_api/run/predict",
        "gradio_api/call/save",
        "gradio_api/openapi.json",
        "gradio_api/file/etc/passwd",
        "gradio_api/process_recording",
        "gradio_api/stream/a/b/1/playlist.m3u8",
        "gradio_api/vibe-edit",
        "monitoring",
        "monitoring/summary",
        "login",
        "runs",
        "gradio_api/runs",
    ],
)
def test_routes_that_the_page_does_not_use_are_closed(cases: OpenCases, path: str) -> None:
    client = client_for(cases)
    assert client.get(f"/{path}").status_code == client.post(f"/{path}").status_code == 404


CALLS = [
    ("GET", "/gradio_api/queue/data?session_hash=s", None),
    ("GET", "/gradio_api/heartbeat/s", None),
    ("POST", "/gradio_api/queue/join", {"data": [], "fn_index": 0, "session_hash": "s"}),
    ("POST", "/gradio_api/component_server", {"data": {}, "component_id": 4, "fn_name": "draw", "session_hash": "s"}),
    ("POST", "/gradio_api/cancel", {"session_hash": "s", "fn_index": 0, "event_id": "e"}),
    ("POST", "/gradio_api/reset", {"session_hash": "s", "event_id": "e"}),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS, ids=[path for _, path, _ in CALLS])
def test_a_session_belongs_to_the_browser_that_began_it(
    cases: OpenCases, method: str, path: str, body: dict[str, Any] | None
) -> None:
    client = client_for(cases)
    mine = visit(client)
    client.get("/gradio_api/heartbeat/s")
    call = {"json": body} if body else {}
    answer = client.request(method, path, **call)
    assert answer.text.startswith("reached")
    other = visit(client)
    assert other != mine
    assert client.request(method, path, **call).status_code == 403
    client.cookies.clear()
    assert client.request(method, path, **call).status_code == 403
    client.cookies.set(COOKIE, mine)
    assert client.request(method, path, **call).status_code == 200


def test_a_page_opened_again_keeps_its_cookie(cases: OpenCases) -> None:
    client = client_for(cases)
    visit(client)
    assert "set-cookie" not in client.get("/").headers


def test_in_a_frame_of_a_space_the_cookie_is_a_partitioned_one(cases: OpenCases) -> None:
    client = client_for(cases, public=True)
    assert "SameSite=None; Partitioned; Secure" in client.get("/").headers["set-cookie"]
    plain = client_for(cases).get("/").headers["set-cookie"]
    assert "SameSite=Lax" in plain
    assert "Secure" not in plain
    assert "Secure" in client_for(cases, base="https://localhost").get("/").headers["set-cookie"]


def test_files_of_a_case_are_for_its_visitor(cases: OpenCases) -> None:
    client = client_for(cases)
    visit(client)
    client.get("/gradio_api/heartbeat/mine")
    case = cases.open("mine", "")
    address = f"/gradio_api/file={case.served / 'a.nii'}"
    assert client.get(address).status_code == 200
    assert client.get(f"/gradio_api/file={case.private / 'a.nii'}").status_code == 403
    assert client.get(f"/gradio_api/file={cases.uploads}/hash/a.nii").status_code == 403
    visit(client)
    assert client.get(address).status_code == 403


def test_an_upload_is_noted_as_its_visitors(cases: OpenCases) -> None:
    visitors = Visitors()
    client = client_for(cases, visitors)
    mine = visit(client).partition(".")[0]
    client.post("/gradio_api/upload", files={"files": b"x"})
    assert visitors.claim(Path("/tmp/uploads/hash/a.nii"), "b" * 32) is None
    assert visitors.claim(Path("/tmp/uploads/hash/a.nii"), mine) is True
    assert visitors.claim(Path("/tmp/uploads/hash/a.nii"), mine) is None


def test_health_is_an_error_where_the_models_failed(cases: OpenCases, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_for(cases)
    monkeypatch.setattr(client_module, "HEALTH", ["failed"])
    assert client.get("/healthz").status_code == 503


def test_uploads_are_refused_while_there_is_no_room() -> None:
    cases = OpenCases(keep_s=100, budget=DiskBudget(total_bytes=1000))
    client = client_for(cases)
    visit(client)
    case = cases.open("a")
    (case.private / "a").write_bytes(b"x" * 400)
    assert client.post("/gradio_api/upload", files={"files": b"x"}).status_code == 200
    (case.private / "b").write_bytes(b"x" * 1001)
    refused = client.post("/gradio_api/upload", files={"files": b"x"})
    assert (refused.status_code, refused.text) == (507, NO_ROOM)
    cases.close()


def test_a_visitor_leaves_only_a_few_uploads_unopened(cases: OpenCases) -> None:
    visitors = Visitors()
    client = client_for(cases, visitors)
    mine = visit(client).partition(".")[0]
    files = [cases.uploads / str(number) for number in range(MOST_UNOPENED)]
    for file in files:
        file.write_bytes(b"x")
        visitors.uploaded([file], mine)
    assert client.post("/gradio_api/upload", files={"files": b"x"}).status_code == 429
    files[0].unlink()  # opened, or deleted by time
    assert client.post("/gradio_api/upload", files={"files": b"x"}).status_code == 200
    visit(client)
    assert client.post("/gradio_api/upload", files={"files": b"x"}).status_code == 200


def test_the_page_on_what_is_stored_names_the_settings(cases: OpenCases) -> None:
    text = client_for(cases, keep_case_s=1800.0, reviews_dataset="owner/reviews", public=True).get("/privacy").text
    assert "0.5 hours without use" in text
    assert "owner/reviews" in text
    assert "de-identified" in text
    assert "A liver outline that you correct" in text
    plain = client_for(cases).get("/privacy").text
    assert "2 hours without use" in plain
    assert "Hugging Face" not in plain
