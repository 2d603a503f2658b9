"""What the models say of every case of a cohort, kept on disk so that an interrupted evaluation goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from models.files import file_sha256
from models.registry import ModelFolder
from pipeline.case import LIVER, Volume, view
from pipeline.classification import Classifier
from pipeline.classification.predict import probability_of
from pipeline.classification.slices import CaseSlices, InputSpec, take_slices
from pipeline.cohort.images import read_labels, read_volume
from pipeline.cohort.manifest import line_of
from pipeline.cohort.out_of_fold import OutOfFoldMembers
from pipeline.cohort.result_cache import ResultCache, model_fingerprint
from pipeline.errors import ManifestError, SegmentationError
from pipeline.statistics.overlap import MEASURES, compare

SEEN = "every member has seen the case or its anatomy"

CARRIED = ("patient_id", "source_anatomy", "site", "sex", "label_source", "metavir", "split", "segmentation_score")


@dataclass
class Bench:
    """The models under test, loaded when first needed, and the memory of their answers."""

    classifiers: Mapping[str, OutOfFoldMembers]
    """By the name that tables use."""
    memory: ResultCache
    device: torch.device
    loaded: dict[str, Classifier] = field(default_factory=dict)

    def classifier(self, model: ModelFolder) -> Classifier:
        key = model_fingerprint(model)
        if key not in self.loaded:
            self.loaded[key] = Classifier(model, self.device)
        return self.loaded[key]


class Case:
    """One row of the manifest, its image and mask read when first needed."""

    def __init__(self, row: Mapping[Any, Any], bench: Bench) -> None:
        self.row, self.bench = row, bench
        self.anatomy = row["anatomy"]
        self.names = {row["patient_id"], self.anatomy}
        self.files_key = [file_sha256(Path(row[file])) for file in ("image", "mask")]
        self.prepared: dict[InputSpec, CaseSlices] = {}

    @cached_property
    def volume(self) -> Volume:
        return read_volume(Path(self.row["image"]))

    @cached_property
    def liver(self) -> np.ndarray:
        """(z, y, x) bool, as it stands in the file: not cleaned, since this very mask is on trial."""
        return view(read_labels(Path(self.row["mask"]), self.volume)) == LIVER

    def slices(self, spec: InputSpec) -> CaseSlices:
        """Models of one input share them. Raises SegmentationError where the mask is empty."""
        if spec not in self.prepared:
            self.prepared[spec] = take_slices(self.volume, self.liver, spec)
        return self.prepared[spec]

    def overlap(self, true_mask: Path) -> dict[str, float]:
        """``compare`` of the manifest's mask with the true one."""

        def compute() -> dict[str, float]:
            truth = view(read_labels(true_mask, self.volume)) == LIVER
            return compare(self.liver, truth, self.volume.spacing_mm_xyz[::-1])

        return self.bench.memory.of(["overlap", *self.files_key, file_sha256(true_mask)], compute)

    def reading(self, model: ModelFolder) -> dict[str, Any]:
        """``probability`` and ``advanced`` by one model, or ``problem`` in words."""

        def compute() -> dict[str, Any]:
            classifier = self.bench.classifier(model)
            try:
                probability = probability_of(self.slices(classifier.spec), classifier)
            except SegmentationError as error:
                return {"problem": str(error)}
            return {"probability": probability, "advanced": probability >= classifier.threshold}

        return self.bench.memory.of(["reading", *self.files_key, model_fingerprint(model)], compute)


def read_cases(rows: pd.DataFrame, bench: Bench, progress: Callable[[int, int], None]) -> pd.DataFrame:
    """One row a patient: ``CARRIED``, ``anatomy``, ``label``, ``MEASURES`` where there is a true mask, and by model
    ``probability:NAME``, ``advanced:NAME``, ``read_by:NAME`` and ``problem:NAME`` (why there is no probability).

    Args:
        rows: of the split to be read, as ``read_manifest`` gives them, and ``true_mask`` (a full path or empty).
        progress: told cases done and cases in all.

    Raises:
        ManifestError: with one line for each row whose image or mask cannot be used.
    """
    found, faults = [], []
    for number, (index, row) in enumerate(zip(rows.index, rows.to_dict("records"), strict=True), start=1):
        try:
            found.append(read_case(Case(row, bench)))
        except ManifestError as error:
            faults.append(f"{line_of(index)}: {error}")
        progress(number, len(rows))
    if faults:
        raise ManifestError("\n".join(faults))
    return pd.DataFrame(found)


def read_case(case: Case) -> dict[str, Any]:
    """One row of ``read_cases``."""
    row: dict[str, Any] = {column: case.row[column] for column in CARRIED}
    row |= {"anatomy": case.anatomy, "label": bool(case.row["label"])} | dict.fromkeys(MEASURES, np.nan)
    true_mask = case.row["true_mask"]
    if true_mask and Path(true_mask).resolve() != Path(case.row["mask"]).resolve():  # else it would be its own judge
        row |= case.overlap(Path(true_mask))
    for name, readers in case.bench.classifiers.items():
        model = readers.unseen_members(case.names)
        answer = {"problem": SEEN} if model is None else case.reading(model)
        row[f"probability:{name}"] = answer.get("probability", np.nan)
        row[f"advanced:{name}"] = answer.get("advanced")
        row[f"read_by:{name}"] = readers.describe(model) if model and "problem" not in answer else ""
        row[f"problem:{name}"] = answer.get("problem", "")
    return row
