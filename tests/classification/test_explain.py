"""Grad-CAM: that it is Grad-CAM, that it depends on the model, and that its scale is fixed."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
import torch.nn.functional as F

from pipeline.case import run_to_end
from pipeline.classification import Encoded, classify_steps, explain, explain_steps
from pipeline.classification.explain import HeatTarget, heat_map, member_heat
from pipeline.classification.slices import take_slices
from pipeline.errors import ModelError


@pytest.fixture
def x(case, make_classifier) -> torch.Tensor:
    volume, organs = case
    spec = make_classifier().spec
    return take_slices(volume, organs.liver, spec).tensor(spec)


def grad_cam_by_hand(net, x: torch.Tensor) -> np.ndarray:
    """Selvaraju's formula on the features that are pooled."""
    kept: list[torch.Tensor] = []
    net.requires_grad_(True)
    handle = net.focus.register_forward_hook(lambda module, inputs, output: kept.append(output))
    logit = net(x).sum()
    handle.remove()
    (gradient,) = torch.autograd.grad(logit, kept[0])
    weights = gradient.mean(dim=(2, 3), keepdim=True)  # (slices, C, 1, 1)
    cam = (weights * kept[0]).sum(dim=1, keepdim=True).relu()
    return F.interpolate(cam, x.shape[-2:], mode="bilinear")[:, 0].detach().numpy()


def test_heat_equals_grad_cam_by_hand(x, make_classifier):
    net = make_classifier().networks[0]
    with torch.no_grad():
        features = net.encode(*net.split(x))  # in full precision
    heat = member_heat(net, x, features)
    assert heat.shape == (6, *x.shape[-2:])
    assert heat.max() > 0
    liver_cells = x[:, 1].sum().item() / 8**2
    np.testing.assert_allclose(heat, liver_cells * x[:, 1] * grad_cam_by_hand(net, x), rtol=1e-4, atol=1e-6)


def test_features_of_the_prediction_explain_it_as_its_own_would(case, make_classifier):
    encoded, classifier = Encoded(), make_classifier(members=2)
    run_to_end(classify_steps(*case, classifier, encoded))
    given, own = (run_to_end(explain_steps(*case, classifier, kept)).image for kept in (encoded, None))
    assert np.array_equal(sitk.GetArrayFromImage(given), sitk.GetArrayFromImage(own))


def test_slices_keep_their_own_strength(x, make_classifier):
    """The package would scale each slice to a maximum of 1."""
    peaks = member_heat(make_classifier().networks[0], x).max(axis=(1, 2))
    assert len(set(np.round(peaks, 6))) > 1
    assert not np.isclose(peaks, 1).any()


def test_map_is_on_the_volume_s_grid_and_cut_to_the_dilated_liver(case, make_classifier):
    volume, organs = case
    result = explain(*case, make_classifier(heat_scale=1e-3))
    heat = sitk.GetArrayFromImage(result.image)
    assert result.image.GetSize() == volume.image.GetSize()
    assert result.image.GetOrigin() == volume.image.GetOrigin()
    assert result.image.GetDirection() == volume.image.GetDirection()
    assert heat.max() == pytest.approx(1)
    assert heat.min() >= 0
    far = sitk.GetArrayFromImage(sitk.BinaryDilate(organs.labels, [3, 3, 0])) == 0
    assert heat[far].max() == 0
    assert 0 < result.heat_outside_liver < 1


def test_other_weights_give_another_map(case, make_classifier):
    """A map that only followed the image or the mask would not change."""
    maps = [
        sitk.GetArrayFromImage(explain(*case, make_classifier(str(seed), seed=seed, heat_scale=0.1)).image)
        for seed in (1, 2)
    ]
    inside = case[1].liver
    assert maps[0][inside].std() > 0
    assert abs(np.corrcoef(maps[0][inside], maps[1][inside])[0, 1]) < 0.9


def test_scale_is_fixed(case, make_classifier):
    """Half the scale, twice the heat: the map is not stretched to its own maximum."""
    one, two = (sitk.GetArrayFromImage(explain(*case, make_classifier(str(s), heat_scale=s)).image) for s in (0.1, 0.2))
    assert 0.02 < two.max() < one.max() < 1
    np.testing.assert_allclose(one, 2 * two, rtol=1e-4)


