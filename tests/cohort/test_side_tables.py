"""truth.csv, left_out.csv and cohort.json beside a manifest: optional, and refused if damaged."""

from __future__ import annotations

import pytest

from pipeline.cohort.side_tables import AboutCohort, read_about, read_left_out, read_truth
from pipeline.errors import ManifestError


@pytest.fixture
def manifest(tmp_path):
    return tmp_path / "manifest.csv"


def test_without_the_files_nothing_is_known(manifest):
    assert list(read_truth(manifest)) == ["true_mask"]
    assert read_truth(manifest).empty
    assert list(read_left_out(manifest)) == ["patient_id", "reason"]
    assert read_left_out(manifest).empty
    assert read_about(manifest) == AboutCohort(simulated=False, description="")


def test_true_masks_are_relative_to_the_file_and_may_be_missing(manifest):
    (manifest.parent / "m.nii").touch()
    manifest.with_name("truth.csv").write_text("patient_id,stage,true_mask\np1,F0,m.nii\np2,F4,\n")
    truth = read_truth(manifest)
    assert truth.loc["p1"].to_dict() == {"stage": "F0", "true_mask": str(manifest.parent / "m.nii")}
    assert truth.loc["p2", "true_mask"] == ""
    manifest.with_name("truth.csv").write_text("patient_id,stage\np1,F0\n")
    assert read_truth(manifest)["true_mask"].tolist() == [""]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as a CSV file"),
        ("case\np1\n", "must name each case once"),
        ("patient_id\np1\np1\n", "must name each case once"),
        ("patient_id,true_mask\np1,gone.nii\n", "names a true_mask that does not exist"),
    ],
)
def test_a_damaged_truth_is_refused(manifest, text, message):
    manifest.with_name("truth.csv").write_text(text)
    with pytest.raises(ManifestError, match=message):
        read_truth(manifest)


@pytest.mark.parametrize(("text", "message"), [("", "cannot be read"), ("patient_id\np1\n", "no column reason")])
def test_damaged_reasons_are_refused(manifest, text, message):
    manifest.with_name("left_out.csv").write_text(text)
    with pytest.raises(ManifestError, match=message):
        read_left_out(manifest)


@pytest.mark.parametrize(("text", "message"), [("{", "not valid JSON"), ("[]", "must hold one object")])
def test_a_damaged_cohort_json_is_refused(manifest, text, message):
    manifest.with_name("cohort.json").write_text(text)
    with pytest.raises(ManifestError, match=message):
        read_about(manifest)
