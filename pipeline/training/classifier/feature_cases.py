"""Features of the cases of a training, computed once and cached."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from models.files import atomic_path, file_sha256, json_sha256
from models.network_names import FeatureGroup
from pipeline.case import LIVER, view
from pipeline.classification.feature_groups import case_features
from pipeline.classification.slices import CaseSlices, InputSpec, spleen_volume_ml, take_slices
from pipeline.cohort.images import read_labels, read_volume
from pipeline.cohort.manifest import Cohort, line_of
from pipeline.errors import ManifestError, SegmentationError
from pipeline.training.classifier.data import CachedCase

log = logging.getLogger(__name__)
VERSION = 1
"""Raised where a feature's computation changes, so that cached ones are computed anew."""


@dataclass(frozen=True)
class FeatureTable:
    """Features of the training cases."""

    names: tuple[str, ...]
    values: np.ndarray
    """(cases, features) float64."""


def cohort_features(
    cohort: Cohort, groups: Sequence[FeatureGroup], spec: InputSpec, cache: Path
) -> tuple[list[CachedCase], FeatureTable]:
    """The cases of a cohort, and the features of the groups, computed or found in the folder ``cache``.

    Raises:
        ManifestError: a case cannot be used; it names the line.
    """
    cases, rows = [], []
    for number, (index, row) in enumerate(cohort.rows.iterrows(), start=1):
        content = [file_sha256(Path(row[name])) for name in ("image", "mask")]
        try:
            rows.append(cached_features(row, content, groups, spec, cache))
        except (ManifestError, SegmentationError) as error:
            raise ManifestError(f"{line_of(index)}: {error}") from error  # type: ignore[arg-type]
        file = cache / f"{json_sha256(content)[:16]}.json"
        cases.append(CachedCase(row["patient_id"], row["anatomy"], bool(row["label"]), file))
        if number % 50 == 0:
            log.info("features of %d of %d cases", number, len(cohort.rows))
    names = tuple(rows[0])
    return cases, FeatureTable(names, np.array([[found[name] for name in names] for found in rows]))


def cached_features(
    row: pd.Series, content: Sequence[str], groups: Sequence[FeatureGroup], spec: InputSpec, cache: Path
) -> dict[str, float]:
    """Features of one row of the manifest; each group is cached by the files' content, ``spec`` and ``VERSION``.

    Raises:
        ManifestError: image and mask do not fit each other.
        SegmentationError: the mask holds no liver, or a group needs an organ that it lacks.
    """
    found: dict[str, float] = {}
    case = None
    for group in groups:
        file = cache / f"{json_sha256([VERSION, group, spec.to_json(), list(content)], sort_keys=False)[:16]}.json"
        if not file.is_file():
            case = case or read_case(Path(row["image"]), Path(row["mask"]), spec)
            text = json.dumps(case_features(case, [group], spec))
            with atomic_path(file) as partial:  # trainings may run in parallel
                partial.write_text(text)
        found |= json.loads(file.read_text())
    return found


def read_case(image_file: Path, mask_file: Path, spec: InputSpec) -> CaseSlices:
    """Read an image and its organ labels and take the slices, with the volume of the spleen."""
    volume = read_volume(image_file)
    labels = view(read_labels(mask_file, volume))
    spleen_ml = spleen_volume_ml(labels, volume.spacing_mm_xyz)
    return take_slices(volume, labels == LIVER, spec, spleen_ml=spleen_ml)
