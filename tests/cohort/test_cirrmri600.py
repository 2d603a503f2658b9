"""The importer on a miniature of the published tree, with the faults that such a tree has."""

from __future__ import annotations

import csv
import json
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from typer.testing import CliRunner

from pipeline.__main__ import app
from pipeline.cohort.cirrmri600 import Imported, import_cirrmri600
from pipeline.cohort.labelled_cases import find_cases
from pipeline.cohort.manifest import COLUMNS, read_manifest
from pipeline.errors import ManifestError
from pipeline.training.segmenter import plan as nnunet_plan

CIRRHOTIC, HEALTHY = "Cirrhosis_T2_3D", "Healthy_subjects/T2_W_Healthy"


def write(file: Path, *, mask: bool = False, size: int = 6, spacing: float = 1.5, value: int = 1) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.zeros((4, size, size), np.uint8 if mask else np.int16)
    voxels[1:3, 1:4, 1:4] = value if mask else 300
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((spacing, spacing, 6.0))
    sitk.WriteImage(image, str(file))


def add(root: Path, number: int, split: str = "train") -> tuple[Path, Path]:
    """Write a usable case; the healthy have no split."""
    folder, names = (HEALTHY, "T2") if split == "healthy" else (CIRRHOTIC, split)
    image = root / folder / f"{names}_images" / f"{number}.nii.gz"
    mask = root / folder / f"{names}_masks" / f"{number}.nii.gz"
    write(image)
    write(mask, mask=True)
    return image, mask


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """Usable: cirrhotic 1, 2 (train), 3 (valid), 4 (test), 55 healthy of which 1 to 4 collide; 5 to 11 are faulty."""
    root = tmp_path_factory.mktemp("CirrMRI600plus")
    for number, split in ((1, "train"), (2, "train"), (3, "valid"), (4, "test")):
        add(root, number, split)
    for number in range(1, 56):
        add(root, number, "healthy")
    add(root, 5)[1].unlink()
    damaged = add(root, 6)[0]
    damaged.write_bytes(damaged.read_bytes()[:-25])
    write(add(root, 7)[1], mask=True, size=7)
    write(add(root, 8)[1], mask=True, spacing=2.5)
    write(add(root, 9)[1], mask=True, value=0)
    write(add(root, 10)[1], mask=True, value=3)
    add(root, 11, "test")
    add(root, 11, "train")
    (root / CIRRHOTIC / "train_images" / "._1.nii.gz").write_bytes(b"left behind by a Mac")
    evaluation = "Patient ID,Age,Gender,Radiological Evaluation\n1,61,1,2\n4,47,2,3\n"
    (root / "T2_age_gender_evaluation.csv").write_text(evaluation, encoding="utf-8-sig")
    (root / "Healthy_demographics.csv").write_text("ID,Age,Gender\n1,33,2\n", encoding="utf-8-sig")
    return root


@pytest.fixture(scope="module")
def imported(tree, tmp_path_factory) -> tuple[Path, Imported]:
    out = tmp_path_factory.mktemp("out")
    return out, import_cirrmri600(tree, out)


