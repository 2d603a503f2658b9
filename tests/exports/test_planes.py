"""Hatches, slices and places of a doubtful outline, and their files for the viewer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.case import LIVER_MAY_BE_MISSING, MAY_BE_NO_LIVER, Analysis, MaskDoubt
from pipeline.exports.planes import PLANE_AXES, PLANE_BITS, hatch_bits, slice_runs
from pipeline.exports.viewer_files import described_doubts, overlay_files, write_viewer_overlays
from tests.builders import make_analysis


def doubtful() -> tuple[Analysis, np.ndarray]:
    """An analysis with two regions in doubt, and the doubt map: left, slices 6 to 8; right, slice 2."""
    analysis = make_analysis()
    values = np.zeros(analysis.volume.voxels.shape, np.uint8)
    values[6, 10:12, 30:34] = values[7, 10:16, 30:36] = values[8, 10:12, 30:34] = LIVER_MAY_BE_MISSING
    values[2, 4:8, 3:9] = MAY_BE_NO_LIVER
    image = sitk.GetImageFromArray(values)
    image.CopyInformation(analysis.volume.image)
    doubts = (MaskDoubt("missing", 6, 8, "left", 60.0, (32, 12, 7)), MaskDoubt("extra", 2, 2, "right", 20.0, (5, 6, 2)))
    return replace(analysis, organs=replace(analysis.organs, doubts=doubts, doubt_map=image)), values


@pytest.mark.parametrize("spacing_mm_zyx", [(7.0, 1.7, 1.7), (1.0, 1.0, 1.0), (6.0, 8.0, 8.0)])
def test_a_hatch_covers_a_part_of_the_region_in_every_plane(spacing_mm_zyx: tuple[float, float, float]) -> None:
    mask = np.zeros((24, 48, 48), bool)
    mask[2:22, 8:40, 8:40] = True
    bits = hatch_bits(mask, spacing_mm_zyx)
    assert not bits[~mask].any()
    for plane, axis in PLANE_AXES.items():
        drawn = np.moveaxis(bits & PLANE_BITS[plane] > 0, axis, 0)
        shares = drawn[np.moveaxis(mask, axis, 0).any(axis=(1, 2))].mean(axis=(1, 2)) / mask.any(axis=axis).mean()
        assert shares.min() > 0.15, plane
        assert shares.max() < 0.75, plane


def test_the_lines_of_a_hatch_are_equally_wide_and_run_at_an_angle() -> None:
    bits = hatch_bits(np.ones((1, 40, 60), bool), (7.0, 1.7, 1.7))[0] & PLANE_BITS["axial"]
    widths = {len(run) for run in np.split(np.arange(60), np.flatnonzero(np.diff(bits[0])) + 1)[1:-1]}
    assert len(widths) <= 2
    assert np.array_equal(bits[1:, :-1], bits[:-1, 1:])


def test_runs_of_slices() -> None:
    mask = np.zeros((8, 3, 5), bool)
    mask[[0, 1, 5], 1, 3] = True
    assert slice_runs(mask, "axial") == [[0, 1], [5, 5]]
    assert slice_runs(mask, "sagittal") == [[3, 3]]
    assert slice_runs(mask & False, "coronal") == []


def test_every_doubt_is_described_by_its_own_region() -> None:
    analysis, _ = doubtful()
    about = described_doubts(analysis.organs)
    left, right = about["doubts"]  # type: ignore[misc]
    assert left["words"] == "Check slices 7–9, left side: liver may be missing."
    assert left["slices"] == [6, 8]
    assert (left["at_xyz"], right["at_xyz"]) == ([32, 12, 7], [5, 6, 2])
    assert about["doubt_slices"] == {"coronal": [[4, 7], [10, 15]], "sagittal": [[3, 8], [30, 35]]}


def test_a_doubt_without_a_map_is_described_by_its_slices() -> None:
    analysis = make_analysis()
    organs = replace(analysis.organs, doubts=(MaskDoubt("extra", 0, 0, "both", 5.0, (3, 2, 0)),))
    about = described_doubts(organs)
    assert about["doubts"][0]["at_xyz"] == [3, 2, 0]  # type: ignore[index]
    assert about["doubt_slices"] == {"coronal": [], "sagittal": []}


def test_a_hatch_is_written_and_goes_with_the_next_analysis(tmp_path: Path) -> None:
    analysis, values = doubtful()
    about = write_viewer_overlays(analysis, tmp_path)
    assert about["files"]["doubt"] == "doubt.nii.gz"  # type: ignore[index]
    hatch = sitk.GetArrayFromImage(sitk.ReadImage(str(overlay_files(tmp_path)["doubt"])))
    assert hatch.any()
    assert not hatch[values == 0].any()
    about = write_viewer_overlays(make_analysis(), tmp_path)
    assert "doubt" not in about["files"]  # type: ignore[operator]
    assert "doubt" not in overlay_files(tmp_path)


def test_a_viewer_without_a_heat_map_says_why_and_shows_none_of_an_earlier_analysis(tmp_path: Path) -> None:
    analysis = make_analysis()
    about = write_viewer_overlays(analysis, tmp_path)
    assert ("heat" in about["files"], about["heat_note"]) == (True, "")  # type: ignore[operator]
    about = write_viewer_overlays(replace(analysis, heatmap=None), tmp_path)
    assert "heat" not in about["files"]  # type: ignore[operator]
    assert "heat" not in overlay_files(tmp_path)
    assert about["heat_note"] == "No heat map: this classifier uses hand-crafted features"
