"""Whether a volume resembles an axial T2 of a whole upper abdomen, as in training: warnings, never refusals.

Limits were set by 15 T2 volumes of CHAOS (320 x 320 mm in plane, 239-346 mm along the body): each is clearly beyond
the values of those, so that ordinary cases give no warning.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk

from pipeline.case import LIVER, SPLEEN, CaseWarning, OrganMask, Series, Volume, view
from pipeline.intake import weighting as words

MIN_SLICES = 16
MAX_STEP_MM = 10.0
MAX_PIXEL_MM = 2.5
SHORTEST_T2_ECHO_MS = 30.0
"""A spin echo below it is T1- or proton-density-weighted, whatever its name says."""
MIN_LENGTH_MM = 150.0
"""Extent along the body; a liver is 120-200 mm high."""
MIN_FIELD_MM = (260.0, 180.0)
"""Field of view, left to right (x) and front to back (y)."""
MIN_BODY_MM = 230.0
"""Width of the body in the image; heads and knees are narrower, CHAOS abdomens are 289-320."""
EDGE_SHARE = 0.75
"""Share of the right edge's voxels that lie in the body before the liver counts as probably cut (CHAOS: up to 0.35)."""
MIN_TAIL = 1.8
"""99th percentile over median inside the body: fluid is bright on T2 (CHAOS: 3.1-5.2)."""
MIN_SMOOTHNESS = 0.6
"""Correlation of neighbouring voxels along x and y (CHAOS: 0.98 and more)."""
SAMPLED_SLICES = 40
"""Number of slices that the checks which cost memory are limited to."""
MAX_LABELS = 20
MAX_ZERO_SHARE = 0.85


def check_header(series: Series, *, other_body_part: bool = False) -> tuple[CaseWarning, ...]:
    """Warnings from plane, slices and tags of a series, before its voxels are read."""
    return tuple(_header_warnings(series, other_body_part))


def check_image(image: sitk.Image) -> tuple[CaseWarning, ...]:
    """Warnings from extent and intensities of a float32 volume in LPS."""
    voxels = view(image)
    if voxels.min() == voxels.max():
        return (CaseWarning("constant", "All voxels have the same value, so there is nothing to see."),)
    return (*_field(image), *_values(voxels), *_body(image, voxels))


def check_contrast(volume: Volume, organs: OrganMask) -> tuple[CaseWarning, ...]:
    """Warning from the segmented organs: on T2 the spleen is brighter than the liver, on T1 darker.

    None where the model does not segment the spleen or found too little of it.
    """
    labels = view(organs.labels)
    liver, spleen = volume.voxels[labels == LIVER], volume.voxels[labels == SPLEEN]
    if min(liver.size, spleen.size) < 200 or np.median(spleen) >= 0.9 * np.median(liver):
        return ()
    text = "The spleen is darker than the liver, which is unusual for T2: check that the right series was chosen."
    return (CaseWarning("not_t2_contrast", text),)


def _header_warnings(series: Series, other_body_part: bool) -> Iterator[CaseWarning]:
    pixel_mm, step_mm = max(series.pixel_mm), series.slice_step_mm
    low, high = words.T2_ECHO_MS
    if series.weighting not in ("T2", "unknown"):
        yield CaseWarning("not_t2", f"The header says {series.weighting}; the models know T2-weighted series only.")
    elif series.echo_time_ms is not None and series.echo_time_ms < SHORTEST_T2_ECHO_MS:
        text = f"An echo time of {series.echo_time_ms:.0f} ms is too short for a T2-weighted series."
        yield CaseWarning("not_t2", text)
    elif series.echo_time_ms is not None and not low <= series.echo_time_ms <= high:
        text = f"An echo time of {series.echo_time_ms:.0f} ms is unusual for a T2-weighted series of the liver."
        yield CaseWarning("echo_time", text)
    if series.plane != "axial":
        yield CaseWarning("not_axial", f"The slices are {series.plane}; the models know axial series only.")
    if series.slices < MIN_SLICES:
        yield CaseWarning("few_slices", f"Only {series.slices} slices: the series may not cover the whole liver.")
    if step_mm > MAX_STEP_MM:
        yield CaseWarning("thick_slices", f"Slices are {step_mm:.1f} mm apart, more than the models have seen.")
    if pixel_mm > MAX_PIXEL_MM:
        yield CaseWarning("coarse_pixels", f"Pixels of {pixel_mm:.1f} mm are coarser than the models have seen.")
    if other_body_part:
        yield CaseWarning("body_part", "The header names a part of the body other than the abdomen.")


