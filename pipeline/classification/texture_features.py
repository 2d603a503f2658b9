"""First-order and texture features of a region of a case: 115 numbers by name.

Images are in units of the liver's median, so no feature depends on the scanner's gain. Sources: Haralick et al., IEEE
Trans Syst Man Cybern 3 (1973) 610 (co-occurrence); Ojala et al., IEEE Trans Pattern Anal 24 (2002) 971 (local binary
patterns). Names of first-order features follow the Image Biomarker Standardisation Initiative.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import ndimage
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

LEVELS = 32
"""Grey levels of the co-occurrence matrices."""
RAW_RANGE = 0.6
"""Brightness above and below the liver's median, in units of it, that the grey levels cover."""
STANDARD_RANGE = 3.0
"""Standard deviations of the flattened image that the grey levels cover on both sides."""
DISTANCES = (1, 2, 4)
"""Distances of the co-occurrence matrices and radii of the local binary patterns, pixels."""
ANGLES = tuple(np.deg2rad([0, 45, 90, 135]))
POINTS = 8
"""Neighbours of a local binary pattern."""
SHADING_MM = 8.0
"""Width of the Gaussian, mm (SD), that estimates coil shading and what else varies slowly."""
BANDS_MM = (0.0, 1.2, 2.4, 4.8)
"""SD of the Gaussians, mm, whose differences are the band-passed images; 0 is the image itself."""
PERCENTILES = (5, 10, 25, 75, 90, 95)
PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "entropy")

Features = dict[str, float]


def texture_features(images: np.ndarray, region: np.ndarray, spacing_mm: float) -> Features:
    """Features of the pixels of a region, pooled over the slices.

    Args:
        images: (slices, y, x) float32 in units of the liver's median.
        region: (slices, y, x) bool, not empty; pixels outside have no say.
        spacing_mm: in plane.
    """
    images, region = cropped(images, region)
    blurred = {mm: blurred_inside(images, region, mm / spacing_mm) for mm in (*BANDS_MM[1:], SHADING_MM)}
    flat = np.where(region, images - blurred[SHADING_MM], 0).astype(np.float32)
    spread = float(flat[region].std()) or 1.0
    found = first_order("raw", images[region]) | first_order("flat", flat[region])
    scales = [images, *(blurred[mm] for mm in BANDS_MM[1:])]
    for number, (fine, coarse) in enumerate(pairwise(scales), start=1):
        found |= shape_of_histogram(f"band{number}", (fine - coarse)[region])
    gradient = np.hypot(*(ndimage.sobel(blurred[BANDS_MM[1]], axis) / 8 for axis in (1, 2)))
    inner = inner_pixels(region)
    found |= spread_of("gradient", gradient[inner]) | spread_of("local_sd", local_sd(flat, region, 5)[region])
    found |= cooccurrence("glcm_raw", quantised(images, region, RAW_RANGE))
    found |= cooccurrence("glcm_flat", quantised(flat, region, STANDARD_RANGE * spread))
    return found | binary_patterns("lbp", blurred[BANDS_MM[1]], region)


