"""Cohort manifests: labels by the rule, and one line for every wrong row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.cohort.manifest import COLUMNS, CutOffs, read_manifest
from pipeline.cohort.manifest_row import parse_row
from pipeline.errors import ManifestError

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
        ("30", "TE", "F2", "histology", False),
        ("", "", "F3", "histology", True),
        ("", "", "", "healthy", False),
    ],
)
def test_label_rule(tmp_path, lsm, method, metavir, source, label):
    cohort = read_manifest(write(tmp_path, f"p1,i.nii,m.nii,{lsm},{method},{metavir},{source},,"))
    assert cohort.rows.label.tolist() == [label]


def test_a_split_is_read_whatever_its_case_and_a_name_that_is_none_is_refused(tmp_path):
    rows = read_manifest(
        write(tmp_path, "p1,i.nii,m.nii,,,F3,histology,Test,", "p2,i.nii,m.nii,,,,healthy,TRAIN,")
    ).rows
    assert rows.split.tolist() == ["test", "train"]
    with pytest.raises(ManifestError, match="Line 2: a test split takes histology only"):
        read_manifest(write(tmp_path, "p1,i.nii,m.nii,9,TE,,lsm,TEST,"))
    with pytest.raises(ManifestError, match="Line 2: split must be train, valid or test"):
        read_manifest(write(tmp_path, "p1,i.nii,m.nii,9,TE,,lsm,holdout,"))


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


def test_cohort_json_marks_a_simulation(tmp_path):
    path = write(tmp_path, "p1,i.nii,m.nii,5,TE,,lsm,,")
    assert not read_manifest(path).simulated
    (tmp_path / "cohort.json").write_text(json.dumps({"simulated": True, "description": "Drawn."}))
    cohort = read_manifest(path)
    assert cohort.simulated
    assert cohort.description == "Drawn."
    assert cohort.positive_class == "LSM > 12 kPa"


@pytest.mark.parametrize(
    ("cells", "advanced", "words"),
    [
        ("9,TE,,lsm", True, "LSM > 8.2 kPa"),
        ("8.2,TE,,lsm", False, "LSM > 8.2 kPa"),
        (",,F2,histology", True, "METAVIR >= F2"),
        (",,F1,histology", False, "METAVIR >= F2"),
    ],
)
def test_cut_offs_move_the_label_and_its_description(tmp_path, cells, advanced, words):
    cohort = read_manifest(write(tmp_path, f"p1,i.nii,m.nii,{cells},,"), cut_offs=CutOffs(8.2, "F2"))
    assert cohort.rows.label.tolist() == [advanced]
    assert cohort.positive_class == words


@pytest.mark.parametrize("wrong", [(0.5, "F3"), (120.0, "F3"), (float("nan"), "F3"), (12.0, "F0"), (12.0, "F5")])
def test_cut_offs_that_cannot_be_are_refused(wrong):
    with pytest.raises(ManifestError, match="cut-off"):
        CutOffs(*wrong)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("p1,i.nii,m.nii,3.1,MRE,,lsm,,", "MRE.*SWE, ARFI"),
        ("p1,i.nii,m.nii,3.1,,,lsm,,", "lsm_method must be TE"),
        ("p1,i.nii,m.nii,9,2D-SWE,F3,histology,,", "other scales"),
        ("p1,i.nii,m.nii,,TE,,lsm,,", "lsm_kpa is empty"),
        ("p1,i.nii,m.nii,75.1,TE,,lsm,,", "lsm_kpa must be a number from 1.5 to 75"),
        ("p1,i.nii,m.nii,-4,TE,,lsm,,", "from 1.5 to 75"),
        ("p1,i.nii,m.nii,nan,TE,,lsm,,", "from 1.5 to 75"),
        ("p1,i.nii,m.nii,9,TE,F7,lsm,,", "F0 to F4"),
        ("p1,i.nii,m.nii,9,TE,F4,lsm,,", "label_source must be histology"),
        ("p1,i.nii,m.nii,,,F3,healthy,,", "label_source must be histology"),
        ("p1,i.nii,m.nii,,,,,,", "segmenter's commands only"),
    ],
)
def test_each_fault_has_one_line_that_names_it(tmp_path, row, message):
    with pytest.raises(ManifestError, match=f"^Line 2: .*{message}") as caught:
        read_manifest(write(tmp_path, row))
    assert len(str(caught.value).splitlines()) == 1


def test_a_row_with_several_faults_has_a_line_for_each(tmp_path):
    with pytest.raises(ManifestError) as caught:
        read_manifest(write(tmp_path, "p1,gone.nii,m.nii,many,MRE,F7,lsm,test,"))
    assert str(caught.value).splitlines() == [
        "Line 2: lsm_kpa must be a number from 1.5 to 75.",
        "Line 2: metavir must be one of F0 to F4, and given where label_source is histology.",
        "Line 2: a test split takes histology only.",
        "Line 2: lsm_method must be TE or VCTE; kPa by MR elastography (MRE), shear wave elastography (SWE, ARFI) or "
        "an unnamed method are on other scales.",
        "Line 2: the image file does not exist; paths are relative to the manifest.",
    ]


def test_a_column_that_is_not_of_a_manifest_is_ignored(tmp_path):
    path = write(tmp_path, "p1,i.nii,m.nii,13,TE,,lsm,,")
    header, row = path.read_text().splitlines()
    path.write_text(f"ward,{header}\nseven,{row}\n")
    rows = read_manifest(path).rows
    assert list(rows) == [*COLUMNS, "anatomy", "label"]
    assert rows.label.tolist() == [True]


def test_cells_get_their_types_and_empty_ones_none():
    cells = dict.fromkeys(COLUMNS, "") | {"patient_id": "p1", "age": "61", "metavir": "F3"}
    row = parse_row(cells, need=["patient_id"])
    assert (row.patient_id, row.age, row.metavir, row.lsm_kpa, row.label_source) == ("p1", 61.0, "F3", None, "")


def test_a_spreadsheets_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    path = write(tmp_path, "p1,i.nii,m.nii,13,TE,,lsm,,")
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert read_manifest(path).rows.patient_id.tolist() == ["p1"]