def _field(image: sitk.Image) -> Iterator[CaseWarning]:
    width, height, length = (n * mm for n, mm in zip(image.GetSize(), image.GetSpacing(), strict=True))
    if length < MIN_LENGTH_MM:
        text = f"The volume covers only {length:.0f} mm along the body: the liver is probably not whole."
        yield CaseWarning("short_coverage", text)
    if width < MIN_FIELD_MM[0] or height < MIN_FIELD_MM[1]:
        text = f"The field of view of {width:.0f} x {height:.0f} mm is too small for a whole abdomen."
        yield CaseWarning("small_field", text)


def _values(voxels: np.ndarray) -> Iterator[CaseWarning]:
    low, high = float(voxels.min()), float(voxels.max())
    sample = voxels[:: 1 + voxels.shape[0] // SAMPLED_SLICES]
    if low < -150 and float((voxels < -150).mean()) > 0.05 and low >= -4000 and high <= 5000:
        yield CaseWarning("looks_like_ct", "Values far below zero, as in CT: the models know MRI only.")
    elif low < 0 and float((voxels < 0).mean()) > 1e-4:
        yield CaseWarning("negative_values", "Some values are negative, which MR magnitude images do not have.")
    if len(np.unique(sample)) <= MAX_LABELS:
        yield CaseWarning("looks_like_labels", "Only a few different values: this looks like a mask, not an image.")
    zero = float((voxels == 0).mean())
    if zero > MAX_ZERO_SHARE:
        yield CaseWarning("mostly_empty", f"{zero:.0%} of the volume is empty (zero).")
    smooth = min(_neighbours(sample, axis) for axis in (1, 2))
    if smooth < MIN_SMOOTHNESS:
        yield CaseWarning("noise", "Neighbouring voxels hardly resemble each other: this looks like noise.")


def _body(image: sitk.Image, voxels: np.ndarray) -> Iterator[CaseWarning]:
    body = voxels > voxels.min() + 0.1 * (np.percentile(voxels, 99) - voxels.min())
    columns = np.flatnonzero(body.mean(axis=(0, 1)) > 0.1)
    width = (columns[-1] - columns[0] + 1) * image.GetSpacing()[0] if columns.size else 0.0
    if width < MIN_BODY_MM:
        text = f"What the image shows is {width:.0f} mm wide, too narrow for a whole abdomen."
        yield CaseWarning("narrow_body", text)
    elif body[:, :, 0].mean() > EDGE_SHARE:
        yield CaseWarning("cut_right", "The body reaches the right edge of the image: the liver may be cut off.")
    inside = voxels[body]
    if inside.size and np.percentile(inside, 99) < MIN_TAIL * np.median(inside):
        yield CaseWarning(
            "contrast", "Nothing is as bright as fluid is on T2: check that this is a T2-weighted series."
        )


def _neighbours(voxels: np.ndarray, axis: int) -> float:
    """Correlation of each voxel with the next along the axis; 1 where one side does not vary."""
    along = np.moveaxis(voxels, axis, 0)
    low, high = along[:-1].ravel(), along[1:].ravel()
    if low.std() == 0 or high.std() == 0:
        return 1.0
    return float(np.corrcoef(low, high)[0, 1])
