"""Prediction by the ensemble."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.special import expit

from pipeline.classification import Classifier, classify, classify_steps
from pipeline.classification.predict import predict_member
from pipeline.classification.slices import InputSpec, take_slices
from pipeline.errors import ModelError, SegmentationError

from .conftest import write_classifier


def test_probability_is_the_mean_of_the_members(case, make_classifier):
    classifier = make_classifier(members=3)
    answer = classify(*case, classifier)
    networks, alone = classifier.networks, []
    for net in networks:
        classifier.ensemble = replace(classifier.ensemble, networks=(net,))
        alone.append(classify(*case, classifier).probability)
    assert len(set(alone)) == 3
    assert answer.probability == pytest.approx(np.mean(alone))
    assert answer.ensemble_range == pytest.approx((min(alone), max(alone)))


def test_words_and_operating_point_come_from_model_json(case, make_classifier):
    answer = classify(*case, make_classifier(positive_class="METAVIR >= F3", threshold=0.0))
    assert answer.positive_class == "METAVIR >= F3"
    assert answer.threshold == 0
    assert answer.advanced


def test_slice_weights_name_the_volume_s_slices_and_sum_to_one(case, make_classifier):
    slices = classify(*case, make_classifier()).slices
    assert [s.z for s in slices] == [2, 3, 4, 5, 6, 7]
    assert sum(s.weight for s in slices) == pytest.approx(1)


def test_one_step_for_each_member_and_mask(case, make_classifier):
    steps = list(classify_steps(*case, make_classifier(members=2)))
    assert [step.share for step in steps] == pytest.approx(np.arange(1, 7) / 6)


def test_mask_sensitivity_spans_the_answers_of_the_moved_masks(case, make_classifier):
    """Voxels of 3 x 4 mm: the edge moves by the 3 mm that are the most."""
    volume, organs = case
    classifier = make_classifier()
    answer = classify(volume, organs, classifier)
    low, high = answer.mask_sensitivity
    assert low <= answer.probability <= high
    assert high - low > 1e-5
    plain = take_slices(volume, organs.liver, classifier.spec)
    moved = [plain.with_edge_moved(mm, classifier.spec) for mm in (-3.0, 0.0, 3.0)]
    seen = [
        np.mean([expit(predict_member(net, m.tensor(classifier.spec))[0]) for net in classifier.networks])
        for m in moved
    ]
    assert (low, high) == pytest.approx((min(seen), max(seen)), abs=1e-6)


def test_an_edge_moved_is_a_mask_eroded_or_dilated_with_brightness_of_its_own(case):
    volume, organs = case
    spec = InputSpec(spacing_mm=2.0, size_yx=(32, 64))
    plain = take_slices(volume, organs.liver, spec)
    areas = [(plain.with_edge_moved(mm, spec).distance_mm <= 0).sum() for mm in (-4.0, -2.0, 0.0, 2.0)]
    assert areas == sorted(areas)
    assert len(set(areas)) == 4
    assert np.array_equal(plain.with_edge_moved(0.0, spec).images, plain.images)
    tight = plain.with_edge_moved(-4.0, spec)
    medians = [np.median(part.images[part.distance_mm <= 0]) for part in (plain, tight)]
    assert medians[0] == pytest.approx(medians[1], abs=1e-5)
    assert not np.array_equal(tight.images, plain.images)
    gone = plain.with_edge_moved(-500.0, spec)
    assert np.array_equal(gone.images, plain.images)


def test_an_indeterminate_zone_comes_from_model_json_and_may_be_absent(case, make_classifier):
    assert classify(*case, make_classifier()).indeterminate is None
    answer = classify(*case, make_classifier("zoned", indeterminate=[0.0, 1.0]))
    assert answer.indeterminate == (0.0, 1.0)
    assert answer.is_indeterminate


def test_same_case_same_answer(case, make_classifier):
    classifier = make_classifier()
    assert classify(*case, classifier) == classify(*case, classifier)


def test_empty_liver_is_refused(case, make_classifier):
    volume, organs = case
    with pytest.raises(SegmentationError):
        classify(volume, replace(organs, labels=sitk.Image(organs.labels) * 0), make_classifier())


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": None},
        {"indeterminate": [0.7, 0.3]},
        {"indeterminate": 0.5},
        {"network": {"backbone": "resnet50"}},
        {"network": {"depth": 3}},
    ],
)
def test_model_json_that_does_not_fit_is_refused(tmp_path, changes):
    folder = write_classifier(tmp_path, members=1)
    folder.info.update(changes)
    with pytest.raises(ModelError):
        Classifier(folder, torch.device("cpu"))
