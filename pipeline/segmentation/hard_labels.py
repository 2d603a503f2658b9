"""From logits to labels."""

from __future__ import annotations

import torch
from torch import Tensor


def hard_labels(logits: Tensor) -> Tensor:
    """The label with the largest logit, the first of equal ones: (label, ...) -> (...) uint8.

    ``argmax`` over the first axis takes about ten times as long on a CPU.
    """
    best, labels = logits[0], torch.zeros(logits.shape[1:], dtype=torch.uint8)
    for label in range(1, len(logits)):
        labels.masked_fill_(logits[label] > best, label)
        best = torch.maximum(best, logits[label])
    return labels
