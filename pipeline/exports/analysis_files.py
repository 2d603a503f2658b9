"""Write the files of one analysis, all or none."""

from __future__ import annotations

import json
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import SimpleITK as sitk

from pipeline.case import LIVER, Analysis
from pipeline.exports.analysis_json import analysis_json


def write_analysis(analysis: Analysis, folder: Path) -> None:
    """Write ``analysis.json``, ``liver_mask.nii.gz`` (uint8, 0 or 1), ``organs.nii.gz`` (uint8, values of
    ``pipeline.case``), ``report.pdf``, ``report.png`` and, of a network, ``heatmap.nii.gz`` (float32, 0-1) into
    ``folder``.

    The images lie on the input's own grid: axes permuted and flipped back, nothing resampled. The files of an earlier
    analysis in ``folder`` are replaced, others are left alone. ``analysis.json`` is written last: where it exists, the
    others are complete.

    Raises:
        OSError: the folder cannot be written; nothing new is left in it then.
    """
    started = time.perf_counter()
    existed = folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as undo:
        if not existed:
            undo.callback(folder.rmdir)
        # Staged inside the folder: it may be a mount of its own, and renames are atomic only within one file system.
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder, ignore_cleanup_errors=True) as name:
            staging = Path(name)
            _write_images(analysis, staging)
            _write_report(analysis, staging)
            timed = replace(analysis, timings_s=_timings(analysis, time.perf_counter() - started))
            text = json.dumps(analysis_json(timed), indent=1, ensure_ascii=False, allow_nan=False)
            (staging / "analysis.json").write_text(text + "\n", encoding="utf-8")
            for old in ("analysis.json", "heatmap.nii.gz"):
                (folder / old).unlink(missing_ok=True)
            for file in sorted(staging.iterdir(), key=lambda file: file.name == "analysis.json"):
                file.replace(folder / file.name)
        undo.pop_all()


def _timings(analysis: Analysis, write_s: float) -> dict[str, float]:
    """The stages in their order, then ``write`` and ``total``, the sum of all."""
    stages = {name: s for name, s in analysis.timings_s.items() if name not in ("write", "total")}
    before = analysis.timings_s.get("total", sum(stages.values()))
    return {**stages, "write": write_s, "total": before + write_s}


def _write_images(analysis: Analysis, folder: Path) -> None:
    organs = analysis.organs.labels
    liver = sitk.Cast(organs == LIVER, sitk.sitkUInt8)
    images = {"liver_mask": liver, "organs": sitk.Cast(organs, sitk.sitkUInt8)}
    if analysis.heatmap is not None:
        clamped = sitk.Clamp(analysis.heatmap.image, lowerBound=0.0, upperBound=1.0)
        images["heatmap"] = sitk.Cast(clamped, sitk.sitkFloat32)
    for name, image in images.items():
        native = sitk.DICOMOrient(image, analysis.volume.source.native_orientation)
        try:
            sitk.WriteImage(native, str(folder / f"{name}.nii.gz"), useCompression=True, compressionLevel=4)
        except RuntimeError as error:  # SimpleITK's own text holds the full path
            raise OSError("An image could not be written.") from error


def _write_report(analysis: Analysis, folder: Path) -> None:
    # Loads matplotlib, which the page does without until it writes its first report.
    from pipeline.exports.report import PNG_DPI, draw_report

    figure = draw_report(analysis)
    figure.savefig(folder / "report.pdf", metadata={"Title": f"FibroReview report {analysis.volume.source.case_id}"})
    figure.savefig(folder / "report.png", dpi=PNG_DPI)
