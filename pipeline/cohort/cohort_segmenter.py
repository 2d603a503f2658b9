"""Segment the cases of a cohort, each by members that have not seen it; finished cases are kept on disk."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import SimpleITK as sitk
import torch

from models.device import choose_device
from models.files import atomic_path, file_sha256, write_text
from models.registry import ModelFolder
from pipeline.case import LIVER, OrganMask, view
from pipeline.cohort.images import read_labels, read_volume
from pipeline.cohort.out_of_fold import OutOfFoldMembers
from pipeline.cohort.result_cache import ResultCache, digest, model_fingerprint
from pipeline.errors import SegmentationError
from pipeline.segmentation import Segmenter, segment
from pipeline.statistics.overlap import MEASURES, compare
from pipeline.thresholds import segmentation_score

Members = Literal["one", "all"]
SEEN = "every member of the segmenter has seen the case or its anatomy"


@dataclass(frozen=True)
class MaskOptions:
    """How the masks of a cohort are predicted."""

    segmenter: str = "liver_t2"
    """Name or folder of the model; ``NAME/fold1`` for one member."""
    members: Members = "one"
    """``one`` of the members that have seen neither the case nor its anatomy, assigned by a hash of ``patient_id``; or
    ``all`` of these as an ensemble."""
    exact: bool = False
    """Predict by nnU-Net's overlapping tiles instead of one pass; see ``Segmenter``."""
    device: str = "auto"
    """``auto``, ``cpu`` or ``cuda``."""


@dataclass(frozen=True)
class MaskRecord:
    """Outcome of segmenting one case, stored as ``done/CASE.json``."""

    key: str
    """Digest of the image, the model and the options; a record with another key is out of date."""
    score: int | None
    """The segmenter's own score of its mask, 1 to 3; None where it gives none."""
    problem: str
    """Why there is no mask; empty where there is one."""


@dataclass(frozen=True)
class CaseMask:
    """The predicted mask of one case, or the reason why there is none."""

    patient_id: str
    true_mask: Path | None
    """File that the predicted mask is compared with; None where there is none."""
    member: str = ""
    """Members that predicted the mask."""
    score: int | None = None
    """Score of the overlap with the true mask, 1 to 3; without a true mask the segmenter's own, if any."""
    overlap: Mapping[str, float] = field(default_factory=dict)
    """``MEASURES`` against the true mask; empty without one."""
    reason: str = ""
    """Why there is no mask; empty where there is one."""

    def as_row(self) -> dict[str, Any]:
        """Columns ``patient_id``, ``true_mask``, ``member``, ``score`` (text), ``reason`` and ``MEASURES`` (or NaN)."""
        return {
            "patient_id": self.patient_id,
            "true_mask": self.true_mask,
            "member": self.member,
            "score": "" if self.score is None else str(self.score),
            "reason": self.reason,
            **dict.fromkeys(MEASURES, math.nan),
            **self.overlap,
        }


