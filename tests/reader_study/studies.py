"""Reader studies whose truth is planted: protocols, cases, and rows as the review store holds them."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from scipy.special import expit

from pipeline.reader_study.protocol import Design, FigureOfMerit, Protocol, StudyCase, StudyModel, StudyReader
from pipeline.reader_study.protocol import write_protocol as write_protocol_file
from pipeline.reader_study.reads import ReadCase
from pipeline.reader_study.study_folder import StudyFolder
from pipeline.reviews.cells import as_row, as_text
from pipeline.reviews.record import COLUMNS, Review

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
THRESHOLD = 0.5


@dataclass(frozen=True)
class Planted:
    """What is true of a simulated study. Suspicions are binormal; the model's log odds too."""

    readers: int = 4
    positives: int = 20
    negatives: int = 20
    practice: int = 2
    separation: float = 1.2
    """Distance of the classes in the unaided arm, in standard deviations of one reader: AUC = Phi(it / sqrt(2))."""
    gain: float = 0.0
    """Added distance in the aided arm."""
    followed: float = 0.0
    """Share of the aided reads that take over the model's verdict where the reader's own differs from it."""
    model_separation: float = 1.2
    shared: float = 0.5
    """Share of a suspicion's variance that the case has for all readers and both arms."""
    design: Design = Design.SEQUENTIAL
    figure_of_merit: FigureOfMerit = FigureOfMerit.AUC
    seed: int = 0


def protocol(planted: Planted) -> Protocol:
    """A protocol with practice cases P1, ... and cases C1, ..."""
    model = StudyModel(name="some_model", sha256="a" * 64)
    names = [(f"P{k + 1}", True) for k in range(planted.practice)]
    names += [(f"C{k + 1}", False) for k in range(planted.positives + planted.negatives)]
    return Protocol(
        study="planted",
        question="Does the model help?",
        design=planted.design,
        seed=planted.seed,
        figure_of_merit=planted.figure_of_merit,
        reference_standard="Histology, METAVIR F3 or F4",
        positive_class="advanced fibrosis",
        segmenter=model,
        classifier=model,
        app_version="0",
        readers=tuple(StudyReader(reader=f"R{k + 1}", experience="5 years") for k in range(planted.readers)),
        cases=tuple(
            StudyCase(case_id=name, practice=practice, image_sha256="b" * 64, analysis_sha256=stored_sha256(found))
            for (name, practice), found in zip(names, all_cases(planted), strict=True)
        ),
    )


def cases(planted: Planted) -> tuple[ReadCase, ...]:
    """The cases to be read, positive ones first, with the model's results."""
    random = np.random.default_rng([planted.seed, 1])
    positive = np.arange(planted.positives + planted.negatives) < planted.positives
    odds = random.normal(planted.model_separation * (positive - 0.5), 1)
    scores = random.integers(1, 4, len(positive))
    return tuple(
        ReadCase(f"C{k + 1}", bool(truth), float(expit(odds[k])), THRESHOLD, int(scores[k]))
        for k, truth in enumerate(positive)
    )


def suspicions(planted: Planted, read: Sequence[ReadCase]) -> np.ndarray:
    """(2 arms, readers, cases) whole numbers 0-100, unaided first."""
    random = np.random.default_rng([planted.seed, 2])
    positive = np.array([case.positive for case in read])
    shape = (2, planted.readers, len(read))
    own = np.sqrt(1 - planted.shared)
    distance = np.array([planted.separation, planted.separation + planted.gain])[:, None, None]
    latent = distance * (positive - 0.5) + np.sqrt(planted.shared) * random.normal(size=len(read))
    latent = latent + own * random.normal(size=shape)
    model = np.array([1 if case.model_positive else -1 for case in read])
    follows = (random.random(shape[1:]) < planted.followed) & (np.sign(latent[1]) != model)
    latent[1] = np.where(follows, model * np.abs(latent[1]), latent[1])
    return np.rint(100 * expit(latent)).astype(int)


def rows(planted: Planted) -> list[Review]:
    """All reads of the study, each case unaided and then aided, without corrections."""
    fixed, read = protocol(planted), cases(planted)
    sha256 = fixed.sha256  # of many cases: slow
    values = suspicions(planted, read)
    random = np.random.default_rng([planted.seed, 3])
    found, clock = [], START
    for r, reader in enumerate(fixed.readers):
        for place, k in enumerate(random.permutation(len(read))):
            for a, arm in enumerate(("unaided", "aided")):
                clock += timedelta(minutes=1)
                value = int(values[a, r, k])
                found.append(_row(fixed, sha256, reader.reader, read[k], arm, value, place, clock, random))
    return found


