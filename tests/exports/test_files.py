from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.case import LIVER, HeatMap, MaskDoubt
from pipeline.exports import analysis_json, write_analysis
from tests.builders import make_analysis

FILES = {"analysis.json", "liver_mask.nii.gz", "organs.nii.gz", "heatmap.nii.gz", "report.pdf", "report.png"}


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """The files of one analysis whose input was sagittal, so that its grid differs from LPS in every axis."""
    folder = tmp_path_factory.mktemp("exports") / "case"
    write_analysis(make_analysis(native_orientation="PIR"), folder)
    return folder


def test_all_files_and_no_others_are_written(written):
    assert {file.name for file in written.iterdir()} == FILES
    assert (written / "report.pdf").read_bytes().startswith(b"%PDF")
    assert (written / "report.png").read_bytes().startswith(b"\x89PNG")


def test_images_lie_on_the_grid_of_the_input(written):
    analysis = make_analysis(native_orientation="PIR")
    native = sitk.DICOMOrient(analysis.volume.image, "PIR")
    for name in ("liver_mask", "organs", "heatmap"):
        image = sitk.ReadImage(str(written / f"{name}.nii.gz"))
        assert image.GetSize() == native.GetSize()
        np.testing.assert_allclose(image.GetSpacing(), native.GetSpacing(), rtol=1e-6)
        np.testing.assert_allclose(image.GetOrigin(), native.GetOrigin(), rtol=1e-5)
        np.testing.assert_allclose(image.GetDirection(), native.GetDirection(), atol=1e-6)


def test_images_hold_what_the_analysis_found(written):
    analysis = make_analysis()

    def lps(name: str) -> np.ndarray:
        return sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(str(written / name)), "LPS"))

    organs = sitk.GetArrayFromImage(analysis.organs.labels)
    np.testing.assert_array_equal(lps("organs.nii.gz"), organs)
    np.testing.assert_array_equal(lps("liver_mask.nii.gz"), organs == LIVER)
    np.testing.assert_allclose(lps("heatmap.nii.gz"), sitk.GetArrayFromImage(analysis.heatmap.image))
    assert sitk.ReadImage(str(written / "liver_mask.nii.gz")).GetPixelID() == sitk.sitkUInt8


def test_json_has_the_fields_of_schema_1(written):
    found = json.loads((written / "analysis.json").read_text())
    assert set(found) == {
        "schema",
        "app_version",
        "input",
        "liver",
        "spleen",
        "segmentation_quality",
        "fibrosis",
        "models",
        "warnings",
        "timings_s",
    }
    assert found["schema"] == 1
    assert found["input"] == {
        "case_id": "0f3a9c27b1d44e68",
        "kind": "nifti",
        "size_xyz": [40, 32, 10],
        "spacing_mm_xyz": [8.0, 8.0, 20.0],
        "orientation": "LPS",
    }
    assert found["fibrosis"]["advanced"] is True
    assert found["fibrosis"]["unreliable"] is False
    assert found["fibrosis"]["slices"][0]["z"] == 2
    assert set(found["models"]["classifier"]) == {"name", "sha256", "trained_on", "note"}


def test_total_is_the_sum_of_the_stages_with_writing(written):
    timings = json.loads((written / "analysis.json").read_text())["timings_s"]
    assert list(timings) == ["read", "segment", "classify", "explain", "write", "total"]
    assert timings["total"] == pytest.approx(15.8 + timings["write"], abs=0.01)


def test_what_is_not_known_is_null_and_what_is_not_computed_is_absent():
    analysis = make_analysis()
    analysis = replace(
        analysis,
        organs=replace(analysis.organs, spleen_ml=None, ensemble_dice=None),
        heatmap=HeatMap(analysis.heatmap.image * 0, None),
    )
    found = analysis_json(analysis)
    assert found["spleen"] is None
    assert found["segmentation_quality"] == {"ensemble_dice": None}
    assert found["fibrosis"]["heat_outside_liver"] is None
    assert "mask_sensitivity" not in found["fibrosis"]


def test_the_indeterminate_zone_and_the_mask_s_range_are_written_where_there_are_any():
    analysis = make_analysis(probability=0.62)
    assert not {"indeterminate", "is_indeterminate"} & set(analysis_json(analysis)["fibrosis"])
    for high, inside in ((0.7, True), (0.62, False)):
        fibrosis = replace(analysis.fibrosis, indeterminate=(0.3, high), mask_sensitivity=(0.44, 0.66))
        found = analysis_json(replace(analysis, fibrosis=fibrosis))["fibrosis"]
        assert found["indeterminate"] == [0.3, high]
        assert found["is_indeterminate"] is inside
        assert found["advanced"] is True
        assert found["mask_sensitivity"] == [0.44, 0.66]


def test_the_predicted_quality_of_the_mask_is_written_where_there_is_one():
    analysis = make_analysis()
    organs = replace(analysis.organs, predicted_dice=0.71, score=3, reasons=("the outline is blurred",))
    assert analysis_json(replace(analysis, organs=organs))["segmentation_quality"] == {
        "ensemble_dice": 0.958,
        "predicted_dice": 0.71,
        "score": 3,
        "reasons": ["the outline is blurred"],
        "doubts": [],
    }


def test_a_region_in_doubt_is_written_with_the_slices_that_a_reader_sees():
    analysis = make_analysis()
    doubt = MaskDoubt("missing", first_slice=23, last_slice=28, side="left", volume_ml=131.26, at_xyz=(9, 9, 25))
    organs = replace(analysis.organs, predicted_dice=0.71, score=3, reasons=("it is blurred",), doubts=(doubt,))
    found = analysis_json(replace(analysis, organs=organs))["segmentation_quality"]
    assert found["reasons"] == ["Check slices 24–29, left side: liver may be missing.", "it is blurred"]
    assert found["doubts"] == [
        {"kind": "missing", "first_slice": 24, "last_slice": 29, "side": "left", "volume_ml": 131.3}
    ]


def test_negative_below_the_operating_point():
    assert analysis_json(make_analysis(probability=0.4799))["fibrosis"]["advanced"] is False
    assert analysis_json(make_analysis(probability=0.48))["fibrosis"]["advanced"] is True


def test_a_failure_leaves_no_folder(tmp_path):
    broken = replace(make_analysis(), timings_s={"read": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        write_analysis(broken, tmp_path / "case")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_what_the_folder_held(tmp_path):
    write_analysis(make_analysis(probability=0.2), tmp_path)
    (tmp_path / "mine.txt").write_text("a file of the user's")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="JSON"):
        write_analysis(replace(make_analysis(), timings_s={"read": float("nan")}), tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_second_analysis_replaces_the_first(tmp_path):
    write_analysis(make_analysis(probability=0.2), tmp_path)
    write_analysis(make_analysis(probability=0.9), tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == FILES
    assert json.loads((tmp_path / "analysis.json").read_text())["fibrosis"]["probability"] == 0.9


def test_without_a_heat_map_no_file_claims_one_and_the_reason_is_given(tmp_path):
    write_analysis(make_analysis(), tmp_path)
    write_analysis(replace(make_analysis(), heatmap=None), tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == FILES - {"heatmap.nii.gz"}
    found = json.loads((tmp_path / "analysis.json").read_text())["fibrosis"]
    assert found["heat_outside_liver"] is None
    assert found["no_heat_map"] == "No heat map: this classifier uses hand-crafted features"
    assert "no_heat_map" not in analysis_json(make_analysis())["fibrosis"]
