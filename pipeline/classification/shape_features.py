"""Features of the liver's outline and of the organs' volumes; none looks at the image."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.measure import perimeter

from pipeline.classification.slices import CaseSlices
from pipeline.errors import SegmentationError

Features = dict[str, float]

SMOOTHING_MM = 5.0
"""SD of the Gaussian that smooths the outline: what it removes is the surface's nodularity."""
NO_SPLEEN = (
    "This classifier uses the spleen's volume, and no spleen is outlined; choose another classifier or segmenter."
)


def outline_features(case: CaseSlices) -> Features:
    """Size, compactness, surface roughness and proportions of the liver's mask: 21 numbers by name."""
    liver = case.distance_mm <= 0
    pixel_mm = case.grid.GetSpacing()[0]
    area = liver.sum(axis=(1, 2)) * pixel_mm**2  # (slices,) mm2
    share = area / area.sum()
    around = np.array([perimeter(plane) * pixel_mm for plane in liver])
    compactness = 4 * np.pi * area / np.maximum(around, pixel_mm) ** 2  # 1 for a circle
    z, y, x = np.nonzero(liver)
    z_mm = np.array(case.z)[z] * case.grid.GetSpacing()[2]
    places = np.stack([z_mm, y * pixel_mm, x * pixel_mm])  # (3, pixels) mm
    axes = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(places)), 1e-3)) if len(z) > 1 else np.ones(3)
    depth = np.percentile(-case.distance_mm[liver], (50, 90, 100))
    smooth = ndimage.gaussian_filter(liver.astype(np.float32), (0, *[SMOOTHING_MM / pixel_mm] * 2)) > 0.5
    third = np.percentile(places[2], (0, 10, 50, 90, 100))
    width = max(float(third[-1] - third[0]), pixel_mm)
    left = places[2] > third[0] + 2 / 3 * width  # x runs to the patient's left
    return {
        "outline_area_mean": float(area.mean()),
        "outline_area_max": float(area.max()),
        "outline_area_sd": float(area.std() / area.mean()),
        "outline_compactness": float((share * compactness).sum()),
        "outline_compactness_sd": float(compactness.std()),
        "outline_perimeter": float((share * around).sum()),
        "outline_roughness": float((liver != smooth).sum() * pixel_mm**2 / max(around.sum(), pixel_mm)),
        "outline_lost": float((liver & ~smooth).sum() / liver.sum()),
        "outline_gained": float((~liver & smooth).sum() / liver.sum()),
        "outline_width": width,
        "outline_depth": float(np.ptp(places[1])),
        "outline_height": float(np.ptp(z_mm)),
        "outline_elongation": float(axes[1] / axes[2]),
        "outline_flatness": float(axes[0] / axes[2]),
        "outline_left_share": float(left.mean()),
        "outline_median_x": float((third[2] - third[0]) / width),
        "outline_spread_x": float((third[3] - third[1]) / width),
        "outline_inner_median": float(depth[0]),
        "outline_inner_p90": float(depth[1]),
        "outline_inner_max": float(depth[2]),
        "outline_parts": float((share * [ndimage.label(plane)[1] for plane in liver]).sum()),
    }


def volume_features(case: CaseSlices) -> Features:
    """Logarithms of the volumes of liver and spleen, in mL, and of their ratio.

    The liver's is computed from the slices, so that it follows an edge that is moved.

    Raises:
        SegmentationError: no spleen is outlined.
    """
    if not case.spleen_ml:
        raise SegmentationError(NO_SPLEEN)
    x_mm, y_mm, z_mm = case.grid.GetSpacing()
    area = (case.distance_mm <= 0).sum(axis=(1, 2)) * x_mm * y_mm
    thickness = (case.z[-1] - case.z[0] + 1) / len(case.z) * z_mm  # more than a slice's where some were left out
    liver, spleen = np.log(max(area.sum() * thickness / 1000, 1.0)), np.log(max(case.spleen_ml, 1.0))
    return {"volume_liver": float(liver), "volume_spleen": float(spleen), "volume_ratio": float(spleen - liver)}
