"""Organ labels that several tests of the simulation put signs and faults into."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.case import LIVER, SPLEEN


@pytest.fixture
def organs() -> np.ndarray:
    """(z, y, x): a liver of about 150 x 135 x 100 mm on the patient's right and a small spleen on the left."""
    z, y, x = np.ogrid[:14, :90, :120]
    labels = np.zeros((14, 90, 120), np.uint8)
    labels[((z - 7) / 5) ** 2 + ((y - 42) / 27) ** 2 + ((x - 40) / 30) ** 2 < 1] = LIVER
    labels[((z - 7) / 3) ** 2 + ((y - 60) / 12) ** 2 + ((x - 98) / 10) ** 2 < 1] = SPLEEN
    return labels
