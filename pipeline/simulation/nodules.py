"""Regenerative nodules and the septa between them, as a relative change of the liver's signal.

Nodules are the cells of a bent power diagram whose sites have radii of two populations (micro- and macronodular), so
that small and large ones lie side by side. Septa run along the cells' borders: they taper and end blindly where a
smooth field falls below the share of complete ones, widen where three cells meet, and are broad and long (bridging)
between groups of cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from pipeline.simulation.fibrosis_signs import FibrosisSigns
from pipeline.simulation.fields import Array, smooth_field

SUBSLICES = 3
"""Layers per slice that the texture is averaged over, as a thick slice averages thin septa."""
LARGEST_MM = 10.0
"""Upper limit of a macronodule's radius, mm."""
GROUP_MM = 20.0
"""Correlation length of the groups of nodules that bridging septa separate, mm."""


@dataclass(frozen=True)
class _Sites:
    """Sites of a power diagram: (n, 3) centres z, y, x in mm and (n,) radii in mm, the small nodules first."""

    centres: Array
    radii: Array
    small: int
    """Number of small nodules."""


@dataclass(frozen=True)
class _Borders:
    """The nearest border of every point."""

    depth: Array
    """(n,) mm to the border, about 0 on it and below 0 where three cells meet."""
    own: Array
    """(n,) index of the cell."""
    other: Array
    """(n,) index of the cell across the border."""


def lace(inside: Array, signs: FibrosisSigns, spacing_mm_zyx: Array, rng: np.random.Generator) -> Array:
    """Relative change of signal in the liver's voxels (n,) by septa and nodules.

    Args:
        inside: (z, y, x) bool, the liver in its bounding box.
    """
    shape = (inside.shape[0] * SUBSLICES, *inside.shape[1:])
    fine = np.array([spacing_mm_zyx[0] / SUBSLICES, *spacing_mm_zyx[1:]])
    z, y, x = np.nonzero(np.repeat(inside, SUBSLICES, axis=0))

    def field(length_mm: float) -> Array:
        return smooth_field(rng, shape, fine, length_mm)

    sites = _draw_sites(np.array(shape) * fine, signs, field(40), fine, rng)
    points = np.stack([z, y, x], 1).astype(np.float32) * fine.astype(np.float32)
    for axis in range(3):  # bent borders: septa are curved
        points[:, axis] += 0.24 * signs.nodule_mm * field(0.9 * signs.nodule_mm)[z, y, x]
    borders = _nearest_borders(points, sites)
    group = _at_places(field(GROUP_MM), sites.centres, fine) > 0
    wall = _septa(borders, group, field(0.8 * signs.nodule_mm)[z, y, x], signs.septa_complete)
    patch = np.clip(1 + 0.45 * field(32)[z, y, x], 0.15, 1.6)
    dark = rng.uniform(0.3, 1.2, len(sites.radii))
    iron = rng.uniform(size=len(sites.radii)) < signs.siderotic
    dome = 1 - np.exp(-((np.maximum(borders.depth, 0) / (0.2 * signs.nodule_mm)) ** 2))
    nodule = (signs.nodules * dark[borders.own] + 0.35 * iron[borders.own]) * dome
    total = np.zeros(shape, np.float32)
    total[z, y, x] = patch * (signs.septa * wall - nodule)
    return total.reshape(inside.shape[0], SUBSLICES, *inside.shape[1:]).mean(1)[inside]


