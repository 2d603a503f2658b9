from __future__ import annotations

import pytest

from pipeline.errors import ManifestError
from pipeline.training.cases import find_cases


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(("images", "labels"), [("imagesTr", "labelsTr"), ("images", "labels")])
def test_nnunets_raw_layout(tmp_path, images, labels):
    touch(tmp_path, f"{images}/b_0000.nii.gz", f"{images}/a_0000.nii.gz", f"{labels}/a.nii.gz", f"{labels}/b.nii.gz")
    found = find_cases(tmp_path)
    assert list(found) == ["a", "b"]
    assert found["a"] == (tmp_path / images / "a_0000.nii.gz", tmp_path / labels / "a.nii.gz")


def test_a_manifest_names_files_beside_it(tmp_path):
    touch(tmp_path, "x/1.nii.gz", "x/1m.nii.gz")
    (tmp_path / "m.csv").write_text("patient_id,site,image,mask\nP1,A,x/1.nii.gz,x/1m.nii.gz\n", encoding="utf-8-sig")
    assert find_cases(tmp_path / "m.csv") == {"P1": (tmp_path / "x/1.nii.gz", tmp_path / "x/1m.nii.gz")}


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ManifestError, match="needs imagesTr"):
        find_cases(tmp_path)
    touch(tmp_path, "imagesTr/a_0000.nii.gz", "imagesTr/b_0000.nii.gz", "labelsTr/a.nii.gz")
    with pytest.raises(ManifestError, match="no label file: b"):
        find_cases(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,b\n1,2\n", "columns patient_id"), ("patient_id,image,mask\nP,i,m\nP,i,m\n", "one row a patient")],
)
def test_a_wrong_manifest_is_refused(tmp_path, text, message):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(ManifestError, match=message):
        find_cases(tmp_path / "m.csv")
