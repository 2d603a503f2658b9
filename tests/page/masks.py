"""Masks as the page sends them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable

import numpy as np


def sent_mask(mask: np.ndarray) -> str:
    """What the page sends of a (z, y, x) bool mask."""
    flat = np.concatenate(([False], mask.ravel()))
    edges = np.flatnonzero(np.diff(flat)).tolist()
    lengths = np.diff([0, *edges, mask.size]).tolist()
    return json.dumps({"size_xyz": list(mask.shape[::-1]), "runs": base64.b64encode(leb128(lengths)).decode()})


def leb128(lengths: Iterable[int]) -> bytes:
    coded = bytearray()
    for length in lengths:
        while length > 127:
            coded.append(length & 127 | 128)
            length >>= 7
        coded.append(length)
    return bytes(coded)