def _draw_sites(
    extent_mm: Array, signs: FibrosisSigns, region: Array, fine_mm: Array, rng: np.random.Generator
) -> _Sites:
    """Sites of nodules, 10 mm beyond the box: macronodules where ``region`` is high, small ones between them."""
    volume = np.prod(extent_mm + 20)

    def places(density: float) -> Array:
        return rng.uniform(-10, extent_mm + 10, (int(volume * density) + 1, 3))

    small = places(1.5 / signs.nodule_mm**3)
    small = small[rng.uniform(size=len(small)) < rng.beta(2.5, 1.2, size=len(small))]
    small_radii = 0.4 * signs.nodule_mm * rng.lognormal(0, 0.35, len(small))
    large = places(0.5 / (1.8 * signs.nodule_mm) ** 3)
    centres = large[_at_places(region, large, fine_mm) > 1 - 2 * signs.macronodular]
    radii = np.minimum(signs.nodule_mm * rng.uniform(0.8, 1.6, len(centres)), LARGEST_MM)
    if len(centres):
        distances, nearest = cKDTree(centres).query(small, k=min(4, len(centres)))
        outside = (np.reshape(distances, (len(small), -1)) > 0.95 * radii[nearest].reshape(len(small), -1)).all(1)
        small, small_radii = small[outside], small_radii[outside]
    return _Sites(np.concatenate([small, centres]), np.concatenate([small_radii, radii]), len(small))


def _at_places(field: Array, places: Array, fine_mm: Array) -> Array:
    """Values (n,) of a field at places (n, 3) in mm, the box's edge repeated."""
    last = np.array(field.shape) - 1
    z, y, x = np.clip(np.rint(places / fine_mm).astype(int), 0, last).T
    return field[z, y, x]


def _nearest_borders(points: Array, sites: _Sites) -> _Borders:
    """The nearest border of each point (n, 3), from the nearest four small sites and the nearest three large ones."""
    found = [_powers(points, sites, slice(0, sites.small), 4)]
    if sites.small < len(sites.radii):
        found.append(_powers(points, sites, slice(sites.small, None), 3))
    power, cell = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
    order = np.argsort(power, axis=1)[:, :3]
    power, cell = np.take_along_axis(power, order, 1), np.take_along_axis(cell, order, 1)
    to_border = [
        (power[:, k] - power[:, 0])
        / (2 * np.linalg.norm(sites.centres[cell[:, k]] - sites.centres[cell[:, 0]], axis=1) + 1e-3)
        for k in (1, 2)
    ]
    # The smooth minimum rounds nodules and widens septa where they branch.
    smooth_mm = 0.7
    apart = np.abs(to_border[0] - to_border[1]) / smooth_mm
    depth = np.minimum(*to_border) - smooth_mm * np.log1p(np.exp(-apart))
    nearer = np.where(to_border[0] <= to_border[1], cell[:, 1], cell[:, 2])
    return _Borders(depth.astype(np.float32), cell[:, 0], nearer)


def _powers(points: Array, sites: _Sites, part: slice, count: int) -> tuple[Array, Array]:
    """Power distances (n, count) in mm^2 of points to the nearest of some sites, and those sites' indices."""
    tree = cKDTree(sites.centres[part], leafsize=32)
    distances, cells = (np.asarray(found) for found in tree.query(points, k=list(range(1, count + 1))))
    cells = np.minimum(cells, tree.n - 1) + part.start  # a site that is missing is infinitely far
    return (np.square(distances) - np.square(sites.radii[cells])).astype(np.float32), cells


def _septa(borders: _Borders, group: Array, local: Array, complete: float) -> Array:
    """Profile (n,) of septa, up to about 1.4 in their centre.

    Args:
        group: (cells,) bool; a border between two groups carries a bridging septum.
        local: (n,) smooth field of about unit deviation along the borders.
        complete: share of borders that carry a septum.
    """
    first = np.minimum(borders.own, borders.other).astype(np.int64)
    second = np.maximum(borders.own, borders.other).astype(np.int64)
    # A border is the same for both its cells: its width and strength come from the pair.
    pair = (first * 7919 + second * 104729) % 1009 / np.float32(1009)
    bridging = group[borders.own] != group[borders.other]
    rank = 1 / (1 + np.exp(-(4 * (pair - 0.5) + 1.3 * local)))
    rank = np.where(bridging, 0.5 * rank, rank)
    carries = np.clip((complete - rank) / 0.3 + 0.3, 0, 1)
    width = (0.4 + 0.6 * ((pair * 17) % 1)) * (0.4 + 0.6 * carries) * np.where(bridging, 1.7, 1.0)
    wall = np.exp(-((np.maximum(borders.depth, 0) / width) ** 2))
    return wall * carries * (0.6 + 0.8 * ((pair * 37) % 1))