@dataclass
class CohortSegmenter:
    """Predicts masks into ``out/masks``; a case is segmented again only if its image, model or options changed.

    Raises:
        ModelError: the device does not exist.
    """

    trained: OutOfFoldMembers
    """The model and what its members have seen."""
    options: MaskOptions
    out: Path
    """Folder with the folders ``masks`` and ``done``."""
    segmented: int = 0
    """Cases segmented so far by this object, not counting those of earlier runs."""
    _device: torch.device = field(init=False)
    _loaded: dict[tuple[str, ...], Segmenter] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._device = choose_device(self.options.device)

    def mask_case(self, case: str, anatomy: str, image: Path, truth: Path | None) -> CaseMask:
        """Predict the mask of one case and compare it with its true mask.

        Args:
            case: ``patient_id``.
            truth: file of the true mask; None where there is none.

        Raises:
            ManifestError: the image or the true mask is not a 3-D image, or their grids differ.
        """
        model = self.members_for(case, anatomy)
        if model is None:
            return CaseMask(case, truth, reason=SEEN)
        image_sha, how = file_sha256(image), "tiles" if self.options.exact else "one pass"
        key = digest([image_sha, model_fingerprint(model), settings_sha256(model), how])
        record = self._segment_once(case, image, key, model)
        if record.problem:
            return CaseMask(case, truth, reason=record.problem)
        member = self.trained.describe(model)
        if truth is None:
            return CaseMask(case, None, member, record.score)
        mask = self.mask_file(case)
        compared = ["overlap", image_sha, file_sha256(mask), file_sha256(truth)]
        overlap = ResultCache(self.out / "done").of(compared, lambda: compare_files(mask, truth, image))
        return CaseMask(case, truth, member, segmentation_score(overlap["dice"], overlap["hd95_mm"]), overlap)

    def mask_file(self, case: str) -> Path:
        """File of the predicted mask of a case."""
        return self.out / "masks" / f"{case}.nii.gz"

    def members_for(self, case: str, anatomy: str) -> ModelFolder | None:
        """Choose the members for a case; None where all of them have seen it or its anatomy."""
        unseen = self.trained.unseen_members((case, anatomy))
        if unseen is None or self.options.members == "all":
            return unseen
        number = int.from_bytes(hashlib.sha256(case.encode()).digest()[:8])
        return replace(unseen, members=(unseen.members[number % len(unseen.members)],))

    def _segment_once(self, case: str, image: Path, key: str, model: ModelFolder) -> MaskRecord:
        """The stored record where it is up to date, else segment the case and store its mask and record."""
        file, mask = self.out / "done" / f"{case}.json", self.mask_file(case)
        if file.is_file():
            record = MaskRecord(**json.loads(file.read_text(encoding="utf-8")))
            if record.key == key and (mask.is_file() or record.problem):
                return record
        # A record must never outlive its mask, so it is removed first and written last.
        file.unlink(missing_ok=True)
        mask.unlink(missing_ok=True)
        try:
            organs = segment(read_volume(image), self._segmenter(model))
        except SegmentationError as error:
            record = MaskRecord(key, None, str(error))
        else:
            write_mask(organs, image, mask)
            record = MaskRecord(key, organs.score, "")
        self.segmented += 1
        write_text(file, json.dumps(asdict(record)))
        return record

    def _segmenter(self, model: ModelFolder) -> Segmenter:
        """Load the chosen members when they are first needed."""
        if model.members not in self._loaded:
            self._loaded[model.members] = Segmenter(model, self._device, self.options.exact)
        return self._loaded[model.members]


def settings_sha256(model: ModelFolder) -> dict[str, str]:
    """SHA-256 by name of the files beside ``model.json`` that a segmenter's masks and scores depend on."""
    files = (model.folder / name for name in ("plans.json", "dataset.json", "quality.json"))
    return {file.name: file_sha256(file) for file in files if file.is_file()}


def write_mask(organs: OrganMask, image: Path, file: Path) -> None:
    """Write the labels on the grid of the image file, uint8; atomic."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(image))
    reader.ReadImageInformation()
    native = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(reader.GetDirection())
    labels = sitk.DICOMOrient(organs.labels, native)
    labels.SetSpacing(reader.GetSpacing())  # equal up to the rounding of the two reorientations
    labels.SetOrigin(reader.GetOrigin())
    labels.SetDirection(reader.GetDirection())
    with atomic_path(file) as partial:
        sitk.WriteImage(labels, str(partial), useCompression=True)


def compare_files(mask: Path, truth: Path, image: Path) -> dict[str, float]:
    """``MEASURES`` of the liver in ``mask`` against that in ``truth``, on the grid of ``image``."""
    volume = read_volume(image)
    predicted, true = (view(read_labels(file, volume)) == LIVER for file in (mask, truth))
    return compare(predicted, true, volume.spacing_mm_xyz[::-1])
