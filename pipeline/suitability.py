"""Whether a series is what the classifier knows: an axial T2 of an abdomen with a liver in it.

Where it is not, a probability would mean nothing, and there is none. Every limit is far outside what was measured on
real anatomies, since a refusal of a patient with a small, large or cirrhotic liver is the worse fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.anatomy import LIMITS, PLACES, measure_anatomy, measure_body
from pipeline.case import LIVER, NOT_MR_CODES, SPLEEN, CaseWarning, OrganMask, Volume, view

CLEARLY_COARSER = 1.25
"""Ratio of the coarsest to the next spacing from which on a NIfTI file's grid says how its slices were acquired."""
MIN_BODY_MM = 190.0
"""Width of what the image shows; heads are 130-175 mm wide, CHAOS abdomens 289-320."""
SATURATED = 0.004
"""Share of voxels at exactly the highest value from which on a window cut them off: 0.6-1.6 % in windowed CT, up to
0.29 % in CHAOS."""
BLACK = 0.05
"""Share of voxels at exactly the lowest value of a windowed CT, whose air lies below the window."""
CT_SPLEEN = (0.75, 1.3)
"""Brightness of the spleen over that of the liver in CT (measured: 0.99-1.17); on T2 it is 1.6-2.3."""
DARK_SPLEEN = 1.2
"""The same, below which a series without bright fluid is no T2."""
MIN_ORGAN_VOXELS = 200
PREFIX = "Not classified: "
"""Beginning of every warning of this module."""
UNCERTAIN_DICE = 0.75
"""Predicted liver Dice below which an outline whose shape is also unlike every measured liver is none."""


@dataclass(frozen=True)
class Objection:
    """One objection to the series: a clause for the reader, and the code of its warning."""

    code: str
    clause: str


def not_classified(volume: Volume, organs: OrganMask, warnings: tuple[CaseWarning, ...]) -> tuple[CaseWarning, ...]:
    """Why this is no axial T2 of an abdomen with a liver in it; empty where it may be one.

    Args:
        warnings: of intake and of the segmented organs' contrast.
    """
    codes = {warning.code for warning in warnings}
    signs = [
        *_series_signs(volume, organs, codes),
        *_contrast_signs(volume, organs, codes),
        *_anatomy_signs(volume, organs),
    ]
    found: dict[str, list[str]] = {}
    for sign in signs:
        found.setdefault(sign.code, []).append(sign.clause)
    return tuple(CaseWarning(code, f"{PREFIX}{', '.join(clauses)}.") for code, clauses in found.items())


def _series_signs(volume: Volume, organs: OrganMask, codes: set[str]) -> Iterator[Objection]:
    # Noise over a liver that is outlined well is a poor scan, not another kind of image.
    if codes & (NOT_MR_CODES - {"noise"}) or ("noise" in codes and organs.score in (None, 3)):
        yield Objection("not_suitable_image", "this does not look like an MR image")
    if "not_t2" in codes:
        yield Objection("not_suitable_image", "the header says that this is not T2-weighted")
    if volume.source.plane != "axial" and (volume.source.kind == "dicom" or _has_slices(volume)):
        yield Objection("not_suitable_plane", f"the slices are {volume.source.plane}, not axial")
    width = measure_body(volume.image).width_mm
    if width < MIN_BODY_MM:
        yield Objection(
            "not_suitable_anatomy", f"what the image shows is {width:.0f} mm wide, too narrow for an abdomen"
        )


def _has_slices(volume: Volume) -> bool:
    """Whether one spacing is clearly coarser, so that the grid tells how the slices lay."""
    *_, second, coarsest = sorted(volume.spacing_mm_xyz)
    return coarsest > CLEARLY_COARSER * second


def _contrast_signs(volume: Volume, organs: OrganMask, codes: set[str]) -> Iterator[Objection]:
    labels, voxels = view(organs.labels), volume.voxels
    liver, spleen = voxels[labels == LIVER], voxels[labels == SPLEEN]
    if min(liver.size, spleen.size) < MIN_ORGAN_VOXELS:
        return
    middle, lowest = float(np.median(liver)), float(voxels.min())
    ratio = (float(np.median(spleen)) - lowest) / max(middle - lowest, 1e-6)
    windowed = (voxels == voxels.max()).mean() > SATURATED and (voxels == lowest).mean() > BLACK
    if windowed and CT_SPLEEN[0] < ratio < CT_SPLEEN[1]:
        yield Objection("not_suitable_image", "brightness and saturation are those of a windowed CT, not of MRI")
    elif "contrast" in codes and ratio < DARK_SPLEEN:
        text = "neither the spleen nor any fluid is bright, as they are on T2"
        yield Objection("not_suitable_image", text)


def _anatomy_signs(volume: Volume, organs: OrganMask) -> Iterator[Objection]:
    measured = measure_anatomy(organs.labels, volume.image)
    beyond = [limit.clause(measured) for limit in LIMITS if not limit.holds(measured)]
    misplaced = [place.clause(measured) for place in PLACES if not place.holds(measured)]
    uncertain = organs.predicted_dice is not None and organs.predicted_dice < UNCERTAIN_DICE
    if uncertain and not beyond and not misplaced:
        beyond = [limit.clause(measured) for limit in LIMITS if not limit.observed_nearly(measured)]
    for clause in (*beyond, *misplaced):
        yield Objection("not_suitable_anatomy", clause)
