"""Predict every case of a cohort with the models under test; results are cached, so an interrupted run resumes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
from pipeline.classification.slices import CaseSlices, InputSpec, spleen_volume_ml, take_slices
from pipeline.cohort.images import read_labels, read_volume
from pipeline.cohort.manifest import line_of
from pipeline.cohort.out_of_fold import OutOfFoldMembers
from pipeline.cohort.result_cache import ResultCache, model_fingerprint
from pipeline.errors import ManifestError, SegmentationError
from pipeline.evaluation.predictions import CASE_COLUMNS, CohortPredictions, Prediction
from pipeline.statistics.overlap import MEASURES, compare

SEEN = "every member has seen the case or its anatomy"


@dataclass
class ModelsUnderTest:
    """Classifiers to evaluate, loaded on first use, and the cache of their predictions."""

    classifiers: Mapping[str, OutOfFoldMembers]
    """By the name that tables use."""
    cache: ResultCache
    device: torch.device
    loaded: dict[str, Classifier] = field(default_factory=dict)

    def classifier(self, model: ModelFolder) -> Classifier:
        key = model_fingerprint(model)
        if key not in self.loaded:
            self.loaded[key] = Classifier(model, self.device)
        return self.loaded[key]


class CaseUnderTest:
    """One row of the manifest; its image and mask are read on first use.

    Args:
        row: of ``Cohort.rows``, with ``true_mask`` (a full path or empty).
        models: provide the cache and the loaded classifiers.
    """

    def __init__(self, row: Mapping[Any, Any], models: ModelsUnderTest) -> None:
        self.row, self.models = row, models
        self.names = {row["patient_id"], row["anatomy"]}
        self.files_key = [file_sha256(Path(row[file])) for file in ("image", "mask")]
        self.prepared: dict[InputSpec, CaseSlices] = {}

    @cached_property
    def volume(self) -> Volume:
        return read_volume(Path(self.row["image"]))

    @cached_property
    def organs(self) -> np.ndarray:
        """Organ labels, (z, y, x), as in the file: not cleaned, since this very mask is evaluated."""
        return view(read_labels(Path(self.row["mask"]), self.volume))

    @property
    def liver(self) -> np.ndarray:
        """(z, y, x) bool."""
        return self.organs == LIVER

    def slices(self, spec: InputSpec) -> CaseSlices:
        """Input slices, shared by the models of one ``spec``.

        Raises:
            SegmentationError: the mask is empty.
        """
        if spec not in self.prepared:
            spleen_ml = spleen_volume_ml(self.organs, self.volume.spacing_mm_xyz)
            self.prepared[spec] = take_slices(self.volume, self.liver, spec, spleen_ml=spleen_ml)
        return self.prepared[spec]

    def overlap(self) -> dict[str, float]:
        """``compare`` of the mask in use with the true mask; NaN without a true mask other than the one in use."""
        true_mask = self.row["true_mask"]
        if not true_mask or Path(true_mask).resolve() == Path(self.row["mask"]).resolve():
            return dict.fromkeys(MEASURES, np.nan)

        def compute() -> dict[str, float]:
            truth = view(read_labels(Path(true_mask), self.volume)) == LIVER
            return compare(self.liver, truth, self.volume.spacing_mm_xyz[::-1])

        return self.models.cache.of(["overlap", *self.files_key, file_sha256(Path(true_mask))], compute)

    def predictions(self) -> Iterator[Prediction]:
        """One prediction per model, by the members that have seen neither the case nor its anatomy."""
        case = self.row["patient_id"]
        for name, members in self.models.classifiers.items():
            chosen = members.unseen_members(self.names)
            result: dict[str, Any] = {"problem": SEEN} if chosen is None else self._cached_result(chosen)
            if chosen is None or "problem" in result:
                yield Prediction(case, name, problem=result["problem"])
            else:
                predicted_by = members.describe(chosen)
                yield Prediction(case, name, result["probability"], result["advanced"], predicted_by)

    def _cached_result(self, model: ModelFolder) -> dict[str, Any]:
        """``probability`` and ``advanced`` by one model, or ``problem``; as the cache stores them."""

        def compute() -> dict[str, Any]:
            classifier = self.models.classifier(model)
            try:
                probability = probability_of(self.slices(classifier.spec), classifier)
            except SegmentationError as error:
                return {"problem": str(error)}
            return {"probability": probability, "advanced": probability >= classifier.threshold}

        # "reading" is part of the stored digests: another word would discard every cached prediction.
        return self.models.cache.of(["reading", *self.files_key, model_fingerprint(model)], compute)


def predict_cases(
    rows: pd.DataFrame, models: ModelsUnderTest, progress: Callable[[int, int], None]
) -> CohortPredictions:
    """Predict every row by every model.

    Args:
        rows: of the split to evaluate, as ``Cohort.rows``, and ``true_mask`` (a full path or empty).
        progress: called with cases done and cases in all.

    Raises:
        ManifestError: with one line for each row whose image or mask cannot be used.
    """
    cases: list[dict[str, Any]] = []
    predictions: list[Prediction] = []
    faults = []
    for number, (index, row) in enumerate(zip(rows.index, rows.to_dict("records"), strict=True), start=1):
        try:
            case = CaseUnderTest(row, models)
            overlap, predicted = case.overlap(), list(case.predictions())
        except ManifestError as error:
            faults.append(f"{line_of(index)}: {error}")
        else:
            own = {column: row[column] for column in (*CASE_COLUMNS, "anatomy")}
            cases.append(own | {"label": bool(row["label"])} | overlap)
            predictions += predicted
        progress(number, len(rows))
    if faults:
        raise ManifestError("\n".join(faults))
    return CohortPredictions.from_records(cases, predictions)
