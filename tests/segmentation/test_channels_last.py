"""A network on channels-last memory computes what it computed before, forwards and backwards."""

from __future__ import annotations

import copy

import pytest
import torch

from pipeline.segmentation.channels_last import channels_last
from tests.segmentation.conftest import tiny_network


@pytest.mark.parametrize("batch", [1, 2])
def test_outputs_and_gradients_stay(batch):
    plain = tiny_network(5)
    quick = channels_last(copy.deepcopy(plain))
    image = torch.randn(batch, 1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    outputs = [network(image) for network in (plain, quick)]
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-4, atol=1e-5)
    for output in outputs:
        output.square().mean().backward()
    for (name, old), new in zip(plain.named_parameters(), quick.parameters(), strict=True):
        torch.testing.assert_close(new.grad, old.grad, rtol=1e-3, atol=1e-6, msg=name)


def test_weights_keep_their_names_and_one_sample_its_memory_format():
    plain = tiny_network(5)
    quick = channels_last(copy.deepcopy(plain))
    assert list(quick.state_dict()) == list(plain.state_dict())
    quick.load_state_dict(plain.state_dict())
    norm = next(module for module in quick.modules() if isinstance(module, torch.nn.InstanceNorm3d))
    image = torch.randn(1, norm.num_features, 4, 8, 8).to(memory_format=torch.channels_last_3d)
    assert norm(image).is_contiguous(memory_format=torch.channels_last_3d)
