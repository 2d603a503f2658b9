"""Collateral vessels of portal hypertension: varices at the splenic hilum and a recanalised umbilical vein.

Each is a tube around a tortuous centre line. Flowing blood is dark on T2-weighted spin echo, slow flow bright.

Arrays are (z, y, x); z runs from the feet to the head, y to the back, x to the patient's left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from pipeline.case import LIVER, SPLEEN
from pipeline.simulation.body import skin_depth
from pipeline.simulation.fibrosis_signs import FibrosisSigns
from pipeline.simulation.fields import Array

SUBSLICES = 3
"""Layers per slice that a tube is averaged over."""
STEP_MM = 0.7
"""Distance of points along a centre line, about."""
FLOW_VOID, SLOW_FLOW = 0.06, 0.8
"""Signal of flowing and of slow blood, relative to the image's 99th percentile."""


@dataclass(frozen=True)
class _Tube:
    """A vessel: centre line (n, 3) z, y, x in mm and radius in mm at each of its points."""

    line: Array
    radius: Array


def add_vessels(
    image: Array, labels: Array, signs: FibrosisSigns, spacing_mm_zyx: Array, rng: np.random.Generator
) -> Array:
    """Add the collateral vessels that the signs name to ``image``, in place; organs keep their labels.

    Returns:
        Share of blood in every voxel, (z, y, x) float32, 0-1.
    """
    shares = np.zeros(image.shape, np.float32)
    places = {value: np.argwhere(labels == value) * spacing_mm_zyx for value in (LIVER, SPLEEN)}
    if not len(places[LIVER]):
        return shares
    if signs.varices_mm and len(places[SPLEEN]):
        tubes = _varices(places[LIVER], places[SPLEEN], signs.varices_mm, rng)
        # What is as bright as fluid is content of stomach or bowel.
        tissue = np.clip((0.75 - image / np.percentile(image, 99)) / 0.2, 0, 1) * (labels == 0)
        shares = np.maximum(shares, _share(tubes, labels.shape, spacing_mm_zyx) * tissue)
    if signs.umbilical_mm:
        skin = skin_depth(image, spacing_mm_zyx)
        tubes = [_umbilical_vein(places[LIVER], skin, signs.umbilical_mm, spacing_mm_zyx, rng)]
        # Within the liver it runs in the fissure, which is part of the organ's outline.
        drawn = _share(tubes, labels.shape, spacing_mm_zyx) * np.isin(labels, (0, LIVER)) * (skin > 6)
        shares = np.maximum(shares, drawn)
    blood = np.percentile(image, 99) * (SLOW_FLOW if signs.slow_flow else FLOW_VOID)
    image += shares * (np.float32(blood) - image)
    return shares


def _varices(liver: Array, spleen: Array, diameter_mm: float, rng: np.random.Generator) -> list[_Tube]:
    """Two to four tubes from the splenic hilum towards the stomach's back and the left lobe's tip.

    Args:
        liver, spleen: (n, 3) positions of the organs' voxels, mm.
    """
    middle = spleen[np.abs(spleen[:, 0] - np.median(spleen[:, 0])) < 15]
    hilum = middle[middle[:, 2] <= np.quantile(middle[:, 2], 0.05)].mean(0) - (0, 0, 5)
    left_tip = liver[liver[:, 2] >= np.quantile(liver[:, 2], 0.97)].mean(0)
    axis_x = (liver[:, 2].max() + spleen[:, 2].min()) / 2
    tubes = []
    for _ in range(rng.integers(2, 5)):
        towards = np.array([left_tip[0], (hilum[1] + left_tip[1]) / 2, min(axis_x, hilum[2] - 20)])
        end = hilum + rng.uniform(0.5, 1.0) * (towards - hilum) + rng.normal(0, (10, 8, 5))
        start = hilum + rng.normal(0, (10, 8, 2))
        tubes.append(_tortuous([start, end], 0.5 * diameter_mm * rng.uniform(0.6, 1.1), rng, sway_mm=8))
    return tubes


