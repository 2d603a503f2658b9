"""Cohort manifests: labels by the rule, and one line for every wrong row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.errors import ManifestError
from pipeline.training.manifest import read_manifest

HEADER = "patient_id,image,mask,lsm_kpa,lsm_method,metavir,label_source,split,source_anatomy"


def write(folder: Path, *rows: str) -> Path:
    for name in ("i.nii", "m.nii"):
        (folder / name).touch()
    path = folder / "manifest.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("lsm", "method", "metavir", "source", "label"),
    [
        ("12.1", "TE", "", "lsm", True),
        ("12.0", "te", "", "lsm", False),
        ("5", "VCTE", "F4", "lsm", False),  # a stage that is not where the label comes from
        ("30", "TE", "F2", "histology", False),
        ("", "", "F3", "histology", True),
        ("", "", "", "healthy", False),
    ],
)
def test_label_rule(tmp_path, lsm, method, metavir, source, label):
    cohort = read_manifest(write(tmp_path, f"p1,i.nii,m.nii,{lsm},{method},{metavir},{source},,"))
    assert cohort.rows.label.tolist() == [label]


def test_paths_are_relative_to_the_file(tmp_path):
    cohort = read_manifest(write(tmp_path, "p1,i.nii,m.nii,,,,healthy,,"))
    assert cohort.rows.image[0] == str(tmp_path / "i.nii")


def test_every_wrong_row_has_its_line(tmp_path):
    path = write(
        tmp_path,
        "p1,i.nii,m.nii,12,TE,,lsm,,",
        "p2,gone.nii,m.nii,12,TE,,lsm,,",
        "p3,i.nii,m.nii,12,MRE,,lsm,,",
        "p4,i.nii,m.nii,many,TE,,lsm,,",
        "p5,i.nii,m.nii,,,F5,histology,,",
        "p6,i.nii,m.nii,,,,guess,,",
        "p7,i.nii,m.nii,12,TE,,lsm,test,",
        "p1,i.nii,m.nii,12,TE,,lsm,,",
        ",i.nii,m.nii,12,TE,,lsm,,",
    )
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    lines = str(caught.value).splitlines()
    assert sorted(line.split(":")[0] for line in lines) == sorted(
        ["Line 3", "Line 4", "Line 5", "Line 6", "Line 7", "Line 8", "Line 9", "Line 10"]
    )
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", HEADER + "\n"])
def test_what_is_no_manifest_is_refused(tmp_path, text):
    path = tmp_path / "manifest.csv"
    path.write_text(text)
    with pytest.raises(ManifestError):
        read_manifest(path)


def test_cohort_json_tells_a_simulation(tmp_path):
    path = write(tmp_path, "p1,i.nii,m.nii,5,TE,,lsm,,")
    assert not read_manifest(path).simulated
    (tmp_path / "cohort.json").write_text(json.dumps({"simulated": True, "description": "Drawn."}))
    cohort = read_manifest(path)
    assert cohort.simulated
    assert cohort.description == "Drawn."
    assert cohort.positive_class == "LSM > 12 kPa"
