"""The network: what the mask does, and that cases do not mix."""

from __future__ import annotations

import pytest
import torch

from models.masked_attention import (
    BACKBONES,
    AttentionPooling,
    LocalContrast,
    MaskedAttention,
    MaskedAttentionNet,
    box_mean,
    liver_share,
)
from pipeline.errors import ModelError, SegmentationError


@pytest.fixture
def x() -> torch.Tensor:
    """Five slices, 64 x 96: noise, and a square of liver that is another one in each slice."""
    torch.manual_seed(1)
    x = torch.randn(5, 2, 64, 96)
    x[:, 1] = 0
    for i in range(5):
        x[i, 1, 8 + 4 * i : 40, 10 : 40 + 6 * i] = 1
    return x


def network(backbone: str = "resnet18", **arguments) -> MaskedAttentionNet:
    """In evaluation mode, with attention that is not at its first guess."""
    torch.manual_seed(0)
    net = MaskedAttentionNet(backbone, **arguments).eval()
    if net.pool.score is not None:
        torch.nn.init.normal_(net.pool.score[-1].weight)
    return net


@pytest.mark.parametrize("backbone", BACKBONES)
@torch.no_grad()
def test_every_backbone_gives_one_logit_from_cells_of_eight_pixels(backbone):
    x = torch.rand(1, 2, 128, 160)  # the size of an ordinary crop
    net = MaskedAttentionNet(backbone).eval()
    assert net.encode(*net.split(x)).shape[-2:] == (16, 20)
    assert net(x).shape == (1, 1)


@pytest.mark.parametrize("backbone", ["resnet18", "swin_tiny"])
@torch.no_grad()
def test_without_its_gates_the_network_is_its_backbone(backbone):
    x = torch.rand(1, 2, 128, 160)
    net = MaskedAttentionNet(backbone, mask="pooling").eval()
    expected = net.norm(net.backbone(net.contrast(*net.split(x)))[-1])
    torch.testing.assert_close(net.encode(*net.split(x)), net.channels_first(expected))


@torch.no_grad()
def test_attention_scales_features_by_the_liver_share():
    layer = MaskedAttention(3)
    x = torch.randn(1, 3, 2, 2)
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2, :2] = 1  # one cell full
    mask[..., 2, 2] = 1  # one cell a quarter full
    share = torch.tensor([[[[1.0, 0.0], [0.0, 0.25]]]])
    torch.testing.assert_close(layer(x, mask), x * (1 + share * layer.project(x).tanh()))


@torch.no_grad()
def test_fresh_pooling_is_the_mean_over_the_liver(x):
    features = torch.randn(5, 8, 4, 6)
    share = liver_share(x[:, 1:], features)
    pooled, weights = AttentionPooling(8)(features, share)
    torch.testing.assert_close(pooled, (features * share).sum((0, 2, 3)) / share.sum())
    torch.testing.assert_close(weights, share.sum((1, 2, 3)) / share.sum())


@pytest.mark.parametrize("dim", [2, 3])
def test_box_mean_averages_what_is_there(dim):
    x = torch.randn(2, 2, 20, 30)
    kernel, pad = ((5, 1), (2, 0)) if dim == 2 else ((1, 5), (0, 2))
    expected = torch.nn.functional.avg_pool2d(x, kernel, 1, pad, count_include_pad=False)
    torch.testing.assert_close(box_mean(x, 5, dim), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_local_contrast_removes_shading_and_keeps_septa():
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    mask = (((y - 32) ** 2 + (x - 48) ** 2) < 28**2).float()[None, None]
    plain, septum = 0.3 * (x / 96 - 0.5)[None, None], 0.2 * (x == 48).float()[None, None]
    inside = (mask[0, 0] > 0) & (((y - 32) ** 2 + (x - 48) ** 2) < 20**2)
    shaded = LocalContrast()(plain * mask + (1 - mask), mask)[0, 1]
    drawn = LocalContrast()((plain + septum) * mask + (1 - mask), mask)[0, 1]
    assert shaded[inside].abs().max() < 0.3  # in units of 0.15 of the liver's median: a third of it is left at most
    assert (drawn - shaded)[32, 48] > 1


@torch.no_grad()
def test_cases_of_a_batch_do_not_mix(x):
    net = network()
    together = net(x, [3, 2])
    torch.testing.assert_close(together, torch.cat([net(x[:3]), net(x[3:])]))
    assert not torch.isclose(together[0], together[1])
    torch.testing.assert_close(net(x[:4], 2), net(x[:4], [2, 2]))


@torch.no_grad()
def test_weights_sum_to_one_and_a_slice_without_liver_counts_nothing(x):
    x[1, 1] = 0
    _, weights = network().forward_with_weights(x, [3, 2])
    torch.testing.assert_close(torch.stack([weights[:3].sum(), weights[3:].sum()]), torch.ones(2))
    assert weights[1] == 0
    assert (weights[[0, 2, 3, 4]] > 0).all()


@torch.no_grad()
def test_fresh_weights_follow_the_liver_area(x):
    _, weights = MaskedAttentionNet().eval().forward_with_weights(x)
    area = x[:, 1].sum((1, 2))
    torch.testing.assert_close(weights, area / area.sum())


def test_gradients_are_finite_with_an_empty_slice(x):
    x[0, 1] = 0
    net = network().train()
    net(torch.cat([x, x + 0.1]), 5).sum().backward()  # two cases, whose features are standardised together
    assert all(bool(torch.isfinite(p.grad).all()) for p in net.parameters() if p.grad is not None)


@pytest.mark.parametrize("counts", [None, [3, 2]])
def test_a_case_without_liver_is_refused(x, counts):
    x[3:] = 0
    x = x if counts else x[3:]
    with pytest.raises(SegmentationError, match="No liver"):
        network()(x, counts)


@torch.no_grad()
def test_mask_counts_with_attention_and_not_without(x):
    other = x.clone()
    other[:, 1] = other[:, 1].flip(-1)
    assert not torch.isclose(network()(x), network()(other))
    assert not torch.isclose(network(mask="pooling")(x), network(mask="pooling")(other))
    assert torch.equal(network(mask="none")(x), network(mask="none")(other))


@torch.no_grad()
def test_ablations_see_the_outline_only_or_everything_but_the_liver(x):
    other_image, other_liver = x.clone(), x.clone()
    other_image[:, 0] += 1
    other_liver[:, 0] += x[:, 1]
    outline, background = network(mask="mask_only"), network(mask="background_only")
    assert torch.equal(outline(x), outline(other_image))
    assert torch.equal(background(x), background(other_liver))
    assert not torch.isclose(background(x), background(other_image))


@torch.no_grad()
def test_without_the_spleen_only_the_patient_s_right_counts(x):
    left, right = x.clone(), x.clone()
    left[:, 0, :, 48:] += 1
    right[:, 0, :, :48] += 1
    net = network(mask="background_only_without_spleen")
    assert torch.equal(net(x), net(left))
    assert not torch.isclose(net(x), net(right))


@pytest.mark.parametrize("arguments", [{"backbone": "vgg"}, {"mask": "hard"}])
def test_unknown_names_are_refused(arguments):
    with pytest.raises(ModelError, match="must be one of"):
        MaskedAttentionNet(**arguments)
