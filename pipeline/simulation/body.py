"""The patient's outline in an image, and the depth of the abdominal cavity below the skin.

Arrays are (z, y, x); spacings (z, y, x) in mm.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from pipeline.simulation.fields import Array


def body_mask(voxels: Array) -> Array:
    """(z, y, x) bool: what shows signal, with everything that it encloses in its slice."""
    signal = ndimage.uniform_filter(voxels, (0, 5, 5)) > 0.04 * np.percentile(voxels, 99)
    opened = ndimage.binary_opening(signal, np.ones((1, 5, 5), bool))
    return np.stack([_largest(ndimage.binary_fill_holes(level)) for level in opened])


def _largest(level: Array) -> Array:
    parts, count = ndimage.label(level)
    return level if count < 2 else parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))


def skin_depth(voxels: Array, spacing_mm_zyx: Array) -> Array:
    """In-plane distance (z, y, x) float32 in mm from the skin, 0 outside the body.

    The edge of the field of view does not count as skin.
    """
    body = body_mask(voxels)
    depth = [ndimage.distance_transform_edt(level, spacing_mm_zyx[1:]) for level in body]
    return np.stack(depth).astype(np.float32)