def _umbilical_vein(
    liver: Array, skin: Array, diameter_mm: float, spacing_mm_zyx: Array, rng: np.random.Generator
) -> _Tube:
    """A tube from the left portal vein through the falciform ligament to the abdominal wall, then towards the navel.

    Args:
        liver: (n, 3) positions of the liver's voxels, mm.
        skin: (z, y, x) depth below the skin, mm.
    """
    middle = np.argwhere(skin.max(0) > 0).mean(0)[1] * spacing_mm_zyx[2]
    x = np.clip(middle - 8, np.quantile(liver[:, 2], 0.55), np.quantile(liver[:, 2], 0.85))
    strip = liver[np.abs(liver[:, 2] - x) < 6]
    low, high = np.quantile(strip[:, 0], [0.3, 0.55])
    portal = np.array([high, np.median(strip[:, 1]), x])
    edge = np.array([low, strip[np.abs(strip[:, 0] - low) < 8][:, 1].min() - 2, x + 3])
    bottom = max(low - rng.uniform(35, 70), 0.0)
    walls = [np.array([z, _wall_y(skin, z, middle, spacing_mm_zyx), middle]) for z in (low - 12, bottom)]
    return _tortuous([portal, edge, *walls], 0.5 * diameter_mm, rng, sway_mm=3)


def _wall_y(skin: Array, z_mm: float, x_mm: float, spacing_mm_zyx: Array) -> float:
    """y in mm, 16 mm below the skin of the abdomen's front."""
    z, x = (
        int(np.clip(round(v / s), 0, n - 1))
        for v, s, n in zip((z_mm, x_mm), spacing_mm_zyx[[0, 2]], (skin.shape[0], skin.shape[2]), strict=True)
    )
    below = np.flatnonzero(skin[z, :, x] > 16)
    return float(below[0] * spacing_mm_zyx[1]) if below.size else 0.0


def _tortuous(through: list[Array], radius_mm: float, rng: np.random.Generator, *, sway_mm: float) -> _Tube:
    """A tube through some points, swaying between its ends; its radius varies by about a fifth."""
    corners = np.array(through)
    lengths = np.r_[0, np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))]
    count = max(int(1.6 * lengths[-1] / STEP_MM), 8)
    along = np.linspace(0, lengths[-1], count)
    line = np.stack([np.interp(along, lengths, corners[:, k]) for k in range(3)], 1)
    line = ndimage.gaussian_filter1d(line, 8 / STEP_MM, axis=0, mode="nearest")
    noise = rng.standard_normal((count, 4))
    smooth = ndimage.gaussian_filter1d(noise, 5 / STEP_MM, axis=0, mode="reflect")
    smooth /= smooth.std(0) + 1e-6
    fade = np.minimum(1, np.minimum(along, lengths[-1] - along) / 10)[:, None]
    line = line + sway_mm * smooth[:, :3] * fade * (0.6, 1, 1)
    return _Tube(line, radius_mm * np.clip(1 + 0.2 * smooth[:, 3], 0.6, 1.4))


def _share(tubes: list[_Tube], shape: tuple[int, ...], spacing_mm_zyx: Array) -> Array:
    """Share (z, y, x), 0-1, of every voxel within the tubes, averaged over the slice."""
    line, radius = np.concatenate([t.line for t in tubes]), np.concatenate([t.radius for t in tubes])
    margin = float(radius.max()) + 2
    fine = np.array([spacing_mm_zyx[0] / SUBSLICES, *spacing_mm_zyx[1:]])
    low = np.maximum(np.floor((line.min(0) - margin) / spacing_mm_zyx).astype(int), 0)
    high = np.minimum(np.ceil((line.max(0) + margin) / spacing_mm_zyx).astype(int) + 1, shape)
    result = np.zeros(shape, np.float32)
    if (high <= low).any():
        return result
    z = (np.arange(low[0] * SUBSLICES, high[0] * SUBSLICES) - (SUBSLICES - 1) / 2) * fine[0]
    y, x = (np.arange(low[k], high[k]) * fine[k] for k in (1, 2))
    points = np.stack([g.ravel() for g in np.meshgrid(z, y, x, indexing="ij")], 1)
    distance, nearest = cKDTree(line, leafsize=32).query(points, distance_upper_bound=margin)
    depth = np.append(radius, 0)[nearest] - distance
    share = np.clip(depth / fine[1] + 0.5, 0, 1).reshape(len(z) // SUBSLICES, SUBSLICES, len(y), len(x)).mean(1)
    result[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = share
    return result
