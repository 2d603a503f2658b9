"""Classifying a corrected mask without a browser: both results, the files, the review's row, and what is refused."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.page.server.engine import Choice
from pipeline.page.server.gpu import Analyse
from pipeline.page.state.open_cases import OpenCase
from pipeline.statistics.overlap import dice
from tests.page.desk import Desk
from tests.page.fake_models import load_fake
from tests.page.masks import sent_mask


@pytest.fixture
def analysed(desk: Desk, file: Path) -> Desk:
    desk.open(file)
    desk.analyse()
    return desk


def case_of(desk: Desk) -> OpenCase:
    case = desk.cases.find(desk.state.case_key)
    assert case
    return case


def served(desk: Desk, name: str) -> Path:
    assert desk.state.result
    return case_of(desk).served / f"{desk.state.result.case_id}_{name}"


def model_mask(desk: Desk) -> np.ndarray:
    """(z, y, x) bool, as the viewer got it."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(case_of(desk).served / "liver.nii.gz"))) == 1


def smaller(mask: np.ndarray) -> np.ndarray:
    """Without its uppermost slices."""
    cut = mask.copy()
    cut[np.flatnonzero(mask.any(axis=(1, 2)))[-2:]] = False
    return cut


def test_both_results_are_shown_and_the_row_is_of_the_corrected_mask(analysed: Desk) -> None:
    mask = model_mask(analysed)
    cut = smaller(mask)
    share = cut.sum() / mask.sum()
    said = analysed.correct(cut)
    for shown in ("62 %", f"{100 * (0.62 + share - 1):.0f} %", f"Dice {dice(mask, cut):.3f}", "Corrected"):
        assert shown in said, shown
    assert analysed.state.result
    assert analysed.state.result.probability == pytest.approx(0.62 + share - 1)
    analysed.save("R1", "no", 3, "agree", 1)
    row = analysed.store.rows().iloc[-1]
    assert row["mask_edited"] == "yes"
    assert row["mask_sha256"] == sha256(served(analysed, "liver_mask_edited.nii.gz").read_bytes()).hexdigest()
    assert float(row["probability"]) == pytest.approx(0.62 + share - 1)


def test_both_masks_can_be_downloaded_and_the_files_say_which_is_which(analysed: Desk) -> None:
    cut = smaller(model_mask(analysed))
    said = analysed.correct(cut)
    for name, expected in (("liver_mask", model_mask(analysed)), ("liver_mask_edited", cut)):
        file = served(analysed, f"{name}.nii.gz")
        assert file.name in said
        np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(file))) == 1, expected)
    assert "mask_edited" not in json.loads(served(analysed, "analysis.json").read_text())
    assert json.loads(served(analysed, "analysis_edited.json").read_text())["mask_edited"] is True
    assert served(analysed, "report_edited.pdf").exists()


def test_the_viewer_gets_the_new_heat_under_a_new_name_and_no_doubts(analysed: Desk) -> None:
    first = analysed.sent[-1][analysed.components.viewer]
    assert first["edit"]["turn"] == 0
    for turn in (1, 2):
        cut = smaller(model_mask(analysed))
        cut[0, 0, :turn] = True
        analysed.correct(cut)
        value = analysed.sent[-1][analysed.components.viewer]
        assert value["edit"] == {"case": first["edit"]["case"], "turn": turn}
        assert value["overlays"]["heat"] == f"heat_{turn}.nii.gz"
        assert (case_of(analysed).served / value["overlays"]["heat"]).exists()
        assert (value["case"], value["doubts"]) == (first["case"], [])


def test_the_models_own_mask_brings_back_its_result(analysed: Desk) -> None:
    mask = model_mask(analysed)
    analysed.correct(smaller(mask))
    said = analysed.correct(mask)
    assert "Corrected" not in said
    assert analysed.state.result
    assert (analysed.state.result.mask_edited, analysed.state.result.probability) == (False, 0.62)
    assert analysed.sent[-1][analysed.components.viewer]["overlays"]["heat"] == "heat.nii.gz"
    analysed.save("R1", "no", 3, "agree", 1)
    row = analysed.store.rows().iloc[-1]
    assert (row["mask_edited"], float(row["probability"])) == ("no", 0.62)


