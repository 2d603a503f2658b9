"""nnU-Net's U-Nets on volumes whose sides are no multiple of the network's strides, without padding."""

from __future__ import annotations

import torch
from dynamic_network_architectures.building_blocks.unet_decoder import UNetDecoder
from torch import Tensor, nn


class AnySizeDecoder(UNetDecoder):
    """A decoder that crops what it upsamples to the size of the skip connection; equal where the sizes agree."""

    def forward(self, skips: list[Tensor]) -> Tensor:
        below = skips[-1]
        for upsample, stage, skip in zip(self.transpconvs, self.stages, skips[-2::-1], strict=True):
            inside = tuple(slice(0, size) for size in skip.shape[2:])
            below = stage(torch.cat((upsample(below)[(..., *inside)], skip), 1))
        return self.seg_layers[-1](below)


def any_size(network: nn.Module) -> nn.Module:
    """Convert a network without deep supervision in place: each stride-2 stage keeps the last odd voxel.

    A strided convolution rounds up; a residual block's average pooling is made to do so too.
    """
    for module in network.modules():
        if type(module) is UNetDecoder and not module.deep_supervision:
            module.__class__ = AnySizeDecoder
        elif isinstance(module, nn.AvgPool2d | nn.AvgPool3d):
            module.ceil_mode = True
    return network