def cropped(images: np.ndarray, region: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both cut to the region's box and its slices."""
    box = tuple(slice(int(index.min()), int(index.max()) + 1) for index in np.nonzero(region))
    return images[box], region[box]


def blurred_inside(images: np.ndarray, region: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian mean in plane over the pixels of the region alone; SD in pixels. Outside the region it is unspecific."""
    widths = (0, sigma, sigma)
    inside = region.astype(np.float32)
    weight = ndimage.gaussian_filter(inside, widths, mode="constant", truncate=3)
    total = ndimage.gaussian_filter(images * inside, widths, mode="constant", truncate=3)
    blurred: np.ndarray = total / np.maximum(weight, 1e-3)
    return blurred


def inner_pixels(region: np.ndarray) -> np.ndarray:
    """Pixels whose neighbours in plane belong to the region too; the region itself where there are none."""
    inner: np.ndarray = ndimage.binary_erosion(region, np.ones((1, 3, 3), bool))
    return inner if inner.any() else region


def local_sd(images: np.ndarray, region: np.ndarray, width: int) -> np.ndarray:
    """Standard deviation over the pixels of the region in a square window, of ``width`` pixels, around each pixel."""
    inside = region.astype(np.float32)
    count, total, squares = (
        ndimage.uniform_filter(values, (1, width, width), mode="constant")
        for values in (inside, images * inside, images**2 * inside)
    )
    count = np.maximum(count, 1e-6)
    return np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0))


def shape_of_histogram(name: str, values: np.ndarray) -> Features:
    """Standard deviation, skewness and excess kurtosis of values, (pixels,), and the 5th and 95th percentile."""
    values = values.astype(float)
    spread = float(values.std())
    standard = (values - values.mean()) / spread if spread > 0 else np.zeros_like(values)
    squares = standard * standard
    low, high = np.percentile(values, (5, 95))
    return {
        f"{name}_sd": spread,
        f"{name}_skewness": float((squares * standard).mean()),
        f"{name}_kurtosis": float((squares * squares).mean()) - 3,
        f"{name}_p5": float(low),
        f"{name}_p95": float(high),
    }


def first_order(name: str, values: np.ndarray) -> Features:
    """First-order features of values, (pixels,)."""
    cuts = np.percentile(values, PERCENTILES)
    counts = np.histogram(np.clip(values, -RAW_RANGE, RAW_RANGE), LEVELS, (-RAW_RANGE, RAW_RANGE))[0] / len(values)
    deviation = float(np.abs(values - np.median(values)).mean())
    return (
        shape_of_histogram(name, values)
        | {f"{name}_p{p}": float(cut) for p, cut in zip(PERCENTILES, cuts, strict=True)}
        | {
            f"{name}_mean": float(values.mean()),
            f"{name}_mean_deviation": deviation,
            f"{name}_entropy": float(-(counts[counts > 0] * np.log2(counts[counts > 0])).sum()),
            f"{name}_uniformity": float((counts**2).sum()),
        }
    )


def spread_of(name: str, values: np.ndarray) -> Features:
    """Mean, standard deviation, 10th and 90th percentile of values, (pixels,)."""
    low, high = np.percentile(values, (10, 90))
    return {
        f"{name}_mean": float(values.mean()),
        f"{name}_sd": float(values.std()),
        f"{name}_p10": float(low),
        f"{name}_p90": float(high),
    }


def quantised(images: np.ndarray, region: np.ndarray, reach: float) -> np.ndarray:
    """Grey levels 1 to ``LEVELS`` from -reach to reach, uint8 of the shape of ``images``; 0 outside the region."""
    levels = np.clip((images + reach) / (2 * reach) * LEVELS, 0, LEVELS - 1).astype(np.uint8) + 1
    return np.where(region, levels, 0).astype(np.uint8)


def cooccurrence(name: str, levels: np.ndarray) -> Features:
    """Haralick's features of grey levels, (slices, y, x) with 0 outside, at each distance; mean over the directions."""
    shape = (LEVELS + 1, LEVELS + 1, len(DISTANCES), len(ANGLES))
    counts = np.zeros(shape, np.float64)
    for plane in levels:
        counts += graycomatrix(plane, DISTANCES, ANGLES, levels=LEVELS + 1, symmetric=True)
    inside = counts[1:, 1:].sum(axis=3, keepdims=True)  # without the pairs that leave the region
    inside[0, 0] += inside.sum(axis=(0, 1)) == 0  # a region too small for a pair
    return {
        f"{name}{distance}_{prop}": float(value)
        for prop in PROPERTIES
        for distance, value in zip(DISTANCES, graycoprops(inside, prop)[:, 0], strict=True)
    }


def binary_patterns(name: str, images: np.ndarray, region: np.ndarray) -> Features:
    """Shares of the uniform, rotation-invariant local binary patterns at each radius, pooled over the slices.

    The slices are shifted to whole numbers of a fine scale, since equal neighbours must not differ by rounding.
    """
    fine = np.rint(images * 1000).astype(np.int32)
    found: Features = {}
    for radius in DISTANCES:
        codes = np.stack([local_binary_pattern(plane, POINTS, radius, "uniform") for plane in fine])
        shares = np.bincount(codes[region].astype(int), minlength=POINTS + 2) / region.sum()
        found |= {f"{name}{radius}_{code}": float(share) for code, share in enumerate(shares)}
    return found
