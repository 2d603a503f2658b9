"""Signs of liver fibrosis on T2, put into an anatomy: what `FibrosisSigns` says, as strongly as it says.

After Eur J Radiol 61 (2007) 57 and Insights Imaging 1 (2010) 233: thin, lace-like, mildly bright septa; nodules equal
to dark, mostly under 1 cm; at cirrhosis a nodular surface, a small right and a large left lobe, a large spleen,
sometimes ascites or a confluent wedge. Arrays are (z, y, x); spacings are (z, y, x) in mm where the name says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from pipeline.case import LIVER, SPLEEN
from pipeline.simulation.fields import Array, smooth_field
from pipeline.simulation.phantom.shapes import Box

SUBSLICES = 3
"""A slice's texture is averaged over this many layers, as a thick slice averages thin septa."""


@dataclass(frozen=True)
class FibrosisSigns:
    """How strong each sign is in one case; all zero (spleen 1) is a healthy liver."""

    septa: float = 0.0
    """Brightness of a septum's centre above the parenchyma, as a share of it."""
    septa_complete: float = 0.5
    """Share of nodule borders that carry a septum."""
    nodules: float = 0.0
    """How much darker nodules are than the parenchyma was, as a share of it."""
    nodule_mm: float = 6.0
    """Mean distance of nodule centres."""
    siderotic: float = 0.0
    """Share of nodules that hold iron and are clearly dark."""
    surface_mm: float = 0.0
    """Height of surface nodules."""
    lobar: float = 0.0
    """Shrinkage of the right lobe and growth of the left, 0-1; 1 is about a fifth in length."""
    caudate: float = 0.0
    """Growth of the caudate lobe, 0-1 as the lobes' change."""
    notch_mm: float = 0.0
    """Depth of the right posterior notch."""
    spleen: float = 1.0
    """Factor on the spleen's volume."""
    ascites_mm: float = 0.0
    """Greatest depth of fluid between liver and body wall."""
    confluent: float = 0.0
    """Brightness of one confluent wedge, as a share of the parenchyma."""


def displacement(signs: FibrosisSigns, labels: Array, spacing_mm_zyx: Array, rng: np.random.Generator) -> list[Array]:
    """Where each voxel takes its value from, minus where it is: (z, y, x) components in mm, for the shape signs.

    The right lobe shrinks, the left and the caudate grow, and so does the spleen, each about its own centre; the right
    lobe is notched behind; the liver's surface is raised and lowered along its normal in bumps of nodule size.
    """
    shift = [np.zeros(labels.shape, np.float32) for _ in range(3)]
    liver = labels == LIVER
    if not liver.any():
        return shift
    places = np.argwhere(liver) * spacing_mm_zyx
    x = places[:, 2]
    if signs.lobar:
        right = places[x <= np.quantile(x, 0.4)].mean(0)
        left = places[x >= np.quantile(x, 0.88)].mean(0)
        _scale_about(shift, right, spacing_mm_zyx, reach_mm=55, stretch=0.2 * signs.lobar)
        _scale_about(shift, left, spacing_mm_zyx, reach_mm=42, stretch=-0.22 * signs.lobar)
    if signs.caudate:
        _scale_about(shift, caudate_place(places), spacing_mm_zyx, reach_mm=24, stretch=-0.25 * signs.caudate)
    if signs.notch_mm:
        _notch(shift, places, spacing_mm_zyx, signs.notch_mm)
    spleen = labels == SPLEEN
    if signs.spleen != 1 and spleen.any():
        centre = np.argwhere(spleen).mean(0) * spacing_mm_zyx
        size = (np.count_nonzero(spleen) * np.prod(spacing_mm_zyx) * 3 / (4 * np.pi)) ** (1 / 3)
        _scale_about(shift, centre, spacing_mm_zyx, reach_mm=3 * size, stretch=signs.spleen ** (-1 / 3) - 1)
    if signs.surface_mm:
        _roughen(shift, liver, signs, spacing_mm_zyx, rng)
    return shift


def caudate_place(places: Array) -> Array:
    """About where the caudate lobe lies, (z, y, x) mm: behind, between the lobes, in the liver's upper half.

    Args:
        places: (n, 3) mm of the liver's voxels.
    """
    z, _, x = places.T
    between = (x > np.quantile(x, 0.55)) & (x < np.quantile(x, 0.8)) & (z > np.median(z))
    part = places[between] if between.any() else places
    return part[part[:, 1] >= np.quantile(part[:, 1], 0.85)].mean(0)


def _notch(shift: list[Array], places: Array, spacing_mm_zyx: Array, depth_mm: float) -> None:
    """Draw the posterior surface of the right lobe forwards at its medial part, at the level of the right kidney."""
    z, _, x = places.T
    level = (z < np.quantile(z, 0.55)) & (x < np.quantile(x, 0.5)) & (x > np.quantile(x, 0.2))
    part = places[level] if level.any() else places
    centre = part[part[:, 1] >= np.quantile(part[:, 1], 0.9)].mean(0)
    offsets = [
        (np.arange(n, dtype=np.float32) * np.float32(s) - np.float32(c)) / np.float32(reach)
        for n, s, c, reach in zip(shift[0].shape, spacing_mm_zyx, centre, (28, 16, 12), strict=True)
    ]
    near = np.exp(-(offsets[0][:, None, None] ** 2 + offsets[1][:, None] ** 2 + offsets[2] ** 2))
    shift[1] += np.float32(depth_mm) * near


