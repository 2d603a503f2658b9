"""Cases of a classifier's training: slices prepared once and cached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

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
