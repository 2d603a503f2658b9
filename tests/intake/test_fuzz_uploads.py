"""Uploads with damaged bytes: each ends in a study whose series can be read, or in one sentence, and leaves nothing."""

from __future__ import annotations

import gzip
import io
import random
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.intake import isolated, open_upload, read_series
from pipeline.intake.isolated import WORKER
from tests.intake.helpers import write_nifti
from tests.intake.test_isolated import jpeg_ls_series
from tests.phantoms import make_volume_image, write_dicom_series, write_enhanced
from tests.shared import SHARED

pytestmark = pytest.mark.skipif(not isolated.CAN_FORK, reason="this system cannot fork")

LONGEST_S = 20.0
MOST_SHARED_BYTES = 3_000_000
EXTREMES = [
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    0x7F800000,
    0x7FC00000,
]
"""Numbers at which ranges end; the last two are infinity and NaN as float32."""
COUNTS = [pytest.param(300, id="short"), pytest.param(10_000, id="long", marks=pytest.mark.slow)]


def seeds(folder: Path) -> list[bytes]:
    """Intact uploads of every kind: made here, and real ones where they are beside this checkout."""
    folder.mkdir()
    image = make_volume_image((24, 20, 10))
    made = [
        write_nifti(image, folder / "a.nii"),
        write_nifti(image, folder / "b.nii.gz"),
        write_enhanced(image, folder / "enhanced.dcm"),
        jpeg_ls_series(folder / "jpegls", 64, 64),
    ]
    write_dicom_series(image, folder / "series")
    made.append(zipped(sorted((folder / "series").iterdir()), folder / "stored.zip", zipfile.ZIP_STORED))
    made.append(zipped(sorted((folder / "series").iterdir()), folder / "packed.zip", zipfile.ZIP_DEFLATED))
    for real in ("dicom/transfer_syntaxes", "dicom/dicom2nifti/generic", "nifti"):
        for path in sorted((SHARED / real).rglob("*")) if SHARED.is_dir() else ():
            if path.is_file() and path.stat().st_size < MOST_SHARED_BYTES:
                made.append(path)
    return [path.read_bytes() for path in made]


def zipped(files: list[Path], target: Path, method: int) -> Path:
    with zipfile.ZipFile(target, "w", method) as packed:
        for file in files:
            packed.write(file, file.name)
    return target


def flip(data: bytearray, draw: random.Random) -> None:
    """Some bytes anywhere, mostly near the beginning, where headers are."""
    for _ in range(draw.choice([1, 1, 2, 8, 64])):
        end = min(len(data), draw.choice([400, 4000, len(data)]))
        data[draw.randrange(end)] = draw.randrange(256)


def extreme(data: bytearray, draw: random.Random) -> None:
    """A number of 2 or 4 bytes becomes one at which ranges end."""
    at = draw.randrange(max(1, min(len(data), draw.choice([400, 4000, len(data)])) - 4))
    width = draw.choice([2, 4])
    data[at : at + width] = (draw.choice(EXTREMES) & (256**width - 1)).to_bytes(width, draw.choice(["little", "big"]))


def cut(data: bytearray, draw: random.Random) -> None:
    del data[draw.randrange(len(data)) :]


def remove(data: bytearray, draw: random.Random) -> None:
    at = draw.randrange(len(data))
    del data[at : at + draw.choice([1, 2, 16, 1000])]


def repeat(data: bytearray, draw: random.Random) -> None:
    at, size = draw.randrange(len(data)), draw.choice([1, 8, 132, 5000])
    data[at:at] = data[at : at + size] * draw.choice([1, 2, 50])


FAULTS: list[Callable[[bytearray, random.Random], None]] = [flip, flip, extreme, extreme, extreme, cut, remove, repeat]


def damaged(upload: bytes, draw: random.Random) -> bytes:
    """The upload with one to three faults, within a compression or around it."""
    is_gzip, is_zip = upload.startswith(b"\x1f\x8b"), upload.startswith(b"PK")
    if is_gzip and draw.random() < 0.7:
        return gzip.compress(damaged(gzip.decompress(upload), draw), 1)
    if is_zip and draw.random() < 0.7:
        return with_damaged_members(upload, draw)
    data = bytearray(upload)
    for _ in range(draw.choice([1, 1, 2, 3])):
        if data:
            draw.choice(FAULTS)(data, draw)
    return bytes(data)


def with_damaged_members(upload: bytes, draw: random.Random) -> bytes:
    target, every = io.BytesIO(), draw.random() < 0.3
    with zipfile.ZipFile(io.BytesIO(upload)) as source, zipfile.ZipFile(target, "w") as packed:
        names = source.namelist()
        chosen, seed = draw.choice(names), draw.random()
        for name in names:
            content = source.read(name)
            # The same fault in every member keeps a series together.
            fault = random.Random(seed) if every else draw
            packed.writestr(name, damaged(content, fault) if every or name == chosen else content)
    return target.getvalue()


def outcome(upload: Path, case: Path) -> str | None:
    """The sentence that a visitor gets; None where every series was read."""
    try:
        study = open_upload(upload, case)
        for series in study.series:
            assert read_series(study, series.key).voxels.size > 0
    except PipelineError as error:
        return str(error)
    return None


@pytest.mark.parametrize("count", COUNTS)
def test_damaged_uploads_end_in_a_study_or_one_sentence(count: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    intact, outcomes = seeds(folder / "seeds"), [0, 0]
    upload, case = folder / "upload", folder / "case"
    upload.write_bytes(intact[0])
    assert outcome(upload, case) is None  # and the worker runs
    shutil.rmtree(case)
    for number in range(count):
        draw = random.Random(number)
        upload.write_bytes(damaged(draw.choice(intact), draw))
        began = time.monotonic()
        said = outcome(upload, case)
        outcomes[bool(said)] += 1
        assert said is None or (said and str(folder) not in said), f"upload {number}"
        assert time.monotonic() - began < LONGEST_S, f"upload {number}"
        shutil.rmtree(case, ignore_errors=True)
        assert {path.name for path in folder.iterdir()} == {"seeds", "upload"}, f"upload {number}"
    assert min(outcomes) > count / 20, f"{outcomes[0]} studies, {outcomes[1]} refusals: the faults do not reach far"


def test_the_worker_reports_what_nobody_foresaw(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """An exception that is none of ours is one sentence as well, and its class is in the log."""
    upload = write_nifti(make_volume_image(), tmp_path / "Doe_Jane.nii")
    study = open_upload(upload, tmp_path / "case")
    with caplog.at_level("INFO"), pytest.raises(PipelineError):
        WORKER.ask({"call": "read_series", "study": {"kind": "nifti"}, "key": study.series[0].key}, isolated.LIMITS)
    assert "ValidationError" in caplog.text
    assert "Doe" not in caplog.text
