"""What the models say of every case of a cohort, kept on disk so that an interrupted evaluation goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import SimpleITK as sitk
import torch
from scipy import ndimage

from models.registry import ModelFolder, file_sha256
from pipeline.case import LIVER, OrganMask, Volume, view
from pipeline.classification import Classifier, classify
from pipeline.errors import ManifestError, SegmentationError
from pipeline.segmentation import Segmenter, segment
from pipeline.training.classifier_data import read_labels, read_volume
from pipeline.training.mask_comparison import MEASURES, compare
from pipeline.training.unseen import Readers

Masks = Literal["manifest", "predicted"]
SEEN = "every member has seen the case or its anatomy"
NO_SEGMENTER = "every member of the segmenter has seen the case or its anatomy"

CARRIED = ("patient_id", "source_anatomy", "site", "sex", "label_source", "metavir", "split", "segmentation_score")


@dataclass
class Bench:
    """The models under test, loaded when first needed, and the folder that remembers their answers."""

    classifiers: Mapping[str, Readers]
    """By the name that tables use."""
    segmenter: Readers | None
    """None where masks come from the manifest."""
    cache: Path
    device: torch.device
    loaded: dict[str, Any] = field(default_factory=dict)

    def classifier(self, model: ModelFolder) -> Classifier:
        return self._load(model, Classifier)

    def loaded_segmenter(self, model: ModelFolder) -> Segmenter:
        return self._load(model, Segmenter)

    def _load(self, model: ModelFolder, kind: Callable[[ModelFolder, torch.device], Any]) -> Any:
        key = fingerprint(model)
        if key not in self.loaded:
            self.loaded[key] = kind(model, self.device)
        return self.loaded[key]

    def remembered(self, key: Sequence[object], compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The answer stored under ``key``, or ``compute()``, stored in one move."""
        file = self.cache / f"{digest(key)}.json"
        if file.is_file():
            return json.loads(file.read_text(encoding="utf-8"))
        answer = compute()
        write_whole(file, json.dumps(answer))
        return answer


class Case:
    """One row of the manifest, its image and mask read when first needed."""

    def __init__(self, row: Mapping[Any, Any], bench: Bench) -> None:
        self.row, self.bench = row, bench
        self.anatomy = row["source_anatomy"] or row["patient_id"]
        self.names = {row["patient_id"], self.anatomy}
        self.image_key = file_sha256(Path(row["image"]))
        self._volume: Volume | None = None
        self.segmenter = bench.segmenter.of(self.names) if bench.segmenter else None
        self.true_mask = row["true_mask"] or (row["mask"] if bench.segmenter else "")
        """What the mask is compared with; empty where nothing says what is true."""

    @property
    def volume(self) -> Volume:
        if self._volume is None:
            self._volume = read_volume(Path(self.row["image"]))
        return self._volume

    def mask_key(self) -> str:
        return fingerprint(self.segmenter) if self.segmenter else file_sha256(Path(self.row["mask"]))

    def organs(self) -> OrganMask:
        """The manifest's mask as it is, or the segmenter's.

        Raises:
            SegmentationError: no liver.
        """
        segmenter = self.segmenter
        if segmenter is None:
            return as_given(read_labels(Path(self.row["mask"]), self.volume))
        key = ["mask", self.image_key, self.mask_key()]
        file = self.bench.cache / f"{digest(key)}.nii.gz"
        answer = self.bench.remembered(key, lambda: self._segment(segmenter, file))
        if problem := answer.get("problem"):
            raise SegmentationError(problem)
        return as_given(read_labels(file, self.volume))

    def _segment(self, model: ModelFolder, file: Path) -> dict[str, str]:
        """Write the labels into ``file``; ``problem`` where no liver was found."""
        try:
            organs = segment(self.volume, self.bench.loaded_segmenter(model))
        except SegmentationError as error:
            return {"problem": str(error)}
        partial = file.with_name(f"part-{file.name}")
        sitk.WriteImage(organs.labels, str(partial), useCompression=True)
        partial.replace(file)
        return {}

    def overlap(self) -> dict[str, float]:
        """``compare`` of the mask in use with the true one; a liver that was not found overlaps by 0."""

        def compute() -> dict[str, float]:
            truth = view(read_labels(Path(self.true_mask), self.volume)) == LIVER
            try:
                found = self.organs().liver
            except SegmentationError:
                found = np.zeros_like(truth)
            return compare(found, truth, self.volume.spacing_mm_xyz[::-1])

        key = ["overlap", self.image_key, self.mask_key(), file_sha256(Path(self.true_mask))]
        return self.bench.remembered(key, compute)

    def reading(self, model: ModelFolder) -> dict[str, Any]:
        """``probability`` and ``advanced`` by one model, or ``problem`` in words."""

        def compute() -> dict[str, Any]:
            try:
                answer = classify(self.volume, self.organs(), self.bench.classifier(model))
            except SegmentationError as error:
                return {"problem": str(error)}
            return {"probability": answer.probability, "advanced": bool(answer.advanced)}

        return self.bench.remembered(["reading", self.image_key, self.mask_key(), fingerprint(model)], compute)


