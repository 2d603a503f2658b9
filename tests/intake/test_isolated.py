"""Hostile files end in one sentence, in a process of their own that is limited by the kernel."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import gdcm
import numpy as np
import pytest

from pipeline.errors import InputError, SeriesError
from pipeline.intake import LIMITS, decoded, isolated, open_upload, preselected, read_series
from pipeline.intake.answer import DIED
from pipeline.intake.isolated import ROOT, WORKER
from pipeline.intake.worker import TOO_MUCH, UNREADABLE
from tests.intake.helpers import read, write_nifti
from tests.phantoms import make_volume_image, write_dicom_series, zip_folder

pytestmark = pytest.mark.skipif(not isolated.CAN_FORK, reason="this system cannot fork")


def jpeg_ls_series(folder: Path, rows: int, columns: int) -> Path:
    """A series of JPEG-LS slices whose code streams declare another size than their headers; zipped."""
    for file in write_dicom_series(make_volume_image((64, 64, 6)), folder):
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(file))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLSLossless))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(str(file))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        content = file.read_bytes()
        at = content.index(b"\xff\xf7")  # start of frame: length (2), precision (1), rows (2), columns (2)
        assert content[at + 5 : at + 9] == (64).to_bytes(2, "big") * 2
        file.write_bytes(content[: at + 5] + rows.to_bytes(2, "big") + columns.to_bytes(2, "big") + content[at + 9 :])
    return zip_folder(folder)


@pytest.mark.parametrize("size", [65535, 30000])
def test_a_code_stream_larger_than_its_header_ends_in_one_sentence(size: int, tmp_path: Path) -> None:
    upload = jpeg_ls_series(tmp_path / "series", size, size)
    study = open_upload(upload, tmp_path / "case")
    began = time.monotonic()
    with pytest.raises(InputError):
        read_series(study, preselected(study).key)
    assert time.monotonic() - began < 20
    assert not [file for file in (tmp_path / "case").iterdir() if "decoded" in file.name]
    intact = jpeg_ls_series(tmp_path / "intact", 64, 64)
    assert read(intact, tmp_path / "next").image.GetSize() == (64, 64, 6)


def test_memory_is_limited(tmp_path: Path) -> None:
    upload = write_nifti(make_volume_image((200, 200, 100)), tmp_path / "a.nii.gz")
    study = open_upload(upload, tmp_path / "case")
    with pytest.raises(InputError, match=f"{TOO_MUCH}|{UNREADABLE}|{DIED}|damaged"):
        read_series(study, preselected(study).key, limits=replace(LIMITS, memory_bytes=8 << 20))
    assert read_series(study, preselected(study).key).image.GetSize() == (200, 200, 100)


def test_time_is_limited_and_nothing_is_left(tmp_path: Path) -> None:
    upload = tmp_path / "upload.zip"
    noise = np.random.default_rng(0).bytes(60_000_000)
    upload.write_bytes(b"\0" * 128 + b"DICM" + noise)
    began = time.monotonic()
    with pytest.raises(InputError, match=DIED):
        open_upload(upload, tmp_path / "case", limits=replace(LIMITS, wall_s=0.001))
    assert time.monotonic() - began < 5
    assert not list((tmp_path / "case").glob("*"))


def test_file_size_is_limited(tmp_path: Path) -> None:
    upload = write_nifti(make_volume_image((60, 60, 60)), tmp_path / "a.nii")
    with pytest.raises(InputError, match="cannot be read or stored"):
        open_upload(upload, tmp_path / "case", limits=replace(LIMITS, file_bytes=100_000))
    assert not list((tmp_path / "case").glob("*"))


def test_a_fault_keeps_its_class_and_its_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_dicom_series(make_volume_image((16, 16, 2)), tmp_path / "Doe_Jane")
    with pytest.raises(SeriesError):
        open_upload(tmp_path / "Doe_Jane", tmp_path / "case")
    (tmp_path / "Doe_Jane.zip").write_bytes(b"PK\x03\x04 no zip")
    with caplog.at_level(logging.INFO), pytest.raises(InputError, match=r"damaged|no NIfTI"):
        open_upload(tmp_path / "Doe_Jane.zip", tmp_path / "case2")
    assert "Doe" not in caplog.text
    assert "BadZipFile" in caplog.text


def test_a_worker_that_died_is_started_again(tmp_path: Path) -> None:
    upload = write_nifti(make_volume_image(), tmp_path / "a.nii.gz")
    open_upload(upload, tmp_path / "1")
    assert WORKER._process is not None
    os.kill(WORKER._process.pid, signal.SIGKILL)
    WORKER._process.wait()
    assert open_upload(upload, tmp_path / "2").kind == "nifti"


def test_visitors_are_served_at_once(tmp_path: Path) -> None:
    uploads = [write_nifti(make_volume_image((20 + n, 24, 12)), tmp_path / f"{n}.nii.gz") for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(lambda n: read(uploads[n], tmp_path / f"case{n}").image.GetSize()[0], range(8)))
    assert sizes == [20 + n for n in range(8)]


def test_only_a_few_forks_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = write_nifti(make_volume_image(), tmp_path / "a.nii.gz")
    running, most, lock, received = 0, 0, threading.Lock(), isolated._received

    def counted(source: socket.socket, until: float) -> bytes:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.1)
        with lock:
            running -= 1
        return received(source, until)

    monkeypatch.setattr(isolated, "_received", counted)
    with ThreadPoolExecutor(12) as pool:
        kinds = list(pool.map(lambda n: open_upload(upload, tmp_path / f"case{n}").kind, range(12)))
    assert kinds == ["nifti"] * 12
    assert 2 <= most <= isolated.AT_ONCE


def test_an_answer_that_drips_is_given_up() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        dripping = threading.Thread(target=lambda: [(theirs.send(b"x"), time.sleep(0.05)) for _ in range(30)])
        dripping.start()
        ours.settimeout(5)
        with pytest.raises(TimeoutError):
            isolated._received(ours, time.monotonic() + 0.3)
        dripping.join()


def test_the_worker_has_no_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("FIBROREVIEW_REVIEWS_TOKEN", "secret")
    assert "secret" not in isolated._plain_environment().values()
    assert not isolated.OWN_VARIABLE.match("FIBROREVIEW_REVIEWS_TOKEN")
    assert isolated.OWN_VARIABLE.match("FIBROREVIEW_SITE_KEY")


@pytest.mark.parametrize("array", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 4)), np.zeros((4, 4, 4), object)])
def test_a_decoded_series_of_another_kind_is_not_loaded(array: np.ndarray, tmp_path: Path) -> None:
    study = open_upload(write_nifti(make_volume_image(), tmp_path / "a.nii.gz"), tmp_path / "case")
    key = preselected(study).key
    read_series(study, key)
    np.save(tmp_path / "case" / f"decoded-{key}.npy", array)
    assert decoded.load(study.folder, key) is None


def test_the_worker_ends_with_its_server(tmp_path: Path) -> None:
    upload = write_nifti(make_volume_image(), tmp_path / "a.nii.gz")
    code = (
        "import os, sys; from pathlib import Path; from pipeline.intake import isolated;"
        "isolated.open_upload(Path(sys.argv[1]), Path(sys.argv[2]));"
        "print(isolated.WORKER._process.pid, flush=True); os._exit(9)"
    )
    command = [sys.executable, "-c", code, str(upload), str(tmp_path / "case")]
    pid = int(subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True, timeout=60).stdout)
    until = time.monotonic() + 10
    while _runs(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system has no handles of processes")
def test_a_fork_does_not_outlive_its_request() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with WORKER._fork(theirs):
            assert WORKER._process
            assert _waits(lambda: _forks(WORKER._process.pid) == 1)  # it waits for a request that never comes
        assert _waits(lambda: _forks(WORKER._process.pid) == 0)


def test_a_turn_is_not_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "TURN_S", 0.05)
    monkeypatch.setattr(WORKER, "_turns", threading.BoundedSemaphore(1))
    upload = write_nifti(make_volume_image((16, 16, 8)), tmp_path / "a.nii")
    with WORKER._turn(), pytest.raises(InputError, match="try again in a minute"):
        open_upload(upload, tmp_path / "case")
    assert open_upload(upload, tmp_path / "case").series


def test_what_a_killed_read_has_begun_to_write_is_deleted(tmp_path: Path) -> None:
    study = open_upload(write_nifti(make_volume_image((16, 16, 8)), tmp_path / "a.nii"), tmp_path / "case")
    (study.folder / ".part-0123-decoded.npy").write_bytes(b"half")
    with pytest.raises(InputError):
        read_series(study, "s99")
    assert not list(study.folder.glob(".part-*"))


def _forks(parent: int) -> int:
    """Number of living children of a process (Linux)."""
    return len(Path(f"/proc/{parent}/task/{parent}/children").read_text().split())


def _waits(condition: Callable[[], bool]) -> bool:
    """Whether a condition becomes true within 5 s."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return False