def rows(file: Path) -> dict[str, dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return {row["patient_id"]: row for row in csv.DictReader(lines)}


def test_usable_cases_lie_in_nnunets_layout_and_colliding_ids_stay_apart(imported):
    out, _ = imported
    cases = find_cases(out)
    assert len(cases) == 3 + 55
    assert {"cirrhotic_0001", "healthy_0001", "cirrhotic_0003", "healthy_0004"} <= set(cases)
    test = [file.name for file in sorted((out / "imagesTs").iterdir())]
    assert test == ["cirrhotic_0004_0000.nii.gz", "cirrhotic_0011_0000.nii.gz"]
    dataset = json.loads((out / "dataset.json").read_text())
    assert dataset["numTraining"] == 58
    assert dataset["labels"] == {"background": 0, "liver": 1}


def test_published_splits_are_kept_and_no_patient_is_in_two(imported):
    out, _ = imported
    train, test = rows(out / "manifest.csv"), rows(out / "test.csv")
    for fold in json.loads((out / "splits_final.json").read_text()):
        assert {name for name in fold["val"] if name.startswith("cirrhotic")} == {"cirrhotic_0003"}
        assert sorted(fold["train"] + fold["val"]) == sorted(train)
    assert set(test) == {"cirrhotic_0004", "cirrhotic_0011"}
    assert {row["split"] for row in test.values()} == {"test"}


def test_each_healthy_subject_is_unseen_by_one_member(imported):
    out, _ = imported
    held_out = [fold["val"][1:] for fold in json.loads((out / "splits_final.json").read_text())]
    assert sorted(chain(*held_out)) == [name for name in sorted(rows(out / "manifest.csv")) if "healthy" in name]
    assert {len(part) for part in held_out} == {18, 19}


def test_the_manifests_have_the_cohorts_columns_and_what_is_known_of_the_people(imported):
    out, _ = imported
    table = rows(out / "manifest.csv")
    first, healthy, unknown = (table[name] for name in ("cirrhotic_0001", "healthy_0001", "cirrhotic_0002"))
    assert tuple(first) == COLUMNS
    assert (first["sex"], first["age"], first["label_source"], first["aetiology"]) == ("female", "61", "", "")
    assert (healthy["sex"], healthy["age"], healthy["label_source"]) == ("male", "33", "healthy")
    assert (unknown["sex"], unknown["age"]) == ("", "")
    assert rows(out / "test.csv")["cirrhotic_0004"]["sex"] == "male"
    assert find_cases(out / "manifest.csv").keys() == table.keys()


def test_cirrhotic_subjects_are_no_fibrosis_labels(imported):
    out, _ = imported
    with pytest.raises(ManifestError, match="label_source") as caught:
        read_manifest(out / "manifest.csv")
    assert len(str(caught.value).splitlines()) == 3, "the three cirrhotic rows, and no healthy one"


def test_each_faulty_file_has_its_line_and_the_table_counts_them(imported):
    _, result = imported
    lines = "\n".join(result.case_faults)
    for expected in (
        "train cirrhotic 5: the mask is missing",
        "train cirrhotic_0006: the image is damaged",
        "train cirrhotic_0007: the mask lies on another grid",
        "train cirrhotic_0008: the mask lies on another grid",
        "train cirrhotic_0009: the mask is empty",
        "train cirrhotic_0010: the mask holds other values",
        "train cirrhotic_0011: the patient is in test too",
    ):
        assert expected in lines
    assert len(result.case_faults) == 7
    assert result.table_faults == []
    table = result.table.set_index(["group", "split"])
    assert table.loc[("healthy", "train"), ["images", "imported", "published"]].tolist() == [55, 55, "55 or 56"]
    assert table.loc[("cirrhotic", "train"), ["images", "masks", "imported"]].tolist() == [9, 8, 2]


def test_files_are_links_and_a_copy_does_where_links_fail(imported, tree, tmp_path, monkeypatch):
    out, result = imported
    assert (result.linked, result.copied) == (120, 0)
    assert (out / "imagesTs" / "cirrhotic_0004_0000.nii.gz").samefile(tree / CIRRHOTIC / "test_images" / "4.nii.gz")

    def refuse(*_: object) -> None:
        raise OSError("Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    small = tmp_path / "download"
    add(small / "CirrMRI600+", 1, "healthy")
    copied = import_cirrmri600(small, tmp_path / "copy")
    assert (copied.linked, copied.copied) == (0, 2)


def write_tables(root: Path, *, ill: str, healthy: str) -> None:
    (root / "T2_age_gender_evaluation.csv").write_text(ill)
    (root / "Healthy_demographics.csv").write_text(healthy)


def test_a_wrong_table_costs_no_case(tmp_path):
    add(tmp_path / "data", 1, "healthy")
    write_tables(tmp_path / "data", ill="ID,Age\n1,60\n", healthy="ID,Age,Gender\n1,330,2\n2,,3\n3,,\n")
    result = import_cirrmri600(tmp_path / "data", tmp_path / "out")
    assert result.table_faults == [
        "T2_age_gender_evaluation.csv: lacks ID, Age or Gender, or is damaged; they stay empty for the cirrhotic.",
        "Healthy_demographics.csv: the age of healthy 1 is no age; it stays empty.",
        "Healthy_demographics.csv: the gender of healthy 2 is no gender; it stays empty.",
    ]
    assert result.case_faults == [
        f"{CIRRHOTIC}/{split}_images: missing or empty." for split in ("test", "valid", "train")
    ]
    row = rows(tmp_path / "out" / "manifest.csv")["healthy_0001"]
    assert (row["sex"], row["age"]) == ("male", "")


def test_the_command_reports_left_out_cases_and_missing_tables_apart(tmp_path):
    for number, split in enumerate(("train", "valid", "test", "healthy"), 1):
        add(tmp_path / "data", number, split)
    done = CliRunner().invoke(app, ["import-cirrmri600", str(tmp_path / "data"), "-o", str(tmp_path / "out")])
    assert done.stdout.splitlines()[-3:] == [
        "2 faults in the tables of age and sex; their cases were imported, with empty cells:",
        "  T2_age_gender_evaluation.csv: missing; age and sex of the cirrhotic stay empty.",
        "  Healthy_demographics.csv: missing; age and sex of the healthy stay empty.",
    ]
    assert "left out" not in done.stdout
    add(tmp_path / "data", 5)[1].unlink()
    again = CliRunner().invoke(app, ["import-cirrmri600", str(tmp_path / "data"), "-o", str(tmp_path / "again")])
    assert "1 files are missing or wrong; their cases were left out:\n  train cirrhotic 5: the mask" in again.stdout


def test_the_command_prints_the_table_and_refuses_in_one_line(tmp_path):
    add(tmp_path / "data", 1, "healthy")
    runner = CliRunner()
    done = runner.invoke(app, ["import-cirrmri600", str(tmp_path / "data"), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0
    assert "published" in done.stdout
    assert "hard-linked" in done.stdout
    assert done.stderr == "Checking volumes: 1 of 1\n", "where no bar is drawn"
    again = runner.invoke(app, ["import-cirrmri600", str(tmp_path / "data"), "-o", str(tmp_path / "out")])
    assert again.exit_code == 2
    assert len(again.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("data", [".", "manifest.csv"])
def test_training_keeps_the_published_split(imported, data):
    out, _ = imported
    cases, split = nnunet_plan.divide(out / data)
    if data == ".":
        assert split == json.loads((out / "splits_final.json").read_text())
    else:
        assert split == [{"train": sorted(cases.keys() - {"cirrhotic_0003"}), "val": ["cirrhotic_0003"]}]


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(ManifestError, match="unpacked"):
        import_cirrmri600(tmp_path, tmp_path / "out")
