"""What mask attention adds to its stage's output, measured from outside of the block."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.masked_attention import MaskedAttentionNet
from pipeline.training.classifier.diagnostics import attention_shares, logit_change
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


def test_switched_off_attention_changes_the_answers_of_a_trained_network(net, cases):
    inputs = [case.tensor(SPEC) for case in cases[:4]]
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(12):
        logits = net(torch.cat(inputs), [len(x) for x in inputs])[:, 0]
        labels = torch.tensor([float(case.label) for case in cases[:4]])
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert logit_change(net, inputs) > 0.01
    assert min(attention_shares(net, inputs).values()) > 0.01
    assert logit_change(net.without_attention(), inputs) == 0


def test_a_network_without_attention_has_none_to_switch_off(tiny_backbone, cases):
    net = MaskedAttentionNet(TINY, mask="pooling").eval()
    inputs = [case.tensor(SPEC) for case in cases[:4]]
    assert logit_change(net, inputs) == 0
    assert set(attention_shares(net, inputs).values()) == {0.0}
