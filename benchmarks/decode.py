"""How long a DICOM series takes to read, first and again: ``python -m benchmarks.decode``. Medians in CPU seconds.

The page reads a series when it is opened and again when it is analysed. Measured on a synthetic abdomen of 512 x 512 x
120 voxels, one case with a folder of its own a run.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from pipeline.intake import open_upload, preselected, read_series
from tests.phantoms import make_volume_image, write_dicom_series, zip_folder

SIZE_XYZ = (512, 512, 120)
SPACING_MM_XYZ = (0.7, 0.7, 2.0)
Answer = TypeVar("Answer")


def main(runs: Annotated[int, typer.Option(min=1, help="Cases opened and read twice.")] = 3) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="fibroreview-decode-") as folder:
        write_dicom_series(make_volume_image(SIZE_XYZ, SPACING_MM_XYZ), Path(folder) / "series")
        upload = zip_folder(Path(folder) / "series")
        measured = [seconds_of_case(upload, Path(folder) / f"case{run}") for run in range(runs)]
    opened, first, second = (statistics.median(column) for column in zip(*measured, strict=True))
    print(f"opened in {opened:.2f} s, read in {first:.2f} s, read again in {second:.3f} s")
    print(f"read again takes {second / first:.3f} of the first; open and both reads {opened + first + second:.2f} s")


def seconds_of_case(upload: Path, folder: Path) -> tuple[float, float, float]:
    """CPU seconds to open the upload in an empty folder, to read its series, and to read it again."""
    opened, study = timed(lambda: open_upload(upload, folder))
    first, _ = timed(lambda: read_series(study, preselected(study).key))
    second, _ = timed(lambda: read_series(study, preselected(study).key))
    return opened, first, second


def timed(run: Callable[[], Answer]) -> tuple[float, Answer]:
    """CPU seconds of ``run``, which hardly depend on other processes, and its answer."""
    start = time.process_time()
    answer = run()
    return time.process_time() - start, answer


if __name__ == "__main__":
    typer.run(main)
