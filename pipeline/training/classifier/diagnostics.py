"""Measures of a trained network that no accuracy shows: how much its mask attention adds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from models.masked_attention import MaskedAttentionNet, liver_share
from pipeline.classification.predict import encode


def attention_shares(net: MaskedAttentionNet, cases: Iterable[Tensor]) -> dict[str, float]:
    """By stage: the norm of what its block of mask attention adds, over the norm of the block's output.

    Both norms are over all channels and over the cells of all cases, each weighted by its share of liver: 0 is a block
    that does nothing, and 1 one whose output is its own work alone.

    Args:
        cases: the slices of each, (slices, 2, y, x), on the network's device.
    """
    added: dict[str, float] = defaultdict(float)
    total: dict[str, float] = defaultdict(float)

    def record(name: str, block: nn.Module, inputs: tuple[Any, ...], y: Tensor) -> None:
        x, mask = inputs[:2]
        share = liver_share(mask, y)  # (slices, 1, h, w)
        added[name] += float((share * (y.float() - x.float()).square()).sum())
        total[name] += float((share * y.float().square()).sum())

    hooks = [block.register_forward_hook(partial(record, name)) for name, block in net.attend.items()]
    try:
        for x in cases:
            encode(net, x)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: float(torch.tensor(added[name] / total[name]).sqrt()) for name in total if total[name] > 0}
