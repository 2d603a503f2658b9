"""Training cases beyond the real ones: label maps painted as T2, and real cases warped into the shapes of label maps.

They are made once, preprocessed by the plan of the real cases, and kept in the work folder. A warped case belongs to
the subject whose image it is: only members that train on that subject see it. Nothing of them is ever held out.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from filelock import FileLock
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from models.files import file_sha256, write_json
from pipeline.cohort.images import read_labelled
from pipeline.cohort.result_cache import digest
from pipeline.errors import ManifestError
from pipeline.simulation.label_maps import LabelMap, find_label_maps
from pipeline.simulation.painting import PaintedCase, paint
from pipeline.simulation.warping import warp
from pipeline.training.segmenter import plan as nnunet_plan
from pipeline.training.segmenter.options import AddedRecord, SegmenterTraining

log = logging.getLogger(__name__)

PAINTINGS, DONORS = 2, 6
"""Paintings per label map of a whole abdomen; donors of a shape per real case."""
REAL, WARPED, PAINTED = 0.60, 0.25, 0.15
"""Shares of the samples; a kind that has no case leaves its share to the others."""
VERSION = 1
"""Incremented whenever equal inputs give other cases than before."""
FILE = "added.json"


@dataclass(frozen=True)
class AddedCase:
    """One training case that is no real image of its own subject."""

    name: str
    shape: str
    """Case of the label map."""
    subject: str | None
    """Real case whose image was warped; None: painted."""


def prepare_or_refuse(
    training: SegmenterTraining, cases: nnunet_plan.Cases, work: Path, report: Callable[[str], None]
) -> None:
    """``prepare`` for a training with anatomies; one without must not find any in its work folder.

    Raises:
        ManifestError: as ``prepare``, or the work folder was prepared with anatomies and the training names none.
    """
    if training.anatomies is not None:
        prepare(training.anatomies, cases, work, training.seed, report)
    elif read_added(work):
        raise ManifestError(f"{work.name} was prepared with anatomies; name them again, or choose another -o.")


def prepare(anatomies: Path, cases: nnunet_plan.Cases, work: Path, seed: int, report: Callable[[str], None]) -> None:
    """Make and preprocess the added cases; resumes after an interruption, and finds finished work done.

    Args:
        anatomies: folder of label maps, as ``label_maps.find_label_maps`` reads it.
        cases: the real cases, for which ``work`` has been prepared.

    Raises:
        ManifestError: a label map is faulty, or the work folder holds cases made of other files.
    """
    maps = find_label_maps(anatomies)
    if both := sorted({one.case for one in maps} & set(cases)):
        raise ManifestError(f"These are label maps and real cases at once: {', '.join(both)}; leave them out of one.")
    files = [file_sha256(file) for one in maps for file in (one.labels, one.ct) if file]
    content = digest([VERSION, PAINTINGS, DONORS, seed, *files, *(one.source for one in maps)])
    file = work / "preprocessed" / nnunet_plan.DATASET / FILE
    with FileLock(work / "preparing.lock"):
        if (begun := _read(work)) is None:
            if any(work.glob("fold*.pt")):
                raise ManifestError(f"{work.name} was trained without anatomies; remove it, or choose another -o.")
            begun = {"content": content, "sources": sorted({one.source for one in maps} - {""}), "cases": None}
            write_json(file, begun)  # an interrupted preparation resumes for the same files and seed only
        if begun["content"] != content:
            raise ManifestError(f"{work.name} was prepared for other anatomies; remove it, or choose another -o.")
        if begun["cases"] is not None:
            return
        report(f"{len(maps)} label maps to paint and to warp real cases to")
        made = _make_all(maps, cases, work, seed)
        report(f"{len(made)} cases added")
        write_json(file, begun | {"cases": [asdict(added) for added in made]})


def _make_all(maps: Sequence[LabelMap], cases: nnunet_plan.Cases, work: Path, seed: int) -> list[AddedCase]:
    """Make the cases that are not there yet; returns all but those whose warp was refused."""
    by_name, writer = {one.case: one for one in maps}, _Writer(work)
    made = []
    for added in plan_added(maps, cases, seed):
        if not writer.done(added):
            case = make_added(added, by_name[added.shape], cases, seed)
            if case is None:
                continue
            writer.write(added, case)
        made.append(added)
    return made


def read_added(work: Path) -> list[AddedCase]:
    """The added cases of a work folder; empty where there are none."""
    found = _read(work)
    return [] if found is None else [AddedCase(**case) for case in found["cases"] or ()]


def record(work: Path) -> AddedRecord | None:
    """Numbers and sources of the added cases; None where there are none."""
    added = read_added(work)
    if not added:
        return None
    return AddedRecord(
        painted=sum(case.subject is None for case in added),
        warped=sum(case.subject is not None for case in added),
        shapes=len({case.shape for case in added}),
        sources=(_read(work) or {})["sources"],
    )


def may_learn(added: Sequence[AddedCase], train: Collection[str]) -> list[str]:
    """Names of the added cases for a member that trains on the real cases ``train``."""
    return [case.name for case in added if case.subject is None or case.subject in train]


def sampling(identifiers: Sequence[str], added: Sequence[AddedCase]) -> np.ndarray:
    """Probability of each case (n,) of a training set, by the shares of the three kinds."""
    painted = {case.name: case.subject is None for case in added}
    share = np.array([REAL if name not in painted else PAINTED if painted[name] else WARPED for name in identifiers])
    weight = np.array([share[k] / (share == share[k]).sum() for k in range(len(share))])
    return weight / weight.sum()


def _read(work: Path) -> dict[str, Any] | None:
    """``content``, ``sources`` and ``cases``, which is None until all are made; None before the first call."""
    file = work / "preprocessed" / nnunet_plan.DATASET / FILE
    return json.loads(file.read_text()) if file.is_file() else None


def plan_added(maps: Sequence[LabelMap], cases: Collection[str], seed: int) -> list[AddedCase]:
    """The cases to make: every whole abdomen painted, every real case warped to donors drawn for it."""
    painted = [
        AddedCase(f"{one.case}-painted{number}", one.case, None)
        for one in maps
        if one.is_whole_abdomen()
        for number in range(PAINTINGS)
    ]
    warped = [
        AddedCase(f"{case}-as-{maps[index].case}", maps[index].case, case)
        for case in cases
        for index in _random(case, seed).permutation(len(maps))[:DONORS]
    ]
    return painted + warped


def make_added(added: AddedCase, donor: LabelMap, cases: nnunet_plan.Cases, seed: int) -> PaintedCase | None:
    """Paint or warp one case; None where the warp is refused. The random state is the case's own."""
    labels, ct = donor.read()
    if added.subject is None:
        return paint(labels, ct, _random(added.name, seed))
    volume, organs = read_labelled(added.subject, *cases[added.subject])
    return warp(volume.image, organs, labels, _random(added.name, seed))


