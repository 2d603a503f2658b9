"""Synthetic T2-weighted images of abdomens that were labelled on CT.

After SynthSeg (Billot et al., Medical Image Analysis 86 (2023) 102789): every tissue gets a random signal around what
it has on T2. Here the CT also contributes its texture, its vessels, and the tissues that no label names (fat, muscle,
bone, gas), and the acquisition (slice profile, coil, blur, ghosts, noise) is that of ``scanner``. A painted image
teaches shape and place; it looks real to nobody.

Arrays are (z, y, x); spacings (z, y, x) in mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from pipeline.case import LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, SPLEEN, view
from pipeline.simulation import label_maps as names
from pipeline.simulation.fields import Array, smooth_field
from pipeline.simulation.scanner import Scan, acquire

IN_PLANE_MM, THIN_MM = 1.6, 3.0
"""Grid on which tissue is painted."""
FAT_FROM, SOFT_FROM, BONE_FROM = 6.0, 78.0, 212.0
"""Grey values of an 8-bit CT between gas, fat, soft tissue and bone, in a window of about -160 to 240 HU."""
FAT, MARROW, GAS, FLUID = 101, 102, 103, 104
"""Tissues that no label names; muscle, bowel wall and the like keep ``names.MUSCLES``."""
WITHOUT_SKIN_PX = 28
"""Radius in pixels within which the tissue of a dense map is joined to one body: such maps leave fat and skin out."""
SPREAD = 0.35
"""Standard deviation of a tissue's log signal over subjects and protocols."""

SIGNAL = {
    LIVER: 0.42,
    RIGHT_KIDNEY: 0.85,
    LEFT_KIDNEY: 0.85,
    SPLEEN: 0.82,
    names.GALLBLADDER: 1.3,
    names.OESOPHAGUS: 0.38,
    names.STOMACH: 0.6,
    names.AORTA: 0.12,
    names.CAVA: 0.16,
    names.PORTAL: 0.3,
    names.PANCREAS: 0.45,
    names.RIGHT_ADRENAL: 0.38,
    names.LEFT_ADRENAL: 0.38,
    names.DUODENUM: 0.55,
    names.SMALL_BOWEL: 0.55,
    names.COLON: 0.3,
    names.LUNGS: 0.05,
    names.VERTEBRAE: 0.26,
    names.BONES: 0.26,
    names.MUSCLES: 0.22,
    names.HEART: 0.3,
    names.SPINAL_CORD: 1.1,
    names.OTHER: 0.2,
    FAT: 0.16,
    MARROW: 0.26,
    GAS: 0.03,
    FLUID: 1.15,
}
"""T2 signal by tissue, fat suppressed, where fluid is about 1: fluid and spinal fluid very bright, spleen and kidneys
above the liver, muscle and flowing blood dark. Typical of a fat-suppressed fast spin echo at 1.5 T."""
BRIGHT_FAT = 0.85
"""Signal of fat without suppression, which a third of the images have."""
PAIRED = (
    (RIGHT_KIDNEY, LEFT_KIDNEY),
    (names.RIGHT_ADRENAL, names.LEFT_ADRENAL),
    (names.VERTEBRAE, names.BONES, MARROW),
)
"""Tissues that share one signal."""


@dataclass(frozen=True)
class PaintedCase:
    """A synthetic image and the labels that are true of it."""

    image: sitk.Image
    """int16, LPS."""
    labels: sitk.Image
    """uint8 on the same grid: 0 background, 1 liver, 2 right kidney, 3 left kidney, 4 spleen."""


def paint(labels: sitk.Image, ct: sitk.Image | None, rng: np.random.Generator, scan: Scan | None = None) -> PaintedCase:
    """Paint a label map as a T2-weighted stack of 4 to 9 mm slices around the liver.

    Args:
        labels: uint8, LPS, values as in ``label_maps``.
        ct: float32 on the same grid, 8-bit values; without it the labels must be dense.
        rng: random source; equal states give equal images.
        scan: the acquisition, with contiguous slices; drawn at random if None.
    """
    grid = _paint_grid(labels)
    label_array = sitk.GetArrayFromImage(sitk.Resample(labels, grid, sitk.Transform(), sitk.sitkNearestNeighbor))
    ct_array = None
    if ct is not None:
        ct_array = sitk.GetArrayFromImage(sitk.Resample(ct, grid, sitk.Transform(), sitk.sitkLinear))
    spacing_mm_zyx = np.array(grid.GetSpacing()[::-1])
    tissues = _dense_tissues(label_array) if ct_array is None else _tissues(label_array, ct_array, spacing_mm_zyx)
    _add_fluid(tissues, spacing_mm_zyx, rng)
    signal = _signal(tissues, spacing_mm_zyx, rng)
    signal *= 1 + _texture(tissues, ct_array, spacing_mm_zyx, rng)
    _paint_vessels(signal, label_array, ct_array, rng)
    return _scan(np.maximum(signal, 0), label_array, grid, scan, rng)