def _row(
    fixed: Protocol,
    sha256: str,
    reader: str,
    case: ReadCase,
    arm: str,
    suspicion: int,
    place: int,
    clock: datetime,
    random: np.random.Generator,
) -> Review:
    aided = arm == "aided"
    called = suspicion > 50
    return Review(
        review_id=f"{reader}-{arm}-{case.case_id}",
        saved_at=clock,
        study=fixed.study,
        protocol_sha256=sha256,
        reader=reader,
        reader_experience="5 years",
        case_id=case.case_id,
        arm=arm,
        order_index=place,
        seed=fixed.seed,
        opened_at=clock - timedelta(seconds=50),
        active_seconds=round(float(random.gamma(8, 4 if aided else 5)), 1),
        pauses=0,
        suspicion=suspicion,
        advanced_fibrosis="yes" if called else "no",
        confidence=int(random.integers(1, 6)),
        agreement=("agree" if called == case.model_positive else "disagree") if aided else "",
        segmentation_quality=int(np.clip((case.score or 1) + random.integers(-1, 2), 1, 3)) if aided else None,
        after_reveal=aided,
        probability=case.probability if aided else None,
        threshold=case.threshold if aided else None,
        overlays_opened=("mask",) if aided else (),
    )


def texts(found: Sequence[Review]) -> list[dict[str, str]]:
    """Rows as ``ReviewStore.rows`` gives them."""
    return [as_text(review) for review in found]


def changed(found: Sequence[Review], review_id: str, **changes: object) -> list[Review]:
    """The rows with one of them changed."""
    return [replace(one, **changes) if one.review_id == review_id else one for one in found]  # type: ignore[arg-type]


def later(planted: Planted, read: str, **changes: object) -> Review:
    """A further row of a read, named by its ``review_id``, a day later."""
    old = next(one for one in rows(planted) if one.review_id == read)
    return replace(old, **({"review_id": "new", "saved_at": old.saved_at + timedelta(days=1)} | changes))  # type: ignore[arg-type]


def write_study(root: Path, planted: Planted, found: Sequence[Review] | None = None, *, closed: bool = True) -> Path:
    """A study's folder with protocol, reference standard, stored results and rows."""
    folder, fixed = StudyFolder(root), protocol(planted)
    root.mkdir(parents=True, exist_ok=True)
    write_protocol_file(folder.protocol_file, fixed)
    truth = "".join(f"{case.case_id},{int(case.positive)}\n" for case in all_cases(planted))
    folder.reference_file.write_text(f"case_id,truth\n{truth}", encoding="utf-8")
    for case in all_cases(planted):
        folder.case(case.case_id).mkdir(parents=True)
        (folder.case(case.case_id) / "analysis.json").write_text(stored_text(case), encoding="utf-8")
    folder.reviews.mkdir()
    write_rows(folder, rows(planted) if found is None else found)
    if closed:
        (root / "closed.json").write_text("{}", encoding="utf-8")
    return root


def all_cases(planted: Planted) -> list[ReadCase]:
    """Practice cases and the others, with the model's results."""
    return [*(ReadCase(f"P{k + 1}", True, 0.9, THRESHOLD, 1) for k in range(planted.practice)), *cases(planted)]


def stored_text(case: ReadCase) -> str:
    """The case's ``analysis.json``."""
    return json.dumps(
        {
            "schema": 1,
            "segmentation_quality": {"ensemble_dice": 0.9, "score": case.score},
            "fibrosis": {"probability": case.probability, "threshold": case.threshold},
        }
    )


def stored_sha256(case: ReadCase) -> str:
    return hashlib.sha256(stored_text(case).encode()).hexdigest()


def replace_result(folder: StudyFolder, case_id: str, content: str) -> None:
    """Another ``analysis.json``, with the protocol as if the study had been prepared with it."""
    (folder.case(case_id) / "analysis.json").write_text(content, encoding="utf-8")
    fixed = folder.read_protocol()
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    changed = [
        one.model_copy(update={"analysis_sha256": sha256}) if one.case_id == case_id else one for one in fixed.cases
    ]
    fixed = fixed.model_copy(update={"cases": tuple(changed)})
    write_protocol_file(folder.protocol_file, fixed)
    for file in folder.reviews.glob("reviews-*.csv"):
        rows_text = file.read_text(encoding="utf-8")
        file.write_text(rows_text.replace(protocol_sha256_in(rows_text), fixed.sha256), encoding="utf-8")


def protocol_sha256_in(rows_text: str) -> str:
    """The protocol's hash in stored rows."""
    return next(csv.DictReader(rows_text.splitlines()))["protocol_sha256"]


def write_rows(folder: StudyFolder, found: Sequence[Review]) -> None:
    """The rows as one file of the review store."""
    if found:
        with (folder.reviews / "reviews-planted.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\r\n")
            writer.writerow(COLUMNS)
            writer.writerows(as_row(review) for review in found)