def test_no_evidence_is_an_empty_map(case, make_classifier):
    """Hardly any heat on the fixed scale is not blown up."""
    result = explain(*case, make_classifier(heat_scale=1e9))
    assert result.empty
    assert sitk.GetArrayFromImage(result.image).max() == 0


def test_no_hook_is_left_on_the_network(x, make_classifier):
    net = make_classifier().networks[0]
    member_heat(net, x)
    assert not net.focus._forward_hooks
    assert all(p.grad is None for p in net.parameters())


def test_unmasked_network_shows_heat_outside_and_masked_one_hardly_any(case, make_classifier):
    network = {"backbone": "resnet18", "stages": [1, 2]}
    masked = explain(*case, make_classifier("m", network=network | {"mask": "attention"}, heat_scale=1e-3))
    direct = explain(*case, make_classifier("d", network=network | {"mask": "none"}, heat_scale=1e-3))
    assert masked.heat_outside_liver < 0.6 * direct.heat_outside_liver


def test_share_outside_is_measured_before_the_cut():
    heat, liver = np.zeros((2, 20, 20), np.float32), np.zeros((2, 20, 20), bool)
    liver[:, 5:10, 5:10] = True
    heat[0, 7, 7], heat[0, 18, 18] = 0.6, 0.2
    result = heat_map(sitk.GetImageFromArray(heat), liver)
    assert result.heat_outside_liver == pytest.approx(0.25)
    assert sitk.GetArrayFromImage(result.image)[0, 18, 18] == 0
    assert sitk.GetArrayFromImage(result.image)[0, 7, 7] == pytest.approx(0.6)


def test_a_map_of_another_shape_is_an_error():
    with pytest.raises(AssertionError):
        heat_map(sitk.Image([4, 5, 6], sitk.sitkFloat32), np.zeros((4, 5, 6), bool))


def test_heat_does_not_depend_on_how_many_slices_show_the_liver(x, make_classifier):
    """The same slices twice are the same liver twice as long: the same heat, not half of it."""
    net = make_classifier().networks[0]
    np.testing.assert_allclose(member_heat(net, torch.cat([x, x]))[:6], member_heat(net, x), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("method", ["gradcam", "hirescam"])
def test_heat_of_an_earlier_stage_equals_the_formula_by_hand(x, make_classifier, method):
    """Gradients begin at that stage; Grad-CAM averages them over a slice, HiResCAM takes them cell by cell."""
    net = make_classifier().networks[0]
    net.requires_grad_(True)
    kept = []
    handle = net.backbone.layer1.register_forward_hook(lambda module, inputs, output: kept.append(output))
    logit = net(x).sum()
    handle.remove()
    (gradient,) = torch.autograd.grad(logit, kept[0])
    weights = gradient.mean(dim=(2, 3), keepdim=True) if method == "gradcam" else gradient
    cam = (weights * kept[0]).sum(dim=1, keepdim=True).relu()
    by_hand = F.interpolate(cam, x.shape[-2:], mode="bilinear")[:, 0].detach().numpy()
    net.requires_grad_(False)
    heat = member_heat(net, x, target=HeatTarget("layer1", method))
    assert heat.max() > 0
    np.testing.assert_allclose(heat, x[:, 1].sum().item() / 4**2 * x[:, 1].numpy() * by_hand, rtol=1e-4, atol=1e-6)


def test_naming_the_last_stage_changes_nothing_and_no_hook_stays_on_another(x, make_classifier):
    net = make_classifier().networks[0]
    assert np.array_equal(member_heat(net, x, target=HeatTarget("layer2")), member_heat(net, x))
    member_heat(net, x, target=HeatTarget("layer1"))
    assert not net.backbone.layer1._forward_hooks
    assert not any(p.requires_grad for p in net.backbone.layer1.parameters())


def test_a_stage_that_the_network_lacks_is_refused(x, make_classifier):
    with pytest.raises(ModelError, match="layer1, layer2"):
        member_heat(make_classifier().networks[0], x, target=HeatTarget("layer4"))