def _paint_grid(labels: sitk.Image) -> sitk.Image:
    """An empty image that covers the label map, cut to the liver's levels with a margin of 70 mm."""
    spacing, size, array = labels.GetSpacing(), labels.GetSize(), view(labels)
    levels = np.flatnonzero((array == LIVER).any((1, 2)))
    margin = round(70 / spacing[2])
    first, last = max(int(levels[0]) - margin, 0), min(int(levels[-1]) + margin, size[2] - 1)
    new = (IN_PLANE_MM, IN_PLANE_MM, THIN_MM)
    extent = (size[0] * spacing[0], size[1] * spacing[1], (last - first + 1) * spacing[2])
    grid = sitk.Image([max(int(e / n), 1) for e, n in zip(extent, new, strict=True)], sitk.sitkUInt8)
    grid.SetSpacing(new)
    grid.SetDirection(labels.GetDirection())
    grid.SetOrigin(labels.TransformIndexToPhysicalPoint((0, 0, first)))
    return grid


def _dense_tissues(labels: Array) -> Array:
    """Tissue (z, y, x) uint8 of a dense label map: what has no label inside the body is fat."""
    tissues = labels.copy()
    for level, tissue in zip(labels > 0, tissues, strict=True):
        hull = _closed(level, WITHOUT_SKIN_PX)
        tissue[hull & ~level] = FAT
        tissue[(ndimage.distance_transform_edt(~hull) < 6) & ~hull & hull.any()] = FAT
    return tissues


def _closed(mask: Array, radius: int) -> Array:
    """Morphological closing of one slice (y, x) by a disc, holes filled."""
    padded = np.pad(mask, radius + 1)
    grown = ndimage.distance_transform_edt(~padded) <= radius
    closed = ndimage.distance_transform_edt(grown) > radius
    return ndimage.binary_fill_holes(closed)[radius + 1 : -radius - 1, radius + 1 : -radius - 1]


def _tissues(labels: Array, ct: Array, spacing_mm_zyx: Array) -> Array:
    """Tissue (z, y, x) uint8: the labels, and classes of the CT where no label is; 0 outside the body."""
    body = _body(ct)
    tissues = np.zeros(labels.shape, np.uint8)
    smooth = ndimage.gaussian_filter(ct, (0, 1, 1))
    tissues[body] = np.select(
        [smooth < FAT_FROM, smooth < SOFT_FROM, smooth < BONE_FROM], [GAS, FAT, names.MUSCLES], MARROW
    ).astype(np.uint8)[body]
    bone = ndimage.binary_closing(tissues == MARROW, np.ones((1, 3, 3), bool))
    pixel_mm2 = spacing_mm_zyx[1] * spacing_mm_zyx[2]
    for level, tissue in zip(bone, tissues, strict=True):
        holes, count = ndimage.label(ndimage.binary_fill_holes(level) & ~level)
        for number in range(1, count + 1):
            hole = holes == number
            # Marrow spaces are smaller or darker; the spinal canal is the one large hole.
            tissue[hole] = FLUID if 80 < hole.sum() * pixel_mm2 < 700 else MARROW
    known = labels > 0
    tissues[known] = labels[known]
    # Gas and contrast medium within the stomach are not tissue of their own.
    return tissues


def _body(ct: Array) -> Array:
    """(z, y, x) bool: the patient without the table, lungs included."""
    solid = ndimage.gaussian_filter(ct, (0, 1.5, 1.5)) > FAT_FROM
    parts, count = ndimage.label(ndimage.binary_opening(solid, np.ones((1, 7, 7), bool)))
    if not count:
        return solid
    largest = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    return np.stack([_closed(level, 6) for level in largest])


def _add_fluid(tissues: Array, spacing_mm_zyx: Array, rng: np.random.Generator) -> None:
    """Fluid in stomach and bowel, in place: pools in unlabelled soft tissue deep inside the body."""
    inside = ndimage.binary_erosion(tissues > 0, np.ones((1, 3, 3), bool), iterations=round(35 / spacing_mm_zyx[1]))
    gut = np.isin(tissues, (names.MUSCLES, names.SMALL_BOWEL, names.COLON, names.DUODENUM)) & inside
    pools = smooth_field(rng, tissues.shape, spacing_mm_zyx, rng.uniform(12, 30)) > rng.uniform(0.2, 1.5)
    tissues[gut & pools] = FLUID
    if rng.uniform() < 0.6:
        full = smooth_field(rng, tissues.shape, spacing_mm_zyx, 40) > rng.normal(0, 0.7)
        tissues[(tissues == names.STOMACH) & full] = GAS if rng.uniform() < 0.3 else FLUID


