"""Training samples of the classifier: random slices of a case, varied anew each time they are drawn."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from pipeline.classification.slices import InputSpec, soft_mask
from pipeline.training.classifier.data import CachedCase
from pipeline.training.classifier.settings import Augmentation, Settings


def draw_training_input(
    case: CachedCase, spec: InputSpec, settings: Settings, random: np.random.Generator
) -> torch.Tensor:
    """An augmented sample of a case, (slices, 2, y, x) float32: random slices, geometry, contrast and mask errors."""
    ranges = settings.augmentation
    images, distance = case.arrays()
    picks = draw_slices(len(images), settings.slices, random)
    pair = torch.from_numpy(np.stack([images[picks], distance[picks]], axis=1))  # (slices, 2, Y, X)
    size_yx, centres = spec.size_yx, None
    if settings.patch:
        size_yx, centres = (settings.patch, settings.patch), draw_centres(distance[picks], random)
    pair = vary_geometry(pair, size_yx, centres, ranges, random)
    image, distance_mm = pair.split(1, dim=1)  # (slices, 1, y, x) each
    return torch.cat([vary_contrast(image, spec, ranges, random), vary_mask(distance_mm, spec, ranges, random)], dim=1)


def draw_slices(available: int, count: int, random: np.random.Generator) -> np.ndarray:
    """Ascending random indices, (count,): one from each of ``count`` equal parts of the liver, some of them repeated
    where ``available`` is smaller."""
    edges = np.linspace(0, available, count + 1)
    return np.minimum((edges[:-1] + random.random(count) * np.diff(edges)).astype(int), available - 1)


def draw_centres(distance_mm: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A random pixel of the liver in each slice, (slices, y, x) -> (slices, 2) as x and y.

    Without a pixel inside, the one that is nearest to the liver.
    """
    centres = []
    for plane in distance_mm:
        y, x = np.nonzero(plane < max(0.0, float(plane.min()) + 1e-3))
        pick = random.integers(len(y))
        centres.append((x[pick], y[pick]))
    return np.array(centres, float)


def vary_geometry(
    pair: torch.Tensor,
    size_yx: tuple[int, int],
    centres: np.ndarray | None,
    ranges: Augmentation,
    random: np.random.Generator,
) -> torch.Tensor:
    """Rotate, stretch and shear in plane, equally in all slices, onto crops: (slices, 2, Y, X) -> (slices, 2, y, x).

    Never mirrored, since the liver is not symmetric.

    Args:
        size_yx: size of the crops.
        centres: pixel (x, y) at the middle of each slice's crop, (slices, 2); None for the slice's middle, shifted
            equally in all slices.
    """
    height, width = pair.shape[-2:]
    size_y, size_x = size_yx
    turn = np.deg2rad(random.uniform(-1, 1) * ranges.turn_degrees)
    shear = random.uniform(-1, 1) * ranges.shear
    stretch = np.exp(random.uniform(-1, 1, size=2) * ranges.stretch)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = matrix @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag(stretch)  # in pixels, (x, y)
    if centres is None:
        shift = np.tile(random.uniform(-1, 1, size=2) * ranges.shift_pixels, (len(pair), 1))
    else:
        shift = centres + 0.5 - np.array([width, height]) / 2
    # affine_grid uses half widths as units: those of the crop for its input, of the cached slice for its output.
    matrix = matrix * np.array([[size_x / width, size_y / width], [size_x / height, size_y / height]])
    offset = 2 * shift / [width, height]  # (slices, 2)
    affine = np.concatenate([np.tile(matrix, (len(pair), 1, 1)), offset[:, :, None]], axis=2).astype(np.float32)
    grid = F.affine_grid(torch.from_numpy(affine), [len(pair), 2, size_y, size_x], align_corners=False)
    return F.grid_sample(pair, grid, mode="bilinear", padding_mode="border", align_corners=False)


def vary_contrast(
    image: torch.Tensor, spec: InputSpec, ranges: Augmentation, random: np.random.Generator
) -> torch.Tensor:
    """Change gain, gamma, coil shading, resolution and noise, none of which depends on fibrosis.

    (slices, 1, y, x), in units of the liver's median, as the result.
    """
    signal = (image + 1).clamp_min(0)  # 0 is no signal, 1 the liver's median
    exponent, factor = np.exp(random.uniform(-1, 1, size=2) * [ranges.gamma, ranges.gain])
    signal = signal ** float(exponent) * float(factor)
    shading = torch.from_numpy(random.normal(0, ranges.shading, size=(1, 1, 3, 4)).astype(np.float32))
    signal = signal * F.interpolate(shading, image.shape[-2:], mode="bicubic", align_corners=True).exp()
    if random.random() < ranges.coarser_probability:  # as from a smaller matrix
        coarse = F.interpolate(
            signal, scale_factor=float(random.uniform(*ranges.coarser)), mode="bilinear", antialias=True
        )
        signal = F.interpolate(coarse, image.shape[-2:], mode="bilinear")
    sigma = random.uniform(0, ranges.noise)
    noise = torch.from_numpy(random.standard_normal(signal.shape, dtype=np.float32))
    return (signal + float(sigma) * noise - 1).clamp(*spec.clip)


def vary_mask(
    distance_mm: torch.Tensor, spec: InputSpec, ranges: Augmentation, random: np.random.Generator
) -> torch.Tensor:
    """A soft mask with errors of segmenters: its edge moved and wavy.

    Args:
        distance_mm: signed distance to the liver's edge, (slices, 1, y, x).
    """
    waves = torch.from_numpy(
        random.normal(0, ranges.mask_waves_mm, size=(len(distance_mm), 1, 6, 8)).astype(np.float32)
    )
    waves = F.interpolate(waves, distance_mm.shape[-2:], mode="bicubic", align_corners=True)
    edge_mm = distance_mm + waves + float(random.uniform(-1, 1) * ranges.mask_edge_mm)
    mask = torch.from_numpy(soft_mask(edge_mm.numpy(), spec))
    # Never empty: the network refuses a case without liver.
    return mask if bool((mask > 0).any()) else torch.from_numpy(soft_mask(distance_mm.numpy(), spec))
