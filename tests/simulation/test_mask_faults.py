"""Degraded liver masks: each fault, and the score that the result gets."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.case import LIVER, SPLEEN
from pipeline.simulation.mask_faults import FAULTS, degrade
from pipeline.statistics.overlap import compare
from pipeline.thresholds import segmentation_score

SPACING_ZYX = np.array([10.0, 2.5, 2.5])


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_spoils_the_liver_its_own_way(fault, organs, monkeypatch):
    monkeypatch.setattr("pipeline.simulation.mask_faults.FAULTS", {fault: FAULTS[fault]})
    image = np.full(organs.shape, 400, np.float32)
    truth, found = organs == LIVER, []
    for seed in range(8):
        spoilt, names = degrade(organs, image, SPACING_ZYX, np.random.default_rng(seed))
        assert names == fault
        assert not np.array_equal(spoilt == LIVER, truth)
        assert np.array_equal((spoilt == SPLEEN) & ~truth, (organs == SPLEEN) & (spoilt != LIVER))
        found.append((spoilt == LIVER).sum() / truth.sum())
    if fault in ("missing_lobe", "under_segmented"):
        assert 0.2 < min(found) <= max(found) < 1
    if fault in ("leak", "over_segmented"):
        assert min(found) > 1


def test_no_poor_mask_is_excellent_and_many_are_poor(organs):
    image, truth = np.full(organs.shape, 400, np.float32), organs == LIVER
    scores = []
    for seed in range(24):
        spoilt, _ = degrade(organs, image, SPACING_ZYX, np.random.default_rng(seed))
        measured = compare(spoilt == LIVER, truth, tuple(SPACING_ZYX))
        scores.append(segmentation_score(measured["dice"], measured["hd95_mm"]))
    assert set(scores) == {2, 3}
    assert scores.count(3) > 6, "poor is the rule"


@pytest.mark.parametrize(
    ("dice", "hd95_mm", "expected"),
    [(0.96, 5, 1), (0.93, 20, 1), (0.92, 5, 2), (0.80, 20, 2), (0.79, 5, 3), (0.97, 21, 3)],
)
def test_scores_follow_dice_and_distance(dice, hd95_mm, expected):
    assert segmentation_score(dice, hd95_mm) == expected