def _random(name: str, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


class _Writer:
    """Writes cases into the preprocessed folder as nnU-Net does."""

    def __init__(self, work: Path) -> None:
        self.raw = work / "raw" / nnunet_plan.DATASET
        preprocessed = work / "preprocessed" / nnunet_plan.DATASET
        self.dataset = json.loads((self.raw / "dataset.json").read_text())
        self.plans = PlansManager(json.loads((preprocessed / "nnUNetPlans.json").read_text()))
        self.configuration = self.plans.get_configuration(nnunet_plan.CONFIGURATION)
        self.folder = preprocessed / self.configuration.data_identifier
        self.table = nnunet_plan.numbering(self.dataset)

    def done(self, added: AddedCase) -> bool:
        return (self.folder / f"{added.name}.pkl").is_file()  # written last

    def write(self, added: AddedCase, case: PaintedCase) -> None:
        for end in (".b2nd", "_seg.b2nd"):  # of an interruption; blosc2 replaces no file
            (self.folder / f"{added.name}{end}").unlink(missing_ok=True)
        image, labels = (self.raw / f"added{end}.nii.gz" for end in ("_0000", ""))
        numbered = sitk.GetImageFromArray(self.table[sitk.GetArrayFromImage(case.labels)])
        numbered.CopyInformation(case.image)
        try:
            sitk.WriteImage(case.image, image)
            sitk.WriteImage(numbered, labels)
            DefaultPreprocessor(verbose=False).run_case_save(
                str(self.folder / added.name), [str(image)], str(labels), self.plans, self.configuration, self.dataset
            )
        finally:
            for file in (image, labels):
                file.unlink(missing_ok=True)
