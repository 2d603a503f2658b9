"""Measures of a trained network that no accuracy shows: how much its mask attention adds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.masked_attention import MaskedAttentionNet, liver_share
from pipeline.classification.predict import encode, predict_member

LOGIT_CHANGE = "logit"
"""Key of ``diagnostics`` beside the stages' names."""


def diagnostics(net: MaskedAttentionNet, cases: Sequence[Tensor]) -> dict[str, float]:
    """``attention_shares`` by stage, and ``logit_change`` as ``LOGIT_CHANGE`` where there are two cases at least."""
    change = {LOGIT_CHANGE: logit_change(net, cases)} if len(cases) > 1 else {}
    return attention_shares(net, cases) | change


def logit_change(net: MaskedAttentionNet, cases: Sequence[Tensor]) -> float:
    """Root mean square change of the logit when all attention is switched off, after the mean change, over the SD of
    the logits between cases: 0 is attention that changes no ranking."""
    off = net.without_attention()
    logits, without = (np.array([predict_member(one, x)[0] for x in cases]) for one in (net, off))
    return float(np.std(without - logits) / max(np.std(logits), 1e-9))


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
