"""Cases of a classifier's training: slices prepared once and cached, then augmented each time they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from models.files import atomic_path, file_sha256, json_sha256
from pipeline.case import LIVER, view
from pipeline.classification.slices import CaseSlices, InputSpec, soft_mask, take_slices
from pipeline.cohort.images import read_labels, read_volume
from pipeline.cohort.manifest import line_of
from pipeline.errors import ManifestError, SegmentationError


@dataclass(frozen=True)
class CachedCase:
    """One case of the cohort, its slices on disk exactly as prediction prepares them."""

    case_id: str
    anatomy: str
    """Source anatomy; cases that share it stay on one side of every split."""
    label: bool
    """Label to learn, True for positive."""
    file: Path
    """Cached slices, ``.npz``, named by a hash of their content."""

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Images and signed liver distances in mm, (slices, y, x) float32 each."""
        with np.load(self.file) as stored:
            return stored["images"].astype(np.float32), stored["distance_mm"].astype(np.float32)

    def tensor(self, spec: InputSpec) -> torch.Tensor:
        """Every slice without augmentation, as for prediction: (slices, 2, y, x) float32, image and soft liver mask."""
        images, distance = self.arrays()
        return torch.from_numpy(np.stack([images, soft_mask(distance, spec)], axis=1))


def cache_case(index: int, row: pd.Series, folder: Path, spec: InputSpec) -> CachedCase:
    """Prepare the slices of one row of the manifest, or find them in the cache by the files' content and ``spec``.

    Raises:
        ManifestError: image and mask do not fit each other, or the mask holds no liver.
    """
    content = [file_sha256(Path(row[name])) for name in ("image", "mask")]
    key = json_sha256([spec.to_json(), content], sort_keys=False)[:16]
    file = folder / f"{key}.npz"
    if not file.is_file():
        try:
            case = prepare(Path(row["image"]), Path(row["mask"]), spec)
        except (ManifestError, SegmentationError) as error:
            raise ManifestError(f"{line_of(index)}: {error}") from error
        with atomic_path(file) as partial:  # folds may be trained in parallel
            np.savez(partial, images=case.images.astype(np.float16), distance_mm=case.distance_mm.astype(np.float16))
    return CachedCase(row["patient_id"], row["anatomy"], bool(row["label"]), file)


def prepare(image_file: Path, mask_file: Path, spec: InputSpec) -> CaseSlices:
    """Read an image and its organ labels (1 is liver) and take the slices."""
    volume = read_volume(image_file)
    labels = read_labels(mask_file, volume)
    return take_slices(volume, view(labels) == LIVER, spec)


def draw_training_input(case: CachedCase, spec: InputSpec, slices: int, random: np.random.Generator) -> torch.Tensor:
    """An augmented sample of a case, (slices, 2, y, x) float32: random slices, geometry, contrast and mask errors."""
    images, distance = case.arrays()
    picks = draw_slices(len(images), slices, random)
    pair = torch.from_numpy(np.stack([images[picks], distance[picks]], axis=1))  # (slices, 2, Y, X)
    image, distance_mm = vary_geometry(pair, spec, random).split(1, dim=1)  # (slices, 1, y, x) each
    return torch.cat([vary_contrast(image, spec, random), vary_mask(distance_mm, spec, random)], dim=1)


def draw_slices(available: int, count: int, random: np.random.Generator) -> np.ndarray:
    """Ascending random indices, (count,): one from each of ``count`` equal parts of the liver, some of them repeated
    where ``available`` is smaller."""
    edges = np.linspace(0, available, count + 1)
    return np.minimum((edges[:-1] + random.random(count) * np.diff(edges)).astype(int), available - 1)


