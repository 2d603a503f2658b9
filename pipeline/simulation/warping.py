"""Real T2-weighted images in other shapes: warp a case so that its liver takes the shape of a donor's.

The donor's liver is laid over the case's (centroids meet, sizes match), and the signed distance maps of the two are
registered by SimpleITK's symmetric demons (Vercauteren et al., NeuroImage 45 (2009) S61). Image and labels follow the
displacement. Real texture, another liver; what folds or stretches too far is refused.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from pipeline.case import LIVER, view
from pipeline.simulation.fields import Array
from pipeline.simulation.painting import PaintedCase

GRID_MM = 5.0
"""Isotropic grid of the registration."""
REACH_MM = 30.0
"""Distances beyond this carry no information for the registration."""
ITERATIONS, FIELD_SD_VOXELS = 150, 1.6
JACOBIAN = (0.2, 5.0)
"""Bounds of the local change of volume, 1st to 99th percentile within the two livers."""
CLOSE_ENOUGH = 0.8
"""Smallest Dice between the warped liver and the donor's."""


def warp(image: sitk.Image, labels: sitk.Image, donor: sitk.Image, rng: np.random.Generator) -> PaintedCase | None:
    """Warp a case towards a donor's liver; None where the warp is no plausible anatomy.

    Args:
        image: T2-weighted volume, LPS.
        labels: uint8 on the same grid, with a liver.
        donor: label map with a whole liver, LPS, any grid.
        rng: draws how much of the way is gone (0.6 to 1) and how much of the donor's size is taken over.

    Returns:
        Image (float32) and labels on the grid of ``image``.
    """
    target, moving = _distances(labels, donor, float(rng.uniform(0.3, 0.9)))
    demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    demons.SetNumberOfIterations(ITERATIONS)
    demons.SetSmoothDisplacementField(True)
    demons.SetStandardDeviations(FIELD_SD_VOXELS)
    demons.SetNumberOfThreads(1)
    field = sitk.Cast(demons.Execute(target, moving), sitk.sitkVectorFloat64)
    if not _plausible(field, target, moving):
        return None
    part = float(rng.uniform(0.6, 1.0))
    transform = sitk.DisplacementFieldTransform(
        sitk.Compose([sitk.VectorIndexSelectionCast(field, k) * part for k in range(3)])
    )
    darkest = float(view(image).min())
    warped = sitk.Resample(sitk.Cast(image, sitk.sitkFloat32), image, transform, sitk.sitkBSpline, darkest)
    warped = sitk.Maximum(warped, darkest)  # the spline overshoots
    return PaintedCase(warped, sitk.Resample(labels, labels, transform, sitk.sitkNearestNeighbor))


def _distances(labels: sitk.Image, donor: sitk.Image, size_kept: float) -> tuple[sitk.Image, sitk.Image]:
    """Clipped signed distances in mm of the donor's liver, laid over the case's, and of the case's liver, on one grid.

    Args:
        size_kept: weight of the case's own liver size against the donor's, in the logarithm.
    """
    grid = _isotropic(labels)
    own_centre, own_radius = _centre_and_radius(labels)
    centre, radius = _centre_and_radius(donor)
    scale = (radius / own_radius) ** size_kept
    laid = sitk.AffineTransform(3)
    laid.SetMatrix(np.diag([scale] * 3).ravel().tolist())
    laid.SetCenter(own_centre.tolist())
    laid.SetTranslation((centre - own_centre).tolist())
    donor_liver = sitk.Resample(sitk.Cast(donor == LIVER, sitk.sitkFloat32), grid, laid, sitk.sitkLinear)
    own_liver = sitk.Resample(sitk.Cast(labels == LIVER, sitk.sitkFloat32), grid, sitk.Transform(), sitk.sitkLinear)
    return _signed_distance(donor_liver > 0.5), _signed_distance(own_liver > 0.5)


def _isotropic(labels: sitk.Image) -> sitk.Image:
    size = [max(int(n * s / GRID_MM), 1) for n, s in zip(labels.GetSize(), labels.GetSpacing(), strict=True)]
    grid = sitk.Image(size, sitk.sitkFloat32)
    grid.SetSpacing([GRID_MM] * 3)
    grid.SetOrigin(labels.GetOrigin())
    grid.SetDirection(labels.GetDirection())
    return grid


def _centre_and_radius(labels: sitk.Image) -> tuple[Array, float]:
    """Centroid (x, y, z) in mm and the radius of a ball of the liver's volume."""
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(labels == LIVER)
    return np.array(shape.GetCentroid(1)), float((shape.GetPhysicalSize(1) * 3 / (4 * np.pi)) ** (1 / 3))


def _signed_distance(mask: sitk.Image) -> sitk.Image:
    distance = sitk.SignedMaurerDistanceMap(mask, squaredDistance=False, useImageSpacing=True)
    return sitk.Clamp(distance, sitk.sitkFloat32, -REACH_MM, REACH_MM)


def _plausible(field: sitk.Image, target: sitk.Image, moving: sitk.Image) -> bool:
    """Whether the warped liver is the donor's, and nothing folds or stretches beyond ``JACOBIAN``."""
    transform = sitk.DisplacementFieldTransform(sitk.Image(field))
    warped = view(sitk.Resample(moving, target, transform, sitk.sitkLinear)) < 0
    wanted = view(target) < 0
    reached = 2 * (warped & wanted).sum() / max(warped.sum() + wanted.sum(), 1)
    if not (warped | wanted).any():
        return False
    change = view(sitk.DisplacementFieldJacobianDeterminant(field))
    low, high = np.percentile(change[warped | wanted], [1, 99])
    return bool(reached >= CLOSE_ENOUGH and low >= JACOBIAN[0] and high <= JACOBIAN[1])
