"""What mask attention adds to its stage's output, measured from outside of the block."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.masked_attention import MaskedAttentionNet
from pipeline.training.classifier.diagnostics import attention_shares
from tests.training.classifier.cohorts import SPEC, TINY


class Doubling(nn.Module):
    """Adds its input inside the mask: half of the output there."""

    def forward(self, x, mask):
        return x * (1 + nn.functional.adaptive_avg_pool2d(mask, x.shape[-2:]).round())


class Nothing(nn.Module):
    def forward(self, x, mask):
        return x


@pytest.fixture
def net(tiny_backbone) -> MaskedAttentionNet:
    torch.manual_seed(0)
    return MaskedAttentionNet(TINY).eval()


def test_shares_are_of_the_output_inside_the_liver(net, cases):
    names = list(net.attend)
    net.attend[names[0]], net.attend[names[1]] = Doubling(), Nothing()
    x = cases[0].tensor(SPEC)
    x[:, 1] = 0
    x[:, 1, 8:24, 8:24] = 1
    shares = attention_shares(net, [x, x])
    assert list(shares) == names
    assert shares[names[0]] == pytest.approx(0.5, abs=1e-3)
    assert shares[names[1]] == 0


def test_the_network_is_left_without_hooks(net, cases):
    attention_shares(net, [cases[0].tensor(SPEC)])
    assert all(not block._forward_hooks for block in net.attend.values())
