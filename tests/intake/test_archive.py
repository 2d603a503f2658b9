"""Zips and folders: what is taken, what is refused, and that nothing is written where the archive wants it."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.intake import Budget, archive, open_upload, preselected
from pipeline.intake.archive import gather
from tests.intake.helpers import read, write_nifti
from tests.phantoms import make_volume_image, zip_folder


def make_zip(file: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return file


def test_zip_equals_folder(dicom_folder: Path, tmp_path: Path) -> None:
    (dicom_folder / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM broken directory")
    (dicom_folder / "readme.txt").write_text("viewer")
    from_zip = read(zip_folder(dicom_folder), tmp_path / "zip")
    from_folder = read(dicom_folder, tmp_path / "folder")
    assert np.array_equal(from_zip.voxels, from_folder.voxels)
    assert from_zip.source == from_folder.source


def test_upload_is_left_alone(dicom_folder: Path, case_folder: Path) -> None:
    upload = zip_folder(dicom_folder)
    before = upload.read_bytes()
    open_upload(upload, case_folder)
    assert upload.read_bytes() == before


def test_kind_is_recognised_by_content(tmp_path: Path) -> None:
    image = make_volume_image()
    packed = write_nifti(image, tmp_path / "a.nii.gz").rename(tmp_path / "upload.dat")
    plain = write_nifti(image, tmp_path / "b.nii").rename(tmp_path / "upload.nii.gz")
    assert np.array_equal(read(packed, tmp_path / "1").voxels, read(plain, tmp_path / "2").voxels)


def test_zip_of_one_nifti_is_taken_and_of_two_refused(tmp_path: Path) -> None:
    content = write_nifti(make_volume_image(), tmp_path / "a.nii.gz").read_bytes()
    one = make_zip(tmp_path / "one.zip", {"x/a.nii.gz": content, "notes.txt": b"T2"})
    two = make_zip(tmp_path / "two.zip", {"a.nii.gz": content, "b.nii.gz": content})
    assert open_upload(one, tmp_path / "1").kind == "nifti"
    with pytest.raises(InputError, match="2 NIfTI files"):
        open_upload(two, tmp_path / "2")


def test_names_of_members_are_not_followed(dicom_folder: Path, tmp_path: Path) -> None:
    files = [p.read_bytes() for p in sorted(dicom_folder.rglob("IM*"))]
    names = [f"../../escape{n}" if n % 2 else f"/tmp/../{tmp_path}/absolute{n}" for n in range(len(files))]
    upload = make_zip(tmp_path / "upload.zip", dict(zip(names, files, strict=True)))
    before = set(tmp_path.rglob("*"))
    study = open_upload(upload, tmp_path / "room" / "case")
    assert preselected(study).slices == len(files)
    new = set(tmp_path.rglob("*")) - before - {tmp_path / "room", tmp_path / "room" / "case"}
    assert {p.parent for p in new} == {tmp_path / "room" / "case"}
    assert {p.name for p in new} == {*(f"{n:05d}.dcm" for n in range(len(files))), "index.json"}


def test_bomb_stops_at_the_budget(case_folder: Path, tmp_path: Path) -> None:
    bomb = make_zip(tmp_path / "bomb.zip", {"a": b"\0" * 128 + b"DICM" + b"\0" * 50_000_000})
    assert bomb.stat().st_size < 100_000
    with pytest.raises(InputError, match="unfolds"):
        open_upload(bomb, case_folder, budget=Budget(max_bytes=4_000_000))
    assert sum(p.stat().st_size for p in case_folder.iterdir()) <= 4_000_000


def test_budget_does_not_trust_the_declared_size(case_folder: Path, tmp_path: Path) -> None:
    bomb = make_zip(tmp_path / "bomb.zip", {"a": b"\0" * 128 + b"DICM" + b"\0" * 8_000_000})
    content = bytearray(bomb.read_bytes())
    declared = (8_000_132).to_bytes(4, "little")
    assert content.count(declared) == 2  # local header and directory
    bomb.write_bytes(content.replace(declared, (200).to_bytes(4, "little")))
    with pytest.raises(InputError):
        open_upload(bomb, case_folder, budget=Budget(max_bytes=1_000_000))
    assert sum(p.stat().st_size for p in case_folder.iterdir()) <= 1_000_000


def test_too_many_members(case_folder: Path, tmp_path: Path) -> None:
    upload = make_zip(tmp_path / "many.zip", {str(n): b"" for n in range(30)})
    with pytest.raises(InputError, match="more than 20 files"):
        open_upload(upload, case_folder, budget=Budget(max_members=20))


def zip_with_link() -> bytes:
    buffer, link = io.BytesIO(), zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr(link, "/etc/passwd")
    return buffer.getvalue()


def zip_of(content: bytes, name: str = "a.dcm") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr(name, content)
    return buffer.getvalue()


def encrypted() -> bytes:
    content = bytearray(zip_of(b"secret"))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (zip_with_link(), "links"),
        (zip_of(zip_of(b"inner")), "another zip"),
        (encrypted(), "password"),
        (zip_of(b"text", "report.txt"), "The zip holds no NIfTI or DICOM image"),
        (zip_of(b"")[:-30], "damaged"),
        (b"", "whatever its name says"),
        (b"\x89PNG....", "whatever its name says"),
        (b"\x1f\x8bgarbage", "whatever its name says"),
        (gzip.compress(b"a letter"), "whatever its name says"),
        (b"\0" * 128 + b"DICM" + b"\xff" * 500, "damaged|no image"),
    ],
    ids=["link", "nested", "encrypted", "no image", "cut zip", "empty", "png", "gzip", "packed text", "broken dicom"],
)
def test_what_cannot_be_read_is_refused_with_advice(
    content: bytes, says: str, tmp_path: Path, case_folder: Path
) -> None:
    upload = tmp_path / "Doe_Jane_1951.zip"
    upload.write_bytes(content)
    with pytest.raises(InputError, match=says) as refused:
        open_upload(upload, case_folder)
    assert "Doe" not in str(refused.value)
    assert str(tmp_path) not in str(refused.value)


def test_a_folder_without_images_is_refused(tmp_path: Path, case_folder: Path) -> None:
    folder = tmp_path / "Doe_Jane"
    folder.mkdir()
    (folder / "letter.txt").write_text("no image")
    with pytest.raises(InputError, match="The folder holds no NIfTI or DICOM image") as refused:
        open_upload(folder, case_folder)
    assert "Doe" not in str(refused.value)


def test_missing_upload(tmp_path: Path, case_folder: Path) -> None:
    with pytest.raises(InputError, match="cannot be read") as refused:
        open_upload(tmp_path / "Doe_Jane.zip", case_folder)
    assert "Doe" not in str(refused.value)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_that_take_gigabytes_are_refused(method: int, case_folder: Path, tmp_path: Path) -> None:
    upload = tmp_path / "upload.zip"
    with zipfile.ZipFile(upload, "w", method) as packed:
        packed.writestr("a", b"\0" * 128 + b"DICM")
    with pytest.raises(InputError, match="unusual compression"):
        open_upload(upload, case_folder)


@pytest.mark.parametrize("zip64", [False, True])
def test_a_large_directory_is_refused_before_it_is_parsed(zip64: bool, case_folder: Path, tmp_path: Path) -> None:
    """The end of the directory alone decides; nothing before it is a zip."""
    count = 3_000_000
    end = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF if zip64 else 60_000, 0xFFFFFFFF, 0, 0)
    record = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, count * 46, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 4, 1)
    upload = tmp_path / "upload.zip"
    upload.write_bytes(b"PK\x03\x04" + ((record + locator) if zip64 else b"") + end)
    with pytest.raises(InputError, match="more than 10,000 files"):
        gather(upload, case_folder)


def test_a_directory_that_hides_its_number_of_entries_is_refused(case_folder: Path, tmp_path: Path) -> None:
    upload = make_zip(tmp_path / "many.zip", {f"{n:0200d}": b"" for n in range(60)})
    content = bytearray(upload.read_bytes())
    content[-12:-10] = (3).to_bytes(2, "little")  # entries in all, where there are 60
    upload.write_bytes(content)
    with pytest.raises(InputError, match="more than 20 files"):
        gather(upload, case_folder, budget=Budget(max_members=20))


def test_a_small_zip_does_not_unfold_to_all_of_the_budget(
    case_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "FREE_BYTES", 1_000_000)
    bomb = make_zip(tmp_path / "bomb.zip", {"a": b"\0" * 128 + b"DICM" + b"\0" * 30_000_000})
    with pytest.raises(InputError, match="unfolds"):
        gather(bomb, case_folder)
    assert sum(p.stat().st_size for p in case_folder.iterdir()) <= 200 * bomb.stat().st_size
    plain = make_zip(tmp_path / "plain.zip", {"a": b"\0" * 128 + b"DICM" + bytes(range(256)) * 3000})
    assert len(gather(plain, tmp_path / "other").dicom) == 1


def directory_of(count: int) -> tuple[bytes, int, int]:
    """A zip of so many empty members up to the end of its directory; size and place of the directory."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for number in range(count):
            packed.writestr(f"{number:04d}", b"")
    content = buffer.getvalue()[:-22]
    size, place = struct.unpack_from("<LL", buffer.getvalue(), len(content) + 12)
    return content, size, place


def test_an_end_within_the_end_of_the_directory_hides_nothing(case_folder: Path, tmp_path: Path) -> None:
    body, size, place = directory_of(60)
    end = struct.pack("<4s4sHHLLH", b"PK\x05\x06", b"PK\x05\x06", 1, 1, size, place, 0)
    (tmp_path / "upload.zip").write_bytes(body + end)
    with pytest.raises(InputError, match="more than 2 files"):
        archive._check_directory(tmp_path / "upload.zip", Budget(max_members=2))
    with pytest.raises(InputError):
        gather(tmp_path / "upload.zip", case_folder, budget=Budget(max_members=20))


def test_a_locator_that_points_elsewhere_hides_nothing(tmp_path: Path) -> None:
    body, size, place = directory_of(60)

    def record(entries: int, length: int, start: int) -> bytes:
        return struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, length, start)

    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    end = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, 1, 1, 46, 0, 0)
    (tmp_path / "upload.zip").write_bytes(record(1, 46, 0) + body + record(60, size, place) + locator + end)
    with pytest.raises(InputError, match="more than 2 files"):
        archive._check_directory(tmp_path / "upload.zip", Budget(max_members=2))