def _drawn_signals(rng: np.random.Generator) -> Array:
    """Signal by tissue (256,) of one subject under one protocol."""
    table = np.zeros(256, np.float32)
    for tissue, signal in SIGNAL.items():
        table[tissue] = signal * np.exp(rng.normal(0, SPREAD))
    for first, *others in PAIRED:
        table[others] = table[first]
    if rng.uniform() < 1 / 3:
        table[[FAT, names.OTHER]] = BRIGHT_FAT * np.exp(rng.normal(0, 0.2))
    if rng.uniform() < 0.5:  # slow or refocused blood is bright
        table[[names.AORTA, names.CAVA, names.PORTAL]] *= rng.uniform(1, 5)
    return table


def _signal(tissues: Array, spacing_mm_zyx: Array, rng: np.random.Generator) -> Array:
    """Mean signal (z, y, x) float32; what no label names varies over the body, as bowel and muscle do."""
    table = _drawn_signals(rng)
    signal = table[tissues]
    loose = (tissues == names.MUSCLES) | (tissues == MARROW)
    signal[loose] *= np.exp(np.float32(0.3) * smooth_field(rng, tissues.shape, spacing_mm_zyx, 30))[loose]
    return signal


def _texture(tissues: Array, ct: Array | None, spacing_mm_zyx: Array, rng: np.random.Generator) -> Array:
    """Relative variation (z, y, x) within tissues: the CT's own, at a random sign, and two smooth fields."""
    texture = np.zeros(tissues.shape, np.float32)
    if ct is not None:
        residual = ndimage.gaussian_filter(ct, (0, 0.7, 0.7)) - ndimage.gaussian_filter(ct, (1, 6, 6))
        amount = rng.uniform(0.0, 0.008) * rng.choice([-1, 1])
        texture += np.float32(amount) * np.clip(residual, -30, 30)
    for length_mm in (4.0, 14.0):
        texture += np.float32(rng.uniform(0.0, 0.06)) * smooth_field(rng, tissues.shape, spacing_mm_zyx, length_mm)
    return texture


def _paint_vessels(signal: Array, labels: Array, ct: Array | None, rng: np.random.Generator) -> None:
    """Vessels of the liver, in place: brighter than the liver on portal venous CT, bright or dark on T2."""
    liver = labels == LIVER
    if ct is None or not liver.any():
        return
    smooth = ndimage.gaussian_filter(ct, (0.5, 0.8, 0.8))
    centre, spread = np.median(smooth[liver]), np.std(smooth[liver])
    share = np.clip((smooth - centre) / (spread + 1e-3) - 1.2, 0, 1) * liver
    factor = rng.uniform(1.2, 1.8) if rng.uniform() < 0.6 else rng.uniform(0.3, 0.8)
    signal *= 1 + share.astype(np.float32) * np.float32(factor - 1)


def _scan(signal: Array, labels: Array, grid: sitk.Image, scan: Scan | None, rng: np.random.Generator) -> PaintedCase:
    """Average over the slice profile, sample slices, and acquire."""
    thickness, gap = (rng.uniform(4, 9), rng.uniform(1.0, 1.15)) if scan is None else (scan.slice_mm, 1.0)
    step = thickness * gap
    width = thickness / THIN_MM
    profile = ndimage.uniform_filter1d(signal, max(round(width), 1), axis=0, mode="nearest")
    centres = np.arange(rng.uniform(0, step), signal.shape[0] * THIN_MM, step)
    at = np.minimum(np.rint(centres / THIN_MM).astype(int), signal.shape[0] - 1)
    spacing = (IN_PLANE_MM, IN_PLANE_MM, float(step))
    voxels = acquire(profile[at], scan or _drawn_scan(step, rng), np.array(spacing[::-1]), rng)
    image, truth = (sitk.GetImageFromArray(array) for array in (voxels, names.organ_labels(labels[at])))
    for one in (image, truth):
        one.SetSpacing(spacing)
        one.SetOrigin(grid.TransformContinuousIndexToPhysicalPoint((0.0, 0.0, float(centres[0] / THIN_MM))))
        one.SetDirection(grid.GetDirection())
    return PaintedCase(image, truth)


def _drawn_scan(step_mm: float, rng: np.random.Generator) -> Scan:
    return Scan(
        in_plane_mm=IN_PLANE_MM,
        slice_mm=step_mm,
        gamma=rng.uniform(0.75, 1.3),
        noise=rng.uniform(0.004, 0.04),
        shading=rng.uniform(0.0, 0.3),
        blur_mm=rng.uniform(0.3, 1.3),
        ghosts=rng.uniform(0, 0.12) * float(rng.uniform() < 0.4),
        bright=rng.uniform(300, 1500),
    )