def test_a_corrected_case_can_be_corrected_again(analysed: Desk) -> None:
    mask = model_mask(analysed)
    analysed.correct(smaller(smaller(mask)))
    said = analysed.correct(smaller(mask))
    assert f"Dice {dice(mask, smaller(mask)):.3f}" in said, "against the model's mask, not the one before"


def test_the_corrected_mask_goes_back_to_the_inputs_own_grid(desk: Desk, file: Path) -> None:
    turned = sitk.DICOMOrient(sitk.ReadImage(str(file)), "PIR")
    sitk.WriteImage(turned, str(file))
    desk.open(file)
    desk.analyse()
    seen = sitk.ReadImage(str(case_of(desk).served / "liver.nii.gz"))
    mask = model_mask(desk)
    mask[5, 3, 40] = True
    desk.correct(mask)
    found = sitk.ReadImage(str(served(desk, "liver_mask_edited.nii.gz")))
    assert found.GetSize() == turned.GetSize()
    assert found.GetDirection() == pytest.approx(turned.GetDirection())
    place = found.TransformPhysicalPointToIndex(seen.TransformIndexToPhysicalPoint((40, 3, 5)))
    assert found[place] == 1
    assert sitk.GetArrayFromImage(found).sum() == mask.sum()


def test_a_second_review_after_the_correction_is_another_row(analysed: Desk) -> None:
    analysed.save("R1", "no", 3, "agree", 1)
    analysed.correct(smaller(model_mask(analysed)))
    analysed.save("R1", "no", 3, "agree", 1)
    rows = analysed.store.rows()
    assert rows["mask_edited"].tolist() == ["no", "yes"]
    assert rows["mask_sha256"].nunique() == 2


@pytest.mark.parametrize("sent", [None, "", "{}", '{"size_xyz": [1, 1, 1], "runs": "AAE="}'])
def test_what_is_no_mask_of_the_case_changes_nothing(analysed: Desk, sent: str | None) -> None:
    before = analysed.state
    said = analysed.run(analysed.reclassifying.reclassify(analysed.state, sent))
    assert "outline" in said
    assert "error" in said
    assert analysed.state is before


def test_too_little_liver_is_refused(analysed: Desk) -> None:
    few = np.zeros_like(model_mask(analysed))
    few[0, 0, 0] = True
    assert "of liver are outlined" in analysed.correct(few)
    assert analysed.state.result
    assert not analysed.state.result.mask_edited


def test_nothing_of_a_withheld_result_is_sent(desk: Desk, file: Path) -> None:
    desk.open(file)
    desk.analyse(blind=True)
    size = desk.state.viewer["size_xyz"]
    said = desk.correct(np.ones(size[::-1], bool))
    assert "own verdict first" in said
    assert "62 %" not in said
    assert desk.state.result
    assert not desk.state.result.mask_edited


def test_without_a_case_or_after_it_was_discarded(desk: Desk, analysed: Desk) -> None:
    mask = smaller(model_mask(analysed))
    analysed.cases.discard(analysed.state.case_key)
    assert "closed after inactivity" in analysed.correct(mask)


def test_a_discarded_case_leaves_no_file(analysed: Desk) -> None:
    mask, case = smaller(model_mask(analysed)), case_of(analysed)
    for updates in analysed.reclassifying.reclassify(analysed.state, sent_mask(mask)):
        analysed.cases.discard(case.key)
        analysed.take(updates)
    assert not case.private.exists()
    assert not case.served.exists()


def test_models_that_only_analyse_say_so(tmp_path: Path, file: Path) -> None:
    def load(choice: Choice) -> Analyse:
        bound = load_fake()(choice)
        return lambda study, key, cancelled: bound(study, key, cancelled)

    desk = Desk(tmp_path, load=load)
    desk.open(file)
    desk.analyse()
    assert "cannot classify a corrected outline" in desk.correct(smaller(model_mask(desk)))
