"""A fake abdomen: the one volume with organs that the tests of all rooms make theirs from. No file is touched."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk

from pipeline.case import LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, SPLEEN

Box = tuple[slice, slice, slice]
"""Part of a volume, (z, y, x)."""

T2 = (160.0, 220.0, 380.0, 380.0, 320.0)
"""Brightness of the body and, by label, of liver, right and left kidney and spleen on a T2-weighted image."""


def organ_labels(size_xyz: Sequence[int]) -> np.ndarray:
    """(z, y, x) uint8: a liver in the patient's right (low x) half that is largest in the middle slice, spleen and
    kidneys where they belong. Values as in ``pipeline.case``."""
    nx, ny, nz = size_xyz
    z, y, x = np.meshgrid(*(np.linspace(0, 1, n) for n in (nz, ny, nx)), indexing="ij")

    def ball(centre_zyx: tuple[float, float, float], radius_zyx: tuple[float, float, float]) -> np.ndarray:
        (cz, cy, cx), (rz, ry, rx) = centre_zyx, radius_zyx
        return ((z - cz) / rz) ** 2 + ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1

    labels = np.zeros((nz, ny, nx), np.uint8)
    labels[ball((0.3, 0.70, 0.33), (0.25, 0.10, 0.08))] = RIGHT_KIDNEY
    labels[ball((0.3, 0.70, 0.67), (0.25, 0.10, 0.08))] = LEFT_KIDNEY
    labels[ball((0.6, 0.60, 0.82), (0.25, 0.14, 0.08))] = SPLEEN
    labels[ball((0.6, 0.42, 0.30), (0.38, 0.26, 0.20))] = LIVER
    return labels


def make_abdomen(
    size_xyz: Sequence[int] = (40, 32, 10),
    spacing_mm_xyz: Sequence[float] = (8.0, 8.0, 20.0),
    *,
    liver: Box | None = None,
    brightness: Sequence[float] = T2,
    noise: float = 12.0,
    seed: int = 0,
) -> tuple[sitk.Image, sitk.Image]:
    """A float32 image and its uint8 labels, LPS, with an origin that is not zero.

    The organs of ``organ_labels`` in a body with air around it; with a box for ``liver`` that box is the only organ and
    all the rest is body, for tests that count voxels. ``brightness`` is of the body and of each label, ``noise`` the
    standard deviation.
    """
    if liver is None:
        labels = organ_labels(size_xyz)
        y, x = (np.linspace(-1, 1, n) for n in labels.shape[1:])
        body = (y[:, None] / 0.85) ** 2 + (x / 0.95) ** 2 < 1
    else:
        labels, body = np.zeros(tuple(reversed(size_xyz)), np.uint8), np.True_
        labels[liver] = LIVER
    noisy = np.array(brightness, np.float32)[labels] * body + np.random.default_rng(seed).normal(0, noise, labels.shape)
    return as_image(noisy.clip(0).astype(np.float32), spacing_mm_xyz), as_image(labels, spacing_mm_xyz)


def as_image(array: np.ndarray, spacing_mm_xyz: Sequence[float] = (8.0, 8.0, 20.0)) -> sitk.Image:
    """An LPS image of a (z, y, x) array: x and y about the origin, z from 35 mm on."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(mm) for mm in spacing_mm_xyz])
    width_mm, height_mm, _ = (n * mm for n, mm in zip(image.GetSize(), spacing_mm_xyz, strict=True))
    image.SetOrigin((-width_mm / 2, -height_mm / 2, 35.0))
    return image
