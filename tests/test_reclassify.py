"""Classifying again inside a corrected mask."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.analysis import Models, analyze
from pipeline.case import LIVER, SPLEEN, Source, Study, Volume, view
from pipeline.classification import Classifier, classify, explain
from pipeline.errors import Cancelled, InputError, SegmentationError
from pipeline.exports.analysis_json import analysis_json
from pipeline.reclassify import corrected, reclassify, reclassify_steps
from tests.abdomen import make_abdomen
from tests.classification.conftest import write_classifier
from tests.page.fake_models import fake_organs, faulty_organs
from tests.segmentation.conftest import bright_segmenter, make_volume, model_folder  # noqa: F401 - fixtures
from tests.test_analysis import BOX, KEY, study_of


@pytest.fixture
def models(bright_segmenter, tmp_path) -> Models:  # noqa: F811
    return Models(bright_segmenter, Classifier(write_classifier(tmp_path / "classifier"), torch.device("cpu")))


@pytest.fixture
def study(tmp_path) -> Study:
    return study_of(make_volume(BOX), tmp_path / "upload")


def abdomen() -> Volume:
    """A phantom of 40 x 32 x 10 voxels of 8 x 8 x 20 mm."""
    image, _ = make_abdomen()
    return Volume(image, Source("nifti", "case"))


def cut(liver: np.ndarray) -> np.ndarray:
    """The liver without the patient's right half of its box."""
    shorter = liver.copy()
    shorter[:, :, : (BOX[2].start + BOX[2].stop) // 2] = False
    return shorter


def test_the_probability_is_that_of_the_corrected_mask(models, study):
    first = analyze(study, KEY, models, any_input=True)
    liver = cut(first.organs.liver)
    again = reclassify(first.volume, first.organs, liver, models, any_input=True)
    edited = corrected(first.organs, liver)
    assert again.fibrosis == classify(first.volume, edited, models.classifier)
    assert again.fibrosis.probability != first.fibrosis.probability
    np.testing.assert_array_equal(
        view(again.heatmap.image), view(explain(first.volume, edited, models.classifier).image)
    )
    assert again.organs.liver_ml == pytest.approx(liver.sum() * np.prod(first.volume.spacing_mm_xyz) / 1000)
    assert (first.mask_edited, again.mask_edited) == (False, True)
    assert set(again.timings_s) == {"classify", "explain", "total"}


def test_an_unchanged_mask_gives_the_same_probability(models, study):
    first = analyze(study, KEY, models, any_input=True)
    again = reclassify(first.volume, first.organs, first.organs.liver, models, any_input=True)
    assert again.fibrosis == first.fibrosis


def test_a_corrected_mask_has_no_predicted_quality(models, study):
    first = analyze(study, KEY, models, any_input=True)
    judged = replace(first.organs, score=3, predicted_dice=0.4, reasons=("blurred",), ensemble_dice=0.5)
    again = reclassify(first.volume, judged, first.organs.liver, models, any_input=True)
    assert (again.organs.score, again.organs.predicted_dice, again.organs.ensemble_dice) == (None, None, None)
    assert not again.warning_codes & {"poor_segmentation", "low_agreement", "dropped_components"}
    assert analysis_json(again)["mask_edited"] is True
    assert "mask_edited" not in analysis_json(first)


def test_a_corrected_mask_is_judged_for_suitability_again(models, study):
    first = analyze(study, KEY, models, any_input=True)
    assert first.fibrosis is not None
    again = reclassify(first.volume, first.organs, first.organs.liver, models)
    assert again.fibrosis is None
    assert again.not_classified


def test_steps_run_from_0_to_1_and_can_be_cancelled(models, study):
    first = analyze(study, KEY, models, any_input=True)
    steps = list(reclassify_steps(first.volume, first.organs, first.organs.liver, models, any_input=True))
    shares = [step.share for step in steps]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert not [step.name for step in steps if "egment" in step.name]
    with pytest.raises(Cancelled):
        list(reclassify_steps(first.volume, first.organs, first.organs.liver, models, lambda: True, any_input=True))


def test_only_the_liver_changes_and_other_organs_give_way():
    organs = fake_organs(abdomen())
    labels = view(organs.labels)
    liver = organs.liver
    liver[labels == SPLEEN] = True
    found = view(corrected(organs, liver).labels)
    assert not (found == SPLEEN).any()
    assert corrected(organs, liver).spleen_ml == 0.0
    others = ~np.isin(labels, (LIVER, SPLEEN))
    np.testing.assert_array_equal(found[others], labels[others])


def test_a_drawn_part_stays_though_it_lies_apart():
    organs = fake_organs(abdomen())
    liver = organs.liver
    liver[0, 0, 0] = True
    found = corrected(organs, liver)
    assert found.liver[0, 0, 0]
    assert (found.components, found.largest_component_share, found.touches_edge) == (2, 1.0, True)


def test_doubts_about_the_former_mask_are_gone():
    faulty = faulty_organs(fake_organs(abdomen()))
    assert faulty.doubts
    found = corrected(faulty, faulty.liver)
    assert (found.doubts, found.doubt_map, found.score) == ((), None, None)


def test_what_is_no_mask_of_these_images_or_too_small_is_refused():
    organs = fake_organs(abdomen())
    with pytest.raises(InputError, match="does not fit"):
        corrected(organs, organs.liver[1:])
    few = np.zeros_like(organs.liver)
    few[0, 0, 0] = True
    with pytest.raises(SegmentationError, match=r"Only 1 mL of liver are outlined: outline at least 200 mL of it\."):
        corrected(organs, few)
