"""Groups of hand-crafted features of a case, by name, and the regions that they are measured in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import get_args

import numpy as np

from models.network_names import FeatureGroup
from pipeline.classification.shape_features import outline_features, volume_features
from pipeline.classification.slices import CaseSlices, InputSpec
from pipeline.classification.texture_features import Features, texture_features
from pipeline.errors import SegmentationError

FEATURE_SPEC = InputSpec(spacing_mm=1.2, size_yx=(160, 208))
"""Preparation of slices for features: fine enough for septa."""
INSIDE_MM = 3.0
"""Distance from the edge, inside the liver, from which texture is measured: the edge itself is no texture."""
OUTSIDE_MM = 10.0
"""Distance from the liver's edge from which the background is measured."""
NO_SIGNAL = -0.9
"""Brightness of the images below which a pixel is air: a tenth of the liver's median signal."""
TOO_SMALL = "The liver mask is too small for this classifier; choose a series that shows the liver."


def liver_region(case: CaseSlices) -> np.ndarray:
    """Pixels of the liver away from its edge, (slices, y, x) bool; of a liver too thin for that its innermost ones."""
    innermost = float(case.distance_mm.min())
    return case.distance_mm <= max(-INSIDE_MM, innermost)


def background_region(case: CaseSlices) -> np.ndarray:
    """Tissue of the crop away from the liver, (slices, y, x) bool.

    Raises:
        SegmentationError: there is none.
    """
    region = (case.distance_mm >= OUTSIDE_MM) & (case.images > NO_SIGNAL)
    if not region.any():
        raise SegmentationError("The series shows no tissue around the liver, which this classifier measures.")
    return region


def background_features(case: CaseSlices, spacing_mm: float) -> Features:
    found = texture_features(case.images, background_region(case), spacing_mm)
    return {f"background_{name}": value for name, value in found.items()}


GROUPS: Mapping[FeatureGroup, Callable[[CaseSlices, float], Features]] = {
    "texture": lambda case, spacing_mm: texture_features(case.images, liver_region(case), spacing_mm),
    "outline": lambda case, _: outline_features(case),
    "volumes": lambda case, _: volume_features(case),
    "background": background_features,
}
"""Function of each group, of a case and its spacing in plane, mm."""
assert set(GROUPS) == set(get_args(FeatureGroup))


def case_features(case: CaseSlices, groups: Sequence[FeatureGroup], spec: InputSpec) -> Features:
    """The features of the groups, by name, in the order of the groups.

    Raises:
        SegmentationError: no pixel is liver, or a group needs what was not segmented.
    """
    if not (case.distance_mm <= 0).any():
        raise SegmentationError(TOO_SMALL)
    found: Features = {}
    for group in groups:
        found |= GROUPS[group](case, spec.spacing_mm)
    return found
