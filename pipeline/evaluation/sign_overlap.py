"""Overlap of a heat map with simulated signs inside the liver: pointing game, AUC and rank correlation of one case.

Signs (septa, nodules) are finer than the cells of a network, and cover most of a diseased liver more or less densely.
So the change of signal and the heat are both averaged over the liver's part of a square of one side, the scale, in
plane; what is asked is whether the heat lies where the signs are strong at that scale.

Sources: Zhang et al., Int J Comput Vis 126 (2018) 1084 for the pointing game.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.stats import rankdata

from pipeline.statistics.auc import auc

SIGN_SHARE = 0.25
"""Share of a liver that counts as sign: its voxels with the strongest local change, if there is any."""
SIGN_CHANGE = 0.05
"""Local change of signal, as a share of the parenchyma's, from which a voxel counts as sign by a fixed threshold."""
LEAST_CLASS = 0.05
"""Share of the liver that sign and no sign by ``SIGN_CHANGE`` must each have for an AUC."""
TOLERANCE_MM = 5.0
"""Distance in plane from a sign within which the hottest voxel counts as a hit."""
LEAST_CHANGE = 0.02
"""Mean change of signal in the liver from which a case is measured."""


@dataclass(frozen=True)
class Localisation:
    """How well one map shows where the signs of one case are, at one scale."""

    pointing: float
    """1 where the hottest voxel lies within ``TOLERANCE_MM`` of a sign, else 0; the mean over equally hot voxels."""
    pointing_chance: float
    """The same of a random voxel of the liver."""
    auc: float
    """Of the heat, for the ``SIGN_SHARE`` of the liver with the strongest signs against the rest; by chance 0.5."""
    auc_fixed: float
    """The same for a local change from ``SIGN_CHANGE``; NaN where one side has less than ``LEAST_CLASS``."""
    correlation: float
    """Spearman's, of heat and local change; 0 for a map without variation."""


class LocalSigns:
    """The signs of one case at one scale.

    Args:
        change: (z, y, x) change of signal as a share of the parenchyma's, 0 or more.
        liver: (z, y, x) bool, where the measures are taken; not empty.
        spacing_mm_zyx: of both.
        scale_mm: side of the square that is averaged over.
    """

    def __init__(self, change: np.ndarray, liver: np.ndarray, spacing_mm_zyx: Sequence[float], scale_mm: float) -> None:
        self.box = ndimage.find_objects(liver.astype(np.uint8))[0]
        self.liver = liver[self.box]
        self.sides = [max(1, round(scale_mm / mm)) for mm in spacing_mm_zyx[1:]]
        self.share = box_mean(self.liver.astype(np.float32), self.sides)[self.liver]
        self.change = self.local_mean(change)  # (n,)
        self.sign = (self.change >= np.quantile(self.change, 1 - SIGN_SHARE)) & (self.change > 0)
        self.fixed_sign = self.change >= SIGN_CHANGE
        self.near = self._within_tolerance(spacing_mm_zyx)

    def local_mean(self, values: np.ndarray) -> np.ndarray:
        """Means over the liver's part of the square around each voxel of the liver, (z, y, x) -> (n,)."""
        inside = np.where(self.liver, values[self.box], 0).astype(np.float32)
        return box_mean(inside, self.sides)[self.liver] / self.share

    def localisation(self, heat: np.ndarray) -> Localisation:
        """Measure a map, (z, y, x), higher where it says signs are."""
        local = self.local_mean(heat)
        share = float(self.fixed_sign.mean())
        return Localisation(
            pointing=float(self.near[local == local.max()].mean()),
            pointing_chance=float(self.near.mean()),
            auc=auc(self.sign, local),
            auc_fixed=auc(self.fixed_sign, local) if LEAST_CLASS <= share <= 1 - LEAST_CLASS else math.nan,
            correlation=rank_correlation(local, self.change),
        )

    def similarity(self, first: np.ndarray, second: np.ndarray) -> float:
        """Rank correlation of two maps, (z, y, x)."""
        return rank_correlation(self.local_mean(first), self.local_mean(second))

    def _within_tolerance(self, spacing_mm_zyx: Sequence[float]) -> np.ndarray:
        """(n,) bool: which voxels of the liver have a sign within ``TOLERANCE_MM`` in plane."""
        signs = np.zeros(self.liver.shape, bool)
        signs[self.liver] = self.sign
        near = [
            ndimage.distance_transform_edt(~plane, sampling=spacing_mm_zyx[1:]) <= TOLERANCE_MM
            if plane.any()
            else np.zeros_like(plane)
            for plane in signs
        ]
        return np.stack(near)[self.liver]


def box_mean(values: np.ndarray, sides_yx: Sequence[int]) -> np.ndarray:
    """Mean over a square around each voxel in plane, (z, y, x) float32; 0 beyond the array."""
    for axis, side in zip((1, 2), sides_yx, strict=True):
        values = ndimage.uniform_filter1d(values, side, axis=axis, mode="constant")
    return values


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's correlation, ties by mean ranks; 0 where one of them does not vary."""
    ranks = [rankdata(values) for values in (first, second)]
    if min(float(np.ptp(values)) for values in ranks) == 0:
        return 0.0
    return float(np.corrcoef(ranks)[0, 1])
