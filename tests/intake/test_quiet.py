"""Nothing of an upload reaches a log: the libraries below quote headers and paths when left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.intake.helpers import save
from tests.phantoms import SECRET, make_datasets, make_volume_image

PROGRAM = """
import sys
from pathlib import Path
from pipeline.errors import PipelineError
from pipeline.intake import open_upload, read_series
for number, upload in enumerate(sys.argv[2:]):
    try:
        study = open_upload(Path(upload), Path(sys.argv[1]) / str(number))
        read_series(study, study.series[0].key)
    except PipelineError:
        pass
"""


def test_broken_uploads_print_nothing(tmp_path: Path) -> None:
    datasets = make_datasets(make_volume_image(), StudyInstanceUID=f"1.2.{SECRET}", EchoTime="80.00000000000000001")
    whole = save(datasets, tmp_path / "Doe_Jane" / "whole")
    cut = save(datasets, tmp_path / "Doe_Jane" / "cut")
    for file in cut.iterdir():
        file.write_bytes(file.read_bytes()[:-300])
    broken = tmp_path / "Doe_Jane" / "broken.dcm"
    broken.write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 500)
    nifti = tmp_path / "Doe_Jane" / "broken.nii"
    nifti.write_bytes(b"\x5c\x01\0\0" + b"\xff" * 340 + b"n+1\0" + b"\0" * 99)
    uploads = [str(path) for path in (whole, cut, broken, nifti)]
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "cases"), *uploads]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