def _scale_about(shift: list[Array], centre: Array, spacing_mm_zyx: Array, *, reach_mm: float, stretch: float) -> None:
    """Scale about a point, fading out as a Gaussian: a positive stretch reads from further out and so shrinks."""
    offsets = [
        (np.arange(n, dtype=np.float32) * np.float32(s) - np.float32(c)).reshape(
            [-1 if a == k else 1 for a in range(3)]
        )
        for k, (n, s, c) in enumerate(zip(shift[0].shape, spacing_mm_zyx, centre, strict=True))
    ]
    near = np.exp(-(offsets[0] ** 2 + offsets[1] ** 2 + offsets[2] ** 2) / np.float32(reach_mm**2)) * np.float32(
        stretch
    )
    for axis in range(3):
        shift[axis] += near * offsets[axis]


def _roughen(
    shift: list[Array], liver: Array, signs: FibrosisSigns, spacing_mm_zyx: Array, rng: np.random.Generator
) -> None:
    box = padded_box(liver, spacing_mm_zyx, 14)
    inside = liver[box]
    level = ndimage.distance_transform_edt(inside, spacing_mm_zyx) - ndimage.distance_transform_edt(
        ~inside, spacing_mm_zyx
    )
    level = ndimage.gaussian_filter(level.astype(np.float32), (0.4, 1.2, 1.2))
    bumps = smooth_field(rng, level.shape, spacing_mm_zyx, max(4.5, 0.8 * signs.nodule_mm))
    height = bumps * np.exp(-((level / 7) ** 2)) * np.float32(signs.surface_mm)
    slope = np.gradient(level, *spacing_mm_zyx)
    length = np.sqrt(sum(s * s for s in slope)) + 1e-3
    for axis in (1, 2):
        shift[axis][box] += (height * slope[axis] / length).astype(np.float32)


def padded_box(mask: Array, spacing_mm_zyx: Array, margin_mm: float) -> Box:
    """The mask's bounding box with a margin, cut to the grid."""
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    pads = np.ceil(margin_mm / np.asarray(spacing_mm_zyx)).astype(int)
    z, y, x = (slice(max(s.start - p, 0), min(s.stop + p, n)) for s, p, n in zip(found, pads, mask.shape, strict=True))
    return (z, y, x)


def add_texture(
    image: Array, labels: Array, signs: FibrosisSigns, spacing_mm_zyx: Array, rng: np.random.Generator
) -> None:
    """Put septa, nodules and a confluent wedge into the liver of ``image``, in place."""
    liver = labels == LIVER
    if not liver.any():
        return
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
    image[box] += normal * change * tissue * soft


def _lace(inside: Array, signs: FibrosisSigns, spacing_mm_zyx: Array, rng: np.random.Generator) -> Array:
    """Relative change of signal in the liver's voxels (n,): the borders of a bent Voronoi pattern are septa, its cells
    nodules."""
    shape = (inside.shape[0] * SUBSLICES, *inside.shape[1:])
    fine = np.array([spacing_mm_zyx[0] / SUBSLICES, spacing_mm_zyx[1], spacing_mm_zyx[2]])
    extent = np.array(shape) * fine
    # Where there is a cell is uneven, so that nodules differ in size.
    count = int(np.prod(extent + 20) / signs.nodule_mm**3 * 1.5)
    seeds = rng.uniform(-10, extent + 10, (count, 3))
    seeds = seeds[rng.uniform(size=count) < rng.beta(2.5, 1.2, size=count)]
    z, y, x = np.nonzero(np.repeat(inside, SUBSLICES, axis=0))
    points = np.stack([z, y, x], 1).astype(np.float32) * fine.astype(np.float32)
    for axis in range(3):
        points[:, axis] += 0.22 * signs.nodule_mm * smooth_field(rng, shape, fine, 1.1 * signs.nodule_mm)[z, y, x]
    found = cKDTree(seeds).query(points, k=2)
    gap, cell = np.asarray(found[0]), np.asarray(found[1])
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
    """Lift the liver, and less the spleen, off the body wall: the outer layer becomes bright fluid. Changes both.

    The fluid fills the organ's hull, which is smooth as the peritoneum is; inwards it ends at a nodular surface.
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
        hull = ndimage.distance_transform_edt(inside, spacing_mm_zyx)
        hull -= ndimage.distance_transform_edt(~inside, spacing_mm_zyx)
        depth = ndimage.gaussian_filter(hull.astype(np.float32), (0.5, *(6 / spacing_mm_zyx[1:]))) + 1.5
        side = np.linspace(1, -1, inside.shape[2]) * (1 if organ == LIVER else -1)
        front = np.linspace(1, -1, inside.shape[1])[:, None]
        outer = np.clip(0.6 * side + 0.5 * front, -1, 1)
        uneven = 1 + 0.5 * smooth_field(rng, inside.shape, spacing_mm_zyx, 45)
        nodular = 0.6 * signs.surface_mm * smooth_field(rng, inside.shape, spacing_mm_zyx, max(5.0, signs.nodule_mm))
        fluid = np.clip((share * signs.ascites_mm * outer * uneven + nodular - depth) / 1.2 + 0.5, 0, 1)
        # Beyond the hull only what stuck out of it is taken along, and never organs or body wall.
        fluid *= (inside | ((depth > 0) & (labels[box] == 0))) & (outer > 0)
        fluid = ndimage.gaussian_filter(fluid.astype(np.float32), (0, 0.6, 0.6))
        image[box] += fluid * (bright - image[box])
        labels[box][inside & (fluid > 0.5)] = 0
