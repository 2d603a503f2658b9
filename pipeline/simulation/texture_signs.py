"""Signs of fibrosis in the signal of the organs: septa, nodules, confluent fibrosis and ascites."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from pipeline.case import LIVER, SPLEEN
from pipeline.simulation.fibrosis_signs import FibrosisSigns
from pipeline.simulation.fields import Array, padded_box, signed_distance, smooth_field

SUBSLICES = 3
"""Layers per slice that the texture is averaged over, as a thick slice averages thin septa."""


def add_texture(
    image: Array, labels: Array, signs: FibrosisSigns, spacing_mm_zyx: Array, rng: np.random.Generator
) -> Array:
    """Add septa, nodules and a confluent wedge to the liver of ``image`` (z, y, x), in place.

    Returns:
        Change of signal (z, y, x) float32, as a share of the parenchyma's signal.
    """
    relative = np.zeros(image.shape, np.float32)
    liver = labels == LIVER
    if not liver.any():
        return relative
    box = padded_box(liver, spacing_mm_zyx, 4)
    inside = liver[box]
    change = np.zeros(inside.shape, np.float32)
    if signs.septa or signs.nodules:
        change[inside] = _lace(inside, signs, spacing_mm_zyx, rng)
    if signs.confluent:
        change += signs.confluent * _wedge(inside, spacing_mm_zyx, rng)
    normal = np.median(image[box][inside])
    # Vessels and bile ducts keep their brightness: only tissue near the parenchyma's own signal changes.
    tissue = np.clip(1.6 - np.abs(image[box] / normal - 1) / 0.3, 0, 1)
    soft = np.minimum(ndimage.gaussian_filter(inside.astype(np.float32), (0, 0.7, 0.7)), inside)
    relative[box] = change * tissue * soft
    image[box] += normal * relative[box]
    return relative


def _lace(inside: Array, signs: FibrosisSigns, spacing_mm_zyx: Array, rng: np.random.Generator) -> Array:
    """Relative change of signal in the liver's voxels (n,).

    The cells of a bent Voronoi pattern are nodules, its borders septa.
    """
    shape = (inside.shape[0] * SUBSLICES, *inside.shape[1:])
    fine = np.array([spacing_mm_zyx[0] / SUBSLICES, spacing_mm_zyx[1], spacing_mm_zyx[2]])
    extent = np.array(shape) * fine
    # Cells are thinned out unevenly, so that nodules differ in size.
    count = int(np.prod(extent + 20) / signs.nodule_mm**3 * 1.5)
    seeds = rng.uniform(-10, extent + 10, (count, 3))
    seeds = seeds[rng.uniform(size=count) < rng.beta(2.5, 1.2, size=count)]
    z, y, x = np.nonzero(np.repeat(inside, SUBSLICES, axis=0))
    points = np.stack([z, y, x], 1).astype(np.float32) * fine.astype(np.float32)
    for axis in range(3):
        points[:, axis] += 0.22 * signs.nodule_mm * smooth_field(rng, shape, fine, 1.1 * signs.nodule_mm)[z, y, x]
    distances, cells = cKDTree(seeds).query(points, k=2)
    gap, cell = np.asarray(distances), np.asarray(cells)
    first, second = cell.min(1).astype(np.int64), cell.max(1).astype(np.int64)
    # A border is the same for both its cells: its thickness and strength come from the pair.
    pair = (first * 7919 + second * 104729) % 1009 / np.float32(1009)
    carries = np.clip((signs.septa_complete - pair) / 0.15 + 0.5, 0, 1) * (0.6 + 0.8 * ((pair * 37) % 1))
    width = 0.55 + 0.5 * ((pair * 17) % 1)
    wall = np.exp(-(((gap[:, 1] - gap[:, 0]) / (2 * width)) ** 2))
    patch = np.clip(1 + 0.45 * smooth_field(rng, shape, fine, 32)[z, y, x], 0.15, 1.6)
    dark = rng.uniform(0.3, 1.2, len(seeds))
    iron = rng.uniform(size=len(seeds)) < signs.siderotic
    own = cell[:, 0]
    nodule = (signs.nodules * dark[own] + 0.35 * iron[own]) * (1 - wall)
    change = patch * (signs.septa * wall * carries - nodule)
    total = np.zeros(shape, np.float32)
    total[z, y, x] = change
    return total.reshape(inside.shape[0], SUBSLICES, *inside.shape[1:]).mean(1)[inside]


def _wedge(inside: Array, spacing_mm_zyx: Array, rng: np.random.Generator) -> Array:
    """A cone from the liver's middle to its anterior surface, 0-1 with soft sides: confluent fibrosis."""
    places = np.argwhere(inside) * spacing_mm_zyx
    middle = places.mean(0)
    front = places[places[:, 1] < np.quantile(places[:, 1], 0.06)]
    tip = middle + rng.normal(0, 8, 3)
    base = front[rng.integers(len(front))]
    axis = (base - tip) / (np.linalg.norm(base - tip) + 1e-6)
    z, y, x = (np.arange(n, dtype=np.float32) * s for n, s in zip(inside.shape, spacing_mm_zyx, strict=True))
    offset = [z[:, None, None] - tip[0], y[:, None] - tip[1], x - tip[2]]
    along = sum(o * a for o, a in zip(offset, axis, strict=True))
    across = np.sqrt(np.maximum(sum(o * o for o in offset) - along**2, 0))
    ragged = 3 * smooth_field(rng, inside.shape, spacing_mm_zyx, 9)
    inner = (np.maximum(along, 0) * 0.36 - across + ragged) / 6
    return (np.clip(inner + 0.5, 0, 1) * (along > 6)).astype(np.float32)


def add_ascites(
    image: Array, labels: Array, signs: FibrosisSigns, spacing_mm_zyx: Array, rng: np.random.Generator
) -> None:
    """Turn the outer layer of the liver, and half as much of the spleen, into bright fluid, in image and labels.

    The fluid fills the organ's hull, which is smooth like the peritoneum; inwards it ends at a nodular surface.
    """
    if not signs.ascites_mm:
        return
    bright = float(np.percentile(image, 99.3))
    for organ, share in ((LIVER, 1.0), (SPLEEN, 0.5)):
        mask = labels == organ
        if not mask.any():
            continue
        box = padded_box(mask, spacing_mm_zyx, 14)
        inside = mask[box]
        hull = signed_distance(inside, spacing_mm_zyx)
        depth = ndimage.gaussian_filter(hull.astype(np.float32), (0.5, *(6 / spacing_mm_zyx[1:]))) + 1.5
        side = np.linspace(1, -1, inside.shape[2]) * (1 if organ == LIVER else -1)
        front = np.linspace(1, -1, inside.shape[1])[:, None]
        outer = np.clip(0.6 * side + 0.5 * front, -1, 1)
        uneven = 1 + 0.5 * smooth_field(rng, inside.shape, spacing_mm_zyx, 45)
        nodular = 0.6 * signs.surface_mm * smooth_field(rng, inside.shape, spacing_mm_zyx, max(5.0, signs.nodule_mm))
        fluid = np.clip((share * signs.ascites_mm * outer * uneven + nodular - depth) / 1.2 + 0.5, 0, 1)
        # Beyond the hull only protruding parts of the organ become fluid, never other organs or the body wall.
        fluid *= (inside | ((depth > 0) & (labels[box] == 0))) & (outer > 0)
        fluid = ndimage.gaussian_filter(fluid.astype(np.float32), (0, 0.6, 0.6))
        image[box] += fluid * (bright - image[box])
        labels[box][inside & (fluid > 0.5)] = 0
