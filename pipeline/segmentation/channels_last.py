"""Channels-last memory for nnU-Net: 3-D convolutions on a CPU are faster, with the same result.

PyTorch's instance norm would copy every such tensor back to channels-first. For one sample it equals batch norm with
the sample's own statistics, which keeps the memory format.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class OneSampleNorm(nn.InstanceNorm3d):
    """Instance norm of (1, C, z, y, x) that keeps the memory format; with more samples it is PyTorch's own."""

    def forward(self, input: Tensor) -> Tensor:
        if input.shape[0] != 1 or self.track_running_stats:
            return super().forward(input)
        return F.batch_norm(input, None, None, self.weight, self.bias, training=True, momentum=0.0, eps=self.eps)


def channels_last(network: nn.Module) -> nn.Module:
    """Convert a network in place to channels-last memory and norms that keep it; names and values of weights stay."""
    for module in network.modules():
        if type(module) is nn.InstanceNorm3d:
            module.__class__ = OneSampleNorm
    return network.to(memory_format=torch.channels_last_3d)
