"""Predicted masks: by which members, resumed runs, cases left out, and a cohort that other commands can read."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import torch
from typer.testing import CliRunner

from models import registry
from models.registry import write_model_json
from models.weights import save_member
from pipeline import __main__ as cli
from pipeline.case import LIVER, SPLEEN, OrganMask
from pipeline.cohort import cohort_segmenter
from pipeline.cohort.cohort_segmenter import SEEN, CohortSegmenter, MaskOptions
from pipeline.cohort.images import read_labels, read_volume
from pipeline.cohort.manifest import read_manifest
from pipeline.cohort.out_of_fold import out_of_fold_members
from pipeline.cohort.predicted_masks import predict_masks
from pipeline.errors import ManifestError, SegmentationError
from tests.cohort.boxes import write_cohort, write_image

MEMBERS = ("fold0", "fold1", "fold2")


class Segmenting:
    """``segment`` by a threshold; records the members of each call."""

    def __init__(self) -> None:
        self.members: list[tuple[str, ...]] = []
        self.refused: set[int] = set()
        self.score: int | None = None
        self.stop_at: int | None = None

    def __call__(self, volume, model) -> OrganMask:
        self.members.append(model.members)
        if len(self.members) == self.stop_at:
            raise KeyboardInterrupt
        if len(self.members) in self.refused:
            raise SegmentationError("No liver was found.")
        found = np.where(volume.voxels > 75, LIVER, 0).astype(np.uint8)
        found[0, 0, 0] = SPLEEN  # the right, anterior, inferior corner
        labels = sitk.GetImageFromArray(found)
        labels.CopyInformation(volume.image)
        return OrganMask(labels, 1000.0, 10.0, 1, 1.0, False, score=self.score)


@pytest.fixture
def segmenting(monkeypatch) -> Segmenting:
    fake = Segmenting()
    monkeypatch.setattr(cohort_segmenter, "segment", fake)
    monkeypatch.setattr(cohort_segmenter, "Segmenter", lambda model, device, exact: model)
    return fake


@pytest.fixture
def manifest(tmp_path) -> Path:
    (tmp_path / "cohort").mkdir()
    return write_cohort(tmp_path / "cohort")


@pytest.fixture
def options(segmenter) -> MaskOptions:
    return MaskOptions(segmenter, device="cpu")


@pytest.fixture
def segmenter(tmp_path) -> str:
    """Three members: fold0 has not seen anatomy2, fold1 not anatomy1, fold2 not the others."""
    return write_segmenter(tmp_path / "segmenter", {"fold0": ["anatomy2"], "fold1": ["anatomy1"], "fold2": ["x"]})


def write_segmenter(folder: Path, folds: dict[str, list[str]]) -> str:
    for member in MEMBERS:
        save_member(folder, member, {"weight": torch.ones(2)})
    write_model_json(folder, {"kind": "segmenter", "trained_on": "boxes"})
    (folder / "folds.json").write_text(json.dumps(folds))
    return str(folder)


def read(file: Path) -> pd.DataFrame:
    return pd.read_csv(file, dtype=str, keep_default_na=False)


def change(manifest: Path, **columns: object) -> None:
    read(manifest).assign(**columns).to_csv(manifest, index=False)


def test_one_unseen_member_segments_and_they_share_the_cases(tmp_path, manifest, options, segmenting):
    predict_masks(manifest, tmp_path / "out", options)
    assert segmenting.members[2:] == [("fold1",)] * 2 + [("fold0",)] * 2
    assert all(len(members) == 1 for members in segmenting.members[:2])
    assert read(tmp_path / "out" / "truth.csv")["member"].tolist() == [name for (name,) in segmenting.members]


def test_cases_are_shared_out_evenly_among_the_unseen_members(tmp_path, segmenter):
    trained = out_of_fold_members(registry.find(segmenter), {})
    chooser = CohortSegmenter(trained, MaskOptions(segmenter, device="cpu"), tmp_path)
    chosen = [chooser.members_for(f"p{number}", "new").members[0] for number in range(300)]  # type: ignore[union-attr]
    assert min(chosen.count(member) for member in MEMBERS) > 70


def test_all_unseen_members_segment_together(tmp_path, manifest, segmenter, segmenting):
    predict_masks(manifest, tmp_path / "out", MaskOptions(segmenter, members="all", device="cpu"))
    assert segmenting.members == [MEMBERS] * 2 + [("fold1",)] * 2 + [("fold0",)] * 2
    assert read(tmp_path / "out" / "truth.csv")["member"][0] == "ensemble"


def test_an_interrupted_run_is_resumed_and_only_what_changed_is_segmented_again(
    tmp_path, manifest, options, segmenting
):
    out, segmenting.stop_at = tmp_path / "out", 3
    with pytest.raises(KeyboardInterrupt):
        predict_masks(manifest, out, options)
    assert not (out / "manifest.csv").exists()
    assert predict_masks(manifest, out, options).segmented == 4
    assert len(segmenting.members) == 3 + 4
    before = (out / "manifest.csv").read_bytes(), (out / "truth.csv").read_bytes()
    assert predict_masks(manifest, out, options).segmented == 0
    assert ((out / "manifest.csv").read_bytes(), (out / "truth.csv").read_bytes()) == before

    shutil.copy(manifest.parent / "image4.nii.gz", manifest.parent / "image0.nii.gz")
    (out / "masks" / "case1.nii.gz").unlink()
    assert predict_masks(manifest, out, options).segmented == 2
    (tmp_path / "segmenter" / "plans.json").write_text("{}")
    assert predict_masks(manifest, out, options).segmented == 6
    assert predict_masks(manifest, out, replace(options, exact=True)).segmented == 6


def test_a_finished_case_has_a_record_that_earlier_versions_wrote_as_well(tmp_path, manifest, options, segmenting):
    segmenting.refused, segmenting.score = {2}, 2
    predict_masks(manifest, tmp_path / "out", options)
    first, second = (json.loads((tmp_path / "out" / "done" / f"case{n}.json").read_text()) for n in (0, 1))
    assert (list(first), first["score"], first["problem"]) == (["key", "score", "problem"], 2, "")
    assert (second["score"], second["problem"]) == (None, "No liver was found.")


def test_a_changed_true_mask_is_compared_again_without_segmenting(tmp_path, manifest, options, segmenting):
    predict_masks(manifest, tmp_path / "out", options)
    half = np.zeros((6, 24, 24), np.uint8)
    half[1:5, 6:12, 5:16] = LIVER
    write_image(manifest.parent / "mask0.nii.gz", half)
    masked = predict_masks(manifest, tmp_path / "out", options)
    assert masked.segmented == 0
    assert masked.dice["case0"] == pytest.approx(2 / 3, abs=0.01)


def test_rows_without_a_mask_are_left_out_and_listed(tmp_path, manifest, segmenting):
    # fold0 alone has not seen case0, but has seen its anatomy
    folds = {"fold0": ["case0"], "fold1": ["anatomy9"], "fold2": ["x"]}
    out = tmp_path / "out"
    options = MaskOptions(write_segmenter(tmp_path / "segmenter", folds), device="cpu")
    change(manifest, source_anatomy=["anatomy9", "", "", "", "", ""])
    segmenting.refused = {2}
    masked = predict_masks(manifest, out, options)
    assert masked.left_out.to_dict("records") == [
        {"patient_id": "case0", "reason": SEEN},
        {"patient_id": "case2", "reason": "No liver was found."},
    ]
    assert read(out / "left_out.csv").to_dict("records") == masked.left_out.to_dict("records")
    for table in ("manifest.csv", "truth.csv"):
        assert read(out / table)["patient_id"].tolist() == ["case1", "case3", "case4", "case5"]
    assert (masked.cases, masked.segmented) == (4, 5)
    again = predict_masks(manifest, out, options)
    assert (again.cases, again.segmented, len(again.left_out)) == (4, 0, 2)  # a refusal is remembered as well


def test_no_mask_at_all_is_refused(tmp_path, manifest, options, segmenting):
    segmenting.refused = set(range(1, 7))
    with pytest.raises(ManifestError, match=r"left_out\.csv"):
        predict_masks(manifest, tmp_path / "out", options)
    assert len(read(tmp_path / "out" / "left_out.csv")) == 6
    assert not (tmp_path / "out" / "manifest.csv").exists()


@pytest.mark.parametrize("orientation", ["LPS", "RAI"])
def test_the_new_cohort_can_be_read_and_lies_on_the_files_own_grid(tmp_path, options, segmenting, orientation):
    (tmp_path / "cohort").mkdir()
    manifest = write_cohort(tmp_path / "cohort", orientation)
    change(manifest, ward="7", age="061")
    out = tmp_path / "deeper" / "out"
    masked = predict_masks(manifest, out, options)
    given, written = read(manifest), read(masked.manifest)
    assert list(written) == list(given)
    kept = [column for column in given if column not in ("image", "mask", "segmentation_score")]
    pd.testing.assert_frame_equal(written[kept], given[kept])
    assert written["image"][0] == "../../cohort/image0.nii.gz"
    assert written["mask"][0] == "masks/case0.nii.gz"
    assert read(out / "truth.csv")["true_mask"][0] == "../../cohort/mask0.nii.gz"

    cohort = read_manifest(masked.manifest)
    assert cohort.simulated
    row = cohort.rows.iloc[0]
    volume, mask = read_volume(Path(row["image"])), sitk.ReadImage(row["mask"])
    image = sitk.ReadImage(row["image"])
    assert mask.GetPixelID() == sitk.sitkUInt8
    for grid in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(mask, grid)() == pytest.approx(getattr(image, grid)())
    labels = sitk.GetArrayFromImage(read_labels(Path(row["mask"]), volume))
    np.testing.assert_array_equal(labels == LIVER, (volume.voxels > 75) & (labels != SPLEEN))
    assert labels[0, 0, 0] == SPLEEN


def test_the_score_is_of_the_true_overlap_and_the_truth_keeps_its_columns(tmp_path, manifest, options, segmenting):
    segmenting.score = 1
    small = np.zeros((6, 24, 24), np.uint8)
    small[1:5, 6:18, 5:8] = LIVER
    write_image(manifest.parent / "true.nii.gz", small)
    (manifest.parent / "truth.csv").write_text(
        "patient_id,stage,true_mask,liver_dice,liver_hd95_mm,mask_fault,segmentation_score\n"
        "case0,F0,true.nii.gz,1,0,leak,1\ncase1,F4,,1,0,,1\n"
    )
    masked = predict_masks(manifest, tmp_path / "out", options)
    assert masked.dice["case0"] == pytest.approx(2 * 3 / (3 + 11))
    assert masked.dice["case1"] > 0.99  # of the manifest's own mask
    assert read(masked.manifest)["segmentation_score"].tolist()[:2] == ["3", "1"]
    truth = read(tmp_path / "out" / "truth.csv")
    assert list(truth) == [
        "patient_id",
        "true_mask",
        "dice",
        "iou",
        "hd95_mm",
        "assd_mm",
        "volume_error_percent",
        "member",
        "stage",
    ]
    assert truth["stage"].tolist() == ["F0", "F4", "", "", "", ""]
    assert float(truth["dice"][0]) == pytest.approx(masked.dice["case0"], abs=1e-5)


def test_without_a_true_mask_the_score_is_the_segmenters_and_predictions_never_count_as_true(
    tmp_path, manifest, options, segmenting
):
    change(manifest, mask="")
    segmenting.score = 2
    first = predict_masks(manifest, tmp_path / "first", options)
    assert set(read(first.manifest)["segmentation_score"]) == {"2"}
    segmenting.score = None
    second = predict_masks(first.manifest, tmp_path / "second", options)
    assert set(read(second.manifest)["segmentation_score"]) == {""}
    assert first.dice.empty
    assert second.dice.empty


def test_folders_and_names_that_would_cost_files_are_refused(tmp_path, manifest, options, segmenting):
    before = (manifest.parent / "mask0.nii.gz").read_bytes()
    with pytest.raises(ManifestError, match="own folder"):
        predict_masks(manifest, tmp_path / "cohort" / ".." / "cohort", options)
    other = tmp_path / "other" / "masks"
    other.mkdir(parents=True)
    with pytest.raises(ManifestError, match="other files"):
        predict_masks(manifest, other.parent, options)
    change(manifest, patient_id=["../case0", *(f"case{number}" for number in range(1, 6))])
    with pytest.raises(ManifestError, match=r"^Line 2: patient_id names"):
        predict_masks(manifest, tmp_path / "out", options)
    assert not segmenting.members
    assert (manifest.parent / "mask0.nii.gz").read_bytes() == before


def test_the_command_prints_dice_and_the_reasons_for_cases_left_out(tmp_path, manifest, segmenter, segmenting):
    segmenting.refused = {6}
    arguments = ["predict-masks", str(manifest), "-o", str(tmp_path / "out"), "--segmenter", segmenter]
    result = CliRunner().invoke(cli.app, [*arguments, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "5 cases in" in result.stdout
    assert "Liver Dice of 5 cases: mean 1.000, worst " in result.stdout
    assert "1 left out: No liver was found." in result.stdout
    assert "not checked" not in result.stdout
    (tmp_path / "segmenter" / "folds.json").unlink()
    assert "is not checked" in CliRunner().invoke(cli.app, [*arguments, "--device", "cpu"]).stdout


def test_images_that_cannot_be_read_name_their_lines(tmp_path, manifest, options, segmenting):
    for number in (1, 4):
        (manifest.parent / f"image{number}.nii.gz").write_bytes(b"no image")
    with pytest.raises(ManifestError, match=r"^Line 3: .*\nLine 6: .*$"):
        predict_masks(manifest, tmp_path / "out", options)
    assert len(segmenting.members) == 4


def test_rows_without_a_label_are_segmented_and_stay_unlabelled(tmp_path, manifest, options, segmenting):
    rows = read(manifest).drop(columns=["label_source", "metavir"])
    rows.to_csv(manifest, index=False)
    masked = predict_masks(manifest, tmp_path / "out", options)
    assert masked.cases == 6
    with pytest.raises(ManifestError, match="lacks the column"):
        read_manifest(masked.manifest)
