"""The ensemble's answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from pipeline.classification import Classifier, classify, classify_steps
from pipeline.errors import ModelError, SegmentationError

from .conftest import write_classifier


def test_probability_is_the_mean_of_the_members(case, make_classifier):
    classifier = make_classifier(members=3)
    answer = classify(*case, classifier)
    networks, alone = classifier.networks, []
    for net in networks:
        classifier.networks = (net,)
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


def test_one_step_for_each_member(case, make_classifier):
    steps = list(classify_steps(*case, make_classifier(members=2)))
    assert [step.share for step in steps] == [0.5, 1.0]


def test_same_case_same_answer(case, make_classifier):
    classifier = make_classifier()
    assert classify(*case, classifier) == classify(*case, classifier)


def test_empty_liver_is_refused(case, make_classifier):
    volume, organs = case
    with pytest.raises(SegmentationError):
        classify(volume, replace(organs, labels=sitk.Image(organs.labels) * 0), make_classifier())


@pytest.mark.parametrize(
    "changes", [{"threshold": None}, {"network": {"backbone": "resnet18"}}, {"network": {"depth": 3}}]
)
def test_model_json_that_does_not_fit_is_refused(tmp_path, changes):
    folder = write_classifier(tmp_path, members=1)
    folder.info.update(changes)
    with pytest.raises(ModelError):
        Classifier(folder, torch.device("cpu"))
