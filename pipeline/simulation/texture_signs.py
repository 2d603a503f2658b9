"""Signs of fibrosis in the signal of the liver: septa, nodules and confluent fibrosis."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from pipeline.case import LIVER
from pipeline.simulation.fibrosis_signs import FibrosisSigns
from pipeline.simulation.fields import Array, padded_box, smooth_field
from pipeline.simulation.nodules import lace


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
        change[inside] = lace(inside, signs, spacing_mm_zyx, rng)
    if signs.confluent:
        change += signs.confluent * _wedge(inside, spacing_mm_zyx, rng)
    normal = np.median(image[box][inside])
    # Vessels and bile ducts keep their brightness: only tissue near the parenchyma's own signal changes.
    tissue = np.clip(1.6 - np.abs(image[box] / normal - 1) / 0.3, 0, 1)
    soft = np.minimum(ndimage.gaussian_filter(inside.astype(np.float32), (0, 0.7, 0.7)), inside)
    relative[box] = change * tissue * soft
    image[box] += normal * relative[box]
    return relative


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
