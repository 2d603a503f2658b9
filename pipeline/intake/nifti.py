"""NIfTI-1 and NIfTI-2 by nibabel, since SimpleITK reads no NIfTI-2 and prints paths where it fails."""

from __future__ import annotations

import gzip
import logging
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from pipeline.case import CaseWarning, Series
from pipeline.errors import InputError
from pipeline.intake import weighting as words
from pipeline.intake.faults import log_fault, reading
from pipeline.intake.limits import grid_fault
from pipeline.intake.series import MIN_SIDE, MIN_SLICES
from pipeline.intake.voxel_values import finite

log = logging.getLogger(__name__)
logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # it prints what it finds in headers

DAMAGE = (
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
    ValueError,
    TypeError,
    KeyError,
    ArithmeticError,
    OSError,
    EOFError,
    zlib.error,
    struct.error,
)
"""Errors of nibabel on damaged or hostile bytes."""

BY_FAR = 4
"""Ratio of the numbers of voxels from which on the axis with fewer is that of the slices, whatever the spacing."""
CLEARLY = 1.25
"""Ratio from which on one axis's spacing is coarser, or its number of voxels smaller, than the next one's."""
SHEAR = 1e-3
"""Largest cosine between axes that counts as rounding of the header; above it the grid is sheared."""
MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
"""By the code in the low three bits of ``xyzt_units``: unknown (taken for mm), metre, millimetre, micrometre."""

_DISAGREE = "The file gives two orientations that disagree; left and right may be swapped."
_DAMAGED = "The NIfTI file is damaged or incomplete; convert or download it again."
MAX_OFFSET = 16 << 20
"""Largest offset of the voxels, bytes; header extensions of real files take kilobytes."""


def list_series(file: Path) -> Series:
    """The one series of a NIfTI file, from its header alone.

    Raises:
        InputError: damaged, not 3-D, several volumes, colour or complex voxels, too small or large, sheared.
    """
    image = _open(file)
    size = image.shape[:3]
    direction, spacing, _ = _grid(image)
    stacked = stacking_axis(size, spacing)
    plane = words.plane_of(direction[:, stacked])
    first, second = (axis for axis in range(3) if axis != stacked)
    return Series(
        key="nifti",
        kind="nifti",
        plane=plane,
        slices=int(size[stacked]),
        pixel_mm=(float(spacing[first]), float(spacing[second])),
        slice_step_mm=float(spacing[stacked]),
        echo_time_ms=None,
        weighting="unknown",
        doubts=() if plane == "axial" else (f"{plane}, not axial",),
    )


def stacking_axis(size: Sequence[int], spacing_mm: Sequence[float] | np.ndarray) -> int:
    """The axis along which slices were acquired, which NIfTI does not store, from the grid's three axes.

    The one with by far the fewest voxels, else the one whose spacing stands out as coarser, else the one that differs
    where the other two are alike in size and spacing, as the sides of a square slice are, else the one with clearly the
    fewest voxels; the third where none stands out.
    """
    fewest, next_fewest, _ = np.argsort(size[:3], kind="stable")
    if BY_FAR * size[fewest] < size[next_fewest]:
        return int(fewest)
    *_, second, coarsest = np.argsort(spacing_mm, kind="stable")
    if spacing_mm[coarsest] > CLEARLY * spacing_mm[second]:
        return int(coarsest)
    for axis in range(3):
        one, other = (a for a in range(3) if a != axis)
        alike = size[one] == size[other] and np.isclose(spacing_mm[one], spacing_mm[other], rtol=0.01)
        if alike and (size[axis] != size[one] or not np.isclose(spacing_mm[axis], spacing_mm[one], rtol=0.01)):
            return axis
    return int(fewest) if CLEARLY * size[fewest] < size[next_fewest] else 2


def read_image(file: Path) -> tuple[sitk.Image, tuple[CaseWarning, ...]]:
    """The file's voxels, scaled by its slope, float32, on the file's own grid (in ITK's LPS world).

    Raises:
        InputError: as ``list_series``, or voxels that cannot be read.
    """
    image = _open(file)
    direction, spacing, origin = _grid(image)
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            voxels = np.asanyarray(image.dataobj, dtype=np.float64).astype(np.float32)
    except DAMAGE as error:
        log_fault(log, error, "NIfTI voxels")
        raise InputError(_DAMAGED) from error
    voxels, warnings = finite(voxels.reshape(voxels.shape[:3]))
    result = sitk.GetImageFromArray(np.ascontiguousarray(voxels.transpose(2, 1, 0)))
    result.SetSpacing(spacing.tolist())
    result.SetDirection(direction.ravel().tolist())
    result.SetOrigin(origin.tolist())
    return result, warnings + _header_warnings(image)