def read_cases(rows: pd.DataFrame, bench: Bench, progress: Callable[[int, int], None]) -> pd.DataFrame:
    """One row a patient: ``CARRIED``, ``anatomy``, ``label``, ``MEASURES`` where there is a true mask, and by model
    ``probability:NAME``, ``advanced:NAME``, ``read_by:NAME`` and ``problem:NAME`` (why there is no probability).

    Args:
        rows: of the split to be read, as ``read_manifest`` gives them, and ``true_mask`` (a full path or empty).
        progress: told cases done and cases in all.

    Raises:
        ManifestError: with one line for each row whose image or mask cannot be used.
    """
    bench.cache.mkdir(parents=True, exist_ok=True)
    found, faults = [], []
    for number, (index, row) in enumerate(zip(rows.index, rows.to_dict("records"), strict=True), start=1):
        try:
            found.append(read_case(Case(row, bench)))
        except ManifestError as error:
            faults.append(f"Line {index + 2}: {error}")
        progress(number, len(rows))
    if faults:
        raise ManifestError("\n".join(faults))
    return pd.DataFrame(found)


def read_case(case: Case) -> dict[str, Any]:
    """One row of ``read_cases``."""
    row: dict[str, Any] = {column: case.row[column] for column in CARRIED}
    row |= {"anatomy": case.anatomy, "label": bool(case.row["label"])} | dict.fromkeys(MEASURES, np.nan)
    segmentable = case.bench.segmenter is None or case.segmenter is not None
    if case.true_mask and segmentable:
        row |= case.overlap()
    for name, readers in case.bench.classifiers.items():
        model = readers.of(case.names)
        if not segmentable:
            answer: dict[str, Any] = {"problem": NO_SEGMENTER}
        else:
            answer = {"problem": SEEN} if model is None else case.reading(model)
        row[f"probability:{name}"] = answer.get("probability", np.nan)
        row[f"advanced:{name}"] = answer.get("advanced")
        row[f"read_by:{name}"] = readers.in_words(model) if model and "problem" not in answer else ""
        row[f"problem:{name}"] = answer.get("problem", "")
    return row


def as_given(labels: sitk.Image) -> OrganMask:
    """A mask as it stands in a file: measured, not cleaned, since this very mask is on trial."""
    liver = view(labels) == LIVER
    parts, count = ndimage.label(liver, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel())[1:]
    return OrganMask(
        labels=labels,
        liver_ml=float(liver.sum() * np.prod(labels.GetSpacing()) / 1000),
        spleen_ml=None,
        components=int(count),
        largest_component_share=float(sizes.max() / sizes.sum()) if count else 0.0,
        touches_edge=any(bool(np.take(liver, side, axis).any()) for axis in range(3) for side in (0, -1)),
    )


def fingerprint(model: ModelFolder) -> str:
    """Changes with the weights of the chosen members and with everything that ``model.json`` says."""
    return digest([model.sha256, model.members, model.info])


def digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def write_whole(file: Path, text: str) -> None:
    """Replace a file in one move, so that an interruption leaves the old one or none."""
    partial = file.with_name(f"{file.name}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
