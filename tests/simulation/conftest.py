"""Organ labels that several tests of the simulation put signs and faults into."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.case import LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, SPLEEN


@pytest.fixture
def organs() -> np.ndarray:
    """(z, y, x): a liver of about 150 x 135 x 100 mm on the patient's right and a small spleen on the left."""
    z, y, x = np.ogrid[:14, :90, :120]
    labels = np.zeros((14, 90, 120), np.uint8)
    labels[((z - 7) / 5) ** 2 + ((y - 42) / 27) ** 2 + ((x - 40) / 30) ** 2 < 1] = LIVER
    labels[((z - 7) / 3) ** 2 + ((y - 60) / 12) ** 2 + ((x - 98) / 10) ** 2 < 1] = SPLEEN
    return labels


ABDOMEN_MM_ZYX = np.array([8.0, 3.0, 3.0])


@pytest.fixture
def abdomen() -> tuple[np.ndarray, np.ndarray]:
    """Image and labels (24, 90, 110) of 8 x 3 x 3 mm: liver, kidneys and spleen in an elliptic body with a wall."""
    z, y, x = np.meshgrid(
        *(np.arange(n) * s for n, s in zip((24, 90, 110), ABDOMEN_MM_ZYX, strict=True)), indexing="ij"
    )

    def ellipsoid(centre: tuple[float, ...], half: tuple[float, ...]) -> np.ndarray:
        return sum(((g - c) / h) ** 2 for g, c, h in zip((z, y, x), centre, half, strict=True)) < 1

    cavity = ellipsoid((96, 135, 165), (1e4, 92, 132))
    labels = np.zeros(z.shape, np.uint8)
    labels[ellipsoid((110, 120, 95), (65, 80, 75)) & cavity] = LIVER
    labels[ellipsoid((115, 165, 265), (40, 40, 35)) & cavity] = SPLEEN
    labels[ellipsoid((70, 185, 115), (45, 22, 22))] = RIGHT_KIDNEY
    labels[ellipsoid((75, 185, 215), (45, 22, 22))] = LEFT_KIDNEY
    image = np.where(ellipsoid((96, 135, 165), (1e4, 112, 152)), 100, 0).astype(np.float32)
    image[labels == LIVER] = 300
    image[np.isin(labels, (SPLEEN, RIGHT_KIDNEY, LEFT_KIDNEY))] = 600
    return image, labels