def _open(file: Path) -> nib.Nifti1Image:
    """A single-file NIfTI image whose header says that it is one 3-D MR volume."""
    try:
        _check_offset(file)
        image = nib.load(file)
    except DAMAGE as error:
        log_fault(log, error, "NIfTI header")
        raise InputError(_DAMAGED) from error
    if not isinstance(image, nib.Nifti1Image) or type(image) not in (nib.Nifti1Image, nib.Nifti2Image):
        raise InputError("This is not a single NIfTI file; convert it to .nii.gz.")
    shape = tuple(int(n) for n in image.shape)
    if len(shape) < 3 or min(shape) < 1 or sorted(shape[:3])[0] < MIN_SLICES:
        raise InputError("The file holds no 3-D volume of three slices or more; upload the whole T2 series.")
    if int(np.prod(shape[3:], dtype=float)) > 1:
        raise InputError(f"The file holds {np.prod(shape[3:])} volumes; upload the T2 volume alone, as 3-D NIfTI.")
    if image.get_data_dtype().kind not in "iuf":
        raise InputError("The voxels are colours or complex numbers; upload the magnitude MR image.")
    if sorted(shape[:3])[1] < MIN_SIDE:
        raise InputError("The volume is too small to be an MR series of the liver; upload the T2 series.")
    _, spacing, _ = _grid(image)
    if fault := grid_fault(shape[:3], spacing.tolist(), stacking_axis(shape, spacing)):
        raise InputError(f"The file cannot be analysed, since {fault}; upload the axial T2 series alone.")
    return image


def _check_offset(file: Path) -> None:
    """Refuse a header whose voxels begin far behind it: nibabel would read everything between into memory.

    Raises:
        ValueError: the offset is out of range.
    """
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as source:
        head = source.read(540)
    for order in "<>":
        if struct.unpack_from(f"{order}i", head)[0] == 348:
            offset = struct.unpack_from(f"{order}f", head, 108)[0]
        elif struct.unpack_from(f"{order}i", head)[0] == 540:
            offset = struct.unpack_from(f"{order}q", head, 168)[0]
        else:
            continue
        if not 0 <= offset <= MAX_OFFSET:
            with reading("vox_offset"):
                raise ValueError("voxel offset")


def _grid(image: nib.Nifti1Image) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Direction cosines (columns are the array's axes), spacing and origin in mm, in LPS instead of NIfTI's RAS.

    Raises:
        InputError: no usable spacing, or axes that are not at right angles.
    """
    scale = MM_PER_UNIT.get(int(image.header["xyzt_units"]) & 7)
    affine = np.asarray(image.affine, float)
    unknown = InputError("The file does not say how large its voxels are; convert it again from DICOM.")
    if scale is None or not np.isfinite(affine).all() or np.abs(affine).max() > 1e9:
        raise unknown
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    axes = affine[:3, :3] * scale
    spacing = np.linalg.norm(axes, axis=0)
    if spacing.min() < 1e-6 or spacing.max() > 1e6:
        raise unknown
    left, _, right = np.linalg.svd(axes / spacing)
    direction = left @ right  # the nearest exactly orthonormal axes
    if np.abs((axes / spacing).T @ (axes / spacing) - np.eye(3)).max() > SHEAR:
        raise InputError("The axes of the volume are not at right angles; resample it to a regular grid first.")
    return direction, spacing, affine[:3, 3] * scale


def _header_warnings(image: nib.Nifti1Image) -> tuple[CaseWarning, ...]:
    """Warnings where left and right cannot be relied on."""
    try:
        sform, qform = (image.get_sform(coded=True), image.get_qform(coded=True))
    except DAMAGE as error:  # the one that is not used: nibabel has read the other
        log_fault(log, error, "NIfTI orientation")
        return (CaseWarning("orientation_conflict", _DISAGREE),)
    if not sform[1] and not qform[1]:
        text = "The file does not say how the volume lies in the patient; left and right may be swapped."
        return (CaseWarning("orientation_unknown", text),)
    if sform[1] and qform[1] and _axes_of(sform[0]) != _axes_of(qform[0]):
        return (CaseWarning("orientation_conflict", _DISAGREE),)
    return ()


def _axes_of(affine: np.ndarray) -> tuple[str | None, ...]:
    """Letters of the directions of an affine's axes; empty where it has none."""
    try:
        return tuple(nib.aff2axcodes(affine))
    except DAMAGE:
        return ()
