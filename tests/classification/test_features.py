"""Hand-crafted features, and classifiers that predict from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.special import expit

from pipeline.classification import Classifier, classify, explain
from pipeline.classification.feature_groups import case_features
from pipeline.classification.feature_model import LogisticMember
from pipeline.classification.predict import probability_of
from pipeline.classification.slices import CaseSlices, InputSpec, spleen_volume_ml, take_slices
from pipeline.classification.texture_features import texture_features
from pipeline.errors import ModelError, SegmentationError

from .conftest import write_feature_classifier

CPU = torch.device("cpu")
SPEC = InputSpec(spacing_mm=4.0, size_yx=(32, 64))


@pytest.fixture
def slices(case) -> CaseSlices:
    volume, organs = case
    return take_slices(volume, organs.liver, SPEC, spleen_ml=200.0)


def smooth_noise(sigma: float) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(3, 60, 60)), (0, sigma, sigma))
    return (0.1 * noise / noise.std()).astype(np.float32)


def test_texture_tells_coarse_from_fine_where_brightness_is_equal():
    region = np.ones((3, 60, 60), bool)
    fine, coarse = (texture_features(smooth_noise(sigma), region, 1.2) for sigma in (0.7, 2.0))
    assert fine["raw_sd"] == pytest.approx(coarse["raw_sd"], rel=1e-3)
    assert fine["glcm_raw1_contrast"] > 1.5 * coarse["glcm_raw1_contrast"]
    assert fine["glcm_raw1_correlation"] < coarse["glcm_raw1_correlation"]
    assert fine["band1_sd"] > coarse["band1_sd"]


def test_pixels_outside_the_region_have_no_say():
    region = np.zeros((3, 60, 60), bool)
    region[:, 15:45, 10:50] = True
    images = smooth_noise(1.0)
    other = np.where(region, images, 0.9).astype(np.float32)
    first, second = (texture_features(values, region, 1.2) for values in (images, other))
    outside = {name for name in first if first[name] != pytest.approx(second[name], abs=1e-5)}
    assert {name.split("_")[0] for name in outside} <= {"lbp1", "lbp2", "lbp4"}, "patterns look across the edge"


def test_co_occurrence_equals_a_count_by_hand():
    images = np.array([[[-0.5, 0.5, -0.5], [0.5, -0.5, 0.5], [-0.5, 0.5, -0.5]]], np.float32)
    found = texture_features(images, np.ones(images.shape, bool), 1.2)
    step = 0.5 / 0.6 * 32  # grey levels between the two values
    apart = int((0.5 + 0.6) / 1.2 * 32) - int((-0.5 + 0.6) / 1.2 * 32)
    assert apart == pytest.approx(step, abs=1)
    # 12 horizontal and vertical neighbours differ, 8 diagonal ones are equal.
    assert found["glcm_raw1_contrast"] == pytest.approx(apart**2 * 12 / 20)


def test_a_region_of_one_pixel_and_one_without_contrast_give_finite_numbers():
    one = np.zeros((2, 20, 20), bool)
    one[0, 4, 4] = True
    for region in (one, np.ones(one.shape, bool)):
        found = texture_features(np.zeros(one.shape, np.float32), region, 1.2)
        assert np.isfinite([*found.values()]).all()


def test_outline_and_volumes_do_not_look_at_the_image(slices):
    other = replace(slices, images=-slices.images)
    assert case_features(slices, ["outline", "volumes"], SPEC) == case_features(other, ["outline", "volumes"], SPEC)
    assert case_features(slices, ["texture"], SPEC) != case_features(other, ["texture"], SPEC)


def test_background_does_not_look_at_the_liver(slices):
    inside = slices.distance_mm <= 0
    other = replace(slices, images=np.where(inside, 0.5, slices.images).astype(np.float32))
    assert case_features(slices, ["background"], SPEC) == pytest.approx(case_features(other, ["background"], SPEC))


def test_volumes_are_those_of_the_masks(case, slices):
    volume, organs = case
    found = case_features(slices, ["volumes"], SPEC)
    liver_ml = organs.liver.sum() * np.prod(volume.spacing_mm_xyz) / 1000
    assert np.exp(found["volume_liver"]) == pytest.approx(liver_ml, rel=0.05)
    assert np.exp(found["volume_spleen"]) == pytest.approx(200)
    labels = np.array([[[1, 4, 4]]])
    assert spleen_volume_ml(labels, (10.0, 10.0, 10.0)) == 2
    assert spleen_volume_ml(labels[..., :1], (1.0, 1.0, 1.0)) is None


def test_what_the_mask_lacks_is_said_in_one_sentence(slices):
    with pytest.raises(SegmentationError, match="no spleen is outlined"):
        case_features(replace(slices, spleen_ml=None), ["volumes"], SPEC)
    with pytest.raises(SegmentationError, match="too small"):
        case_features(replace(slices, distance_mm=np.abs(slices.distance_mm) + 1), ["texture"], SPEC)


def test_a_classifier_of_features_predicts_and_has_no_heat_map(tmp_path, case):
    classifier = Classifier(write_feature_classifier(tmp_path / "features", "texture", "outline"), CPU)
    answer = classify(*case, classifier)
    low, high = answer.ensemble_range
    assert 0 < low < answer.probability < high < 1
    low, high = answer.mask_sensitivity
    assert low <= answer.probability <= high
    assert low < high
    assert sum(s.weight for s in answer.slices) == pytest.approx(1)
    assert probability_of(take_slices(case[0], case[1].liver, classifier.spec), classifier) == answer.probability
    assert explain(*case, classifier) is None


def test_a_classifier_that_needs_the_spleen_takes_its_volume_or_refuses(tmp_path, case):
    classifier = Classifier(write_feature_classifier(tmp_path / "volumes", "volumes"), CPU)
    volume, organs = case
    small, large = (classify(volume, replace(organs, spleen_ml=ml), classifier).probability for ml in (150, 400))
    assert small != large
    with pytest.raises(SegmentationError, match="no spleen is outlined"):
        classify(volume, organs, classifier)


def test_a_stored_member_is_the_same_and_a_wrong_one_is_refused():
    member = LogisticMember(np.array([4000.0, 1e-4]), np.array([3.0, 1e-6]), np.array([0.4, -0.7]), 0.3)
    stored = LogisticMember.from_state(member.state(), ["a", "b"])
    values = np.array([[4002.0, 1.01e-4], [3990.0, 0.995e-4]])
    assert expit(stored.logits(values)) == pytest.approx(expit(member.logits(values)), abs=1e-4)
    with pytest.raises(ModelError, match="do not fit"):
        LogisticMember.from_state(member.state(), ["a", "b", "c"])
    with pytest.raises(ModelError, match="scale"):
        LogisticMember.from_state(member.state() | {"scale": torch.tensor([1.0, 0.0])}, ["a", "b"])


def test_features_that_this_version_lacks_are_refused(tmp_path, case):
    folder = write_feature_classifier(tmp_path / "features", "outline")
    with pytest.raises(ModelError, match="does not know"):
        Classifier(replace(folder, info=folder.info | {"features": ["colour"]}), CPU)
    names = ["renamed", *folder.info["feature_names"][1:]]
    renamed = Classifier(replace(folder, info=folder.info | {"feature_names": names}), CPU)
    with pytest.raises(ModelError, match="other features"):
        classify(*case, renamed)