def vary_geometry(pair: torch.Tensor, spec: InputSpec, random: np.random.Generator) -> torch.Tensor:
    """Rotate, stretch, shear and shift in plane, equally in all slices, onto a crop of ``size_yx``.

    (slices, 2, Y, X) -> (slices, 2, y, x). Never mirrored, since the liver is not symmetric.
    """
    height, width = pair.shape[-2:]
    size_y, size_x = spec.size_yx
    turn, shear = np.deg2rad(random.uniform(-12, 12)), random.uniform(-0.08, 0.08)
    stretch = np.exp(random.uniform(-0.14, 0.14, size=2))
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = matrix @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag(stretch)  # in pixels, (x, y)
    shift = random.uniform(-8, 8, size=2)
    # affine_grid uses half widths as units: those of the crop for its input, of the cached slice for its output.
    matrix = matrix * np.array([[size_x / width, size_y / width], [size_x / height, size_y / height]])
    affine = np.column_stack([matrix, 2 * shift / [width, height]]).astype(np.float32)  # (2, 3)
    theta = torch.from_numpy(affine).expand(len(pair), -1, -1)
    grid = F.affine_grid(theta, [len(pair), 2, size_y, size_x], align_corners=False)
    return F.grid_sample(pair, grid, mode="bilinear", padding_mode="border", align_corners=False)


def vary_contrast(image: torch.Tensor, spec: InputSpec, random: np.random.Generator) -> torch.Tensor:
    """Change gain, gamma, coil shading, resolution and noise, none of which depends on fibrosis.

    (slices, 1, y, x), in units of the liver's median, as the result.
    """
    signal = (image + 1).clamp_min(0)  # 0 is no signal, 1 the liver's median
    signal = signal ** float(np.exp(random.uniform(-0.25, 0.25))) * float(np.exp(random.uniform(-0.15, 0.15)))
    shading = torch.from_numpy(random.normal(0, 0.15, size=(1, 1, 3, 4)).astype(np.float32))
    signal = signal * F.interpolate(shading, image.shape[-2:], mode="bicubic", align_corners=True).exp()
    if random.random() < 0.2:  # coarser, as from a smaller matrix
        coarse = F.interpolate(signal, scale_factor=float(random.uniform(0.65, 0.9)), mode="bilinear", antialias=True)
        signal = F.interpolate(coarse, image.shape[-2:], mode="bilinear")
    sigma = random.uniform(0, 0.04)
    noise = torch.from_numpy(random.standard_normal(signal.shape, dtype=np.float32))
    return (signal + float(sigma) * noise - 1).clamp(*spec.clip)


def vary_mask(distance_mm: torch.Tensor, spec: InputSpec, random: np.random.Generator) -> torch.Tensor:
    """A soft mask with errors of segmenters: edge moved and wavy; in some draws a part missing, or all ones (no mask).

    Args:
        distance_mm: signed distance to the liver's edge, (slices, 1, y, x).
    """
    if random.random() < 0.1:
        return torch.ones_like(distance_mm)
    waves = torch.from_numpy(random.normal(0, 3.0, size=(len(distance_mm), 1, 6, 8)).astype(np.float32))
    waves = F.interpolate(waves, distance_mm.shape[-2:], mode="bicubic", align_corners=True)
    edge_mm = distance_mm + waves + float(random.uniform(-4, 4))
    mask = torch.from_numpy(soft_mask(edge_mm.numpy(), spec))
    if random.random() < 0.2:
        cut = without_a_side(mask, random)
        mask = cut if bool((cut > 0.5).any()) else mask
    # Never empty: the network refuses a case without liver.
    return mask if bool((mask > 0).any()) else torch.from_numpy(soft_mask(distance_mm.numpy(), spec))


def without_a_side(mask: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """The mask, (slices, 1, y, x), cut along a random line that is the same in all slices."""
    height, width = mask.shape[-2:]
    angle, offset = random.uniform(0, 2 * np.pi), random.uniform(0, 0.25) * width
    y = torch.arange(height)[:, None] - height / 2
    x = torch.arange(width)[None] - width / 2
    return mask * (x * float(np.cos(angle)) + y * float(np.sin(angle)) < offset)
