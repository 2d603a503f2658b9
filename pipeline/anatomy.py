"""What a liver and the organs around it measure, and where they lie: ranges from 143 label maps.

Measured on the label maps of CHAOS (15), BTCV (30), AMOS (1), LiTS (92) and TotalSegmentator (5), see NOTICE, by
``python -m benchmarks.anatomy_ranges FOLDER...``; the body around the liver on the 15 T2 volumes of CHAOS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from pipeline.case import LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, SPLEEN, view

Measured = Mapping[str, float]
"""Values by name; what could not be measured is absent."""
MIN_ORGAN_ML = 30.0
"""Volume from which on the place of a spleen or kidney counts; less may be a stray piece."""
NEARLY = 0.1
"""Share by which a value may lie outside what was observed and still be nearly that."""


@dataclass(frozen=True)
class Limit:
    """Range of one measurement: what was observed, and the far wider one outside of which there is no liver."""

    name: str
    words: str
    unit: str
    observed: tuple[float, float]
    allowed: tuple[float, float]

    def holds(self, measured: Measured) -> bool:
        """Whether the value is allowed; what was not measured is."""
        return self.allowed[0] <= measured.get(self.name, self.allowed[0]) <= self.allowed[1]

    def observed_nearly(self, measured: Measured) -> bool:
        """Whether the value is within a tenth of what was observed; what was not measured is."""
        low, high = self.observed
        return low * (1 - NEARLY) <= measured.get(self.name, low) <= high * (1 + NEARLY)

    def clause(self, measured: Measured) -> str:
        """``the liver found is 61 mm wide, unlike any of 143 (151-305 mm)``."""
        low, high = (self._figure(value) for value in self.observed)
        return f"{self.words} {self._figure(measured[self.name])}{self.unit}, unlike real livers ({low}–{high})"

    def _figure(self, value: float) -> str:
        return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2f}"


@dataclass(frozen=True)
class Place(Limit):
    """Range of a place relative to the liver, with the sentence for an organ on the wrong side."""

    def clause(self, measured: Measured) -> str:
        return self.words


LIMITS = (
    Limit("liver_ml", "the liver found has", " mL", (776, 3143), (300, 7000)),
    Limit("width_mm", "the liver found has a width of", " mm", (149, 305), (100, 420)),
    Limit("depth_mm", "the liver found has a depth of", " mm", (124, 237), (80, 340)),
    Limit("height_mm", "the liver found has a height of", " mm", (111, 240), (50, 340)),
    Limit("box_share", "the liver found fills a share of its box of", "", (0.15, 0.34), (0.07, 0.60)),
    Limit("area_cm2", "the liver found has a largest section of", " cm²", (123, 324), (65, 650)),
    Limit("body_share", "the liver found takes a share of the body of", "", (0.11, 0.18), (0.03, 0.70)),
)
"""``body_share``: of the body's voxels in the slices that hold liver."""
PLACES = (
    Place("right_of_middle", "the liver found is not on the right side", " ", (0.18, 0.26), (0.0, 0.55)),
    Place("spleen_left_mm", "the spleen found is not left of the liver", " mm", (117, 206), (30, 350)),
    Place("left_kidney_left_mm", "the left kidney found is not left of the liver", " mm", (98, 171), (20, 300)),
    Place("right_kidney_up_mm", "the right kidney found lies above the liver", " mm", (-117, -7), (-250, 60)),
    Place("left_kidney_up_mm", "the left kidney found lies above the liver", " mm", (-146, -9), (-280, 70)),
    Place("right_kidney_back_mm", "the right kidney found lies in front of the liver", " mm", (15, 89), (-40, 200)),
    Place("left_kidney_back_mm", "the left kidney found lies in front of the liver", " mm", (22, 79), (-40, 200)),
)
"""Distances are between centres. ``right_of_middle``: from the middle of the body, as a share of its width."""


@dataclass(frozen=True)
class Body:
    """What of an image is no air, (z, y, x) bool, and its width and middle from right to left."""

    inside: np.ndarray
    width_mm: float
    middle_x: float
    """Column in the middle of the body."""


def measure_body(image: sitk.Image) -> Body:
    """The body in an LPS volume: what is brighter than a twentieth of the 99th percentile above the darkest value.

    Half the cut of intake's warnings: in doubt, as with a dark body or bright noise, the body is wide.
    """
    voxels = view(image)
    low = float(voxels.min())
    inside = voxels > low + 0.05 * (float(np.percentile(voxels, 99)) - low)
    columns = np.flatnonzero(inside.mean(axis=(0, 1)) > 0.1)
    if not columns.size:
        return Body(inside, 0.0, (voxels.shape[2] - 1) / 2)
    width = float((columns[-1] - columns[0] + 1) * image.GetSpacing()[0])
    return Body(inside, width, float(columns[0] + columns[-1]) / 2)


def measure_anatomy(labels: sitk.Image, image: sitk.Image | None) -> Measured:
    """The measurements of ``LIMITS`` and ``PLACES`` on a label map in LPS, those of the body only with its image."""
    organs, spacing_zyx = view(labels), np.array(labels.GetSpacing()[::-1])
    liver = organs == LIVER
    places = np.argwhere(liver)
    if not len(places):
        return {"liver_ml": 0.0}
    ml = float(np.prod(spacing_zyx)) / 1000
    box = places.max(axis=0) + 1 - places.min(axis=0)
    height, depth, width = (float(mm) for mm in box * spacing_zyx)
    area = liver.sum(axis=(1, 2))
    centre = places.mean(axis=0)
    measured = {
        "liver_ml": len(places) * ml,
        "width_mm": width,
        "depth_mm": depth,
        "height_mm": height,
        "box_share": len(places) / float(np.prod(box)),
        "area_cm2": float(area.max() * spacing_zyx[1] * spacing_zyx[2]) / 100,
    }
    for name, value in (("spleen", SPLEEN), ("right_kidney", RIGHT_KIDNEY), ("left_kidney", LEFT_KIDNEY)):
        organ = np.argwhere(organs == value)
        if len(organ) * ml < MIN_ORGAN_ML:
            continue
        up, back, left = (float(mm) for mm in (organ.mean(axis=0) - centre) * spacing_zyx)
        measured |= {f"{name}_up_mm": up, f"{name}_back_mm": back, f"{name}_left_mm": left}
    if image is not None:
        body = measure_body(image)
        around = float(body.inside[area > 0].sum())
        measured["body_share"] = len(places) / max(around, 1.0)
        if body.width_mm:
            measured["right_of_middle"] = (body.middle_x - float(centre[2])) * float(spacing_zyx[2]) / body.width_mm
    return measured
