from __future__ import annotations

import json

import pandas as pd
import pytest

from pipeline.cohort.labelled_cases import find_cases
from pipeline.errors import ManifestError
from pipeline.training.segmenter import plan as nnunet_plan


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
    [
        ("a,b\n1,2\n", "lacks the column.s. patient_id"),
        ("patient_id,image,mask\nP,m.csv,m.csv\nP,m.csv,m.csv\n", "Line 3: .*twice"),
        ("patient_id,image,mask,lsm_kpa,lsm_method\nP,m.csv,m.csv,5,MRE\n", "Line 2: .*TE or VCTE"),
    ],
)
def test_a_wrong_manifest_is_refused(tmp_path, text, message):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(ManifestError, match=message):
        find_cases(tmp_path / "m.csv")


def write_data(folder, splits):
    """Four cases and, where it is given, a splits_final.json beside them."""
    touch(folder, *(f"imagesTr/{case}_0000.nii.gz" for case in "abcd"), *(f"labelsTr/{case}.nii.gz" for case in "abcd"))
    if splits is not None:
        (folder / "splits_final.json").write_text(splits if isinstance(splits, str) else json.dumps(splits))
    return folder


def write_manifest(folder, **splits):
    """A manifest with a row and its files for each case and its split."""
    touch(folder, *(f"{case}.nii.gz" for case in splits), *(f"{case}_mask.nii.gz" for case in splits))
    lines = [f"{case},{case}.nii.gz,{case}_mask.nii.gz,{split}" for case, split in splits.items()]
    (folder / "m.csv").write_text("\n".join(["patient_id,image,mask,split", *lines]) + "\n")
    return folder / "m.csv"


def fold(train, val):
    return {"train": list(train), "val": list(val)}


def test_a_split_of_another_name_is_refused_lest_it_be_trained_on(tmp_path):
    write_manifest(tmp_path, a="train", b="holdout", c="Test")
    with pytest.raises(ManifestError, match=r"Line 3: split must be train, valid or test"):
        find_cases(tmp_path / "m.csv", without=("test",))


def test_a_split_that_comes_with_the_data_is_kept(tmp_path):
    published = [fold("abc", "d"), fold("acd", "b")]
    data = write_data(tmp_path, published)
    assert nnunet_plan.divide(data)[1] == published
    assert nnunet_plan.divide(data, folds=2)[1] == published
    with pytest.raises(ManifestError, match=r"2 fold\(s\) of their own"):
        nnunet_plan.divide(data, folds=3)


def test_without_one_folds_are_dealt_out(tmp_path):
    data = write_data(tmp_path, None)
    assert nnunet_plan.divide(data)[1] == [fold("bc", "ad"), fold("acd", "b"), fold("abd", "c")]
    assert nnunet_plan.divide(data, folds=2)[1] == [fold("bd", "ac"), fold("ac", "bd")]
    for impossible in (0, 1, 5):
        with pytest.raises(ManifestError, match=f"4 .* into {impossible} folds"):
            nnunet_plan.divide(data, folds=impossible)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ("{", "damaged"),
        ([{"train": ["a"]}], "damaged"),
        ([], "no fold"),
        ([fold("abc", "d"), fold("abcd", "x")], r"fold 1 names cases that are not there \(x\)"),
        ([fold("ab", "c")], r"fold 0 leaves cases out \(d\)"),
        ([fold("abcd", "d")], "fold 0 names a case twice"),
        ([fold("abcd", "")], "nothing to train on or to hold out"),
        ([fold("", "abcd")], "nothing to train on or to hold out"),
    ],
)
def test_a_split_that_does_not_fit_is_refused(tmp_path, splits, message):
    with pytest.raises(ManifestError, match=message):
        nnunet_plan.divide(write_data(tmp_path, splits))


def test_training_leaves_out_a_manifests_test_rows_and_keeps_its_valid_ones(tmp_path):
    manifest = write_manifest(tmp_path, a="train", b="test", c="valid", d=" Test", e="")
    cases, split = nnunet_plan.divide(manifest)
    assert list(cases) == ["a", "c", "e"]
    assert split == [fold("ae", "c")]
    assert list(find_cases(manifest)) == ["a", "b", "c", "d", "e"], "other commands read them"


def test_files_of_a_split_that_is_left_out_may_lie_elsewhere(tmp_path):
    manifest = write_manifest(tmp_path, a="train", b="test", c="valid", d="train")
    (tmp_path / "b.nii.gz").unlink()
    cases, split = nnunet_plan.divide(manifest)
    assert (list(cases), split) == (["a", "c", "d"], [fold("ad", "c")])
    with pytest.raises(ManifestError, match="Line 3: the image file does not exist"):
        find_cases(manifest)


def test_a_manifest_without_valid_rows_is_dealt_out(tmp_path):
    manifest = write_manifest(tmp_path, a="train", b="test", c="train", d="train", e="train")
    assert nnunet_plan.divide(manifest, folds=2)[1] == [fold("ce", "ad"), fold("ad", "ce")]


def test_cases_of_one_anatomy_are_dealt_into_one_fold(tmp_path):
    manifest = write_manifest(tmp_path, a="", b="", c="", d="")
    rows = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    rows.assign(source_anatomy=["x", "y", "x", "y"]).to_csv(manifest, index=False)
    assert nnunet_plan.divide(manifest, folds=2)[1] == [fold("bd", "ac"), fold("ac", "bd")]
    with pytest.raises(ManifestError, match="2 case"):
        nnunet_plan.divide(manifest, folds=3)


def test_a_manifest_of_test_rows_alone_is_nothing_to_train_on(tmp_path):
    with pytest.raises(ManifestError, match=r"left out here \(test\)"):
        nnunet_plan.divide(write_manifest(tmp_path, a="test", b="test"))
