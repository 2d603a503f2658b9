"""Prepare a study: analyse every case beforehand, then write protocol, reference standard and accounts."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from models.files import file_sha256, write_text
from models.registry import ModelInfo
from pipeline import __version__
from pipeline.case import Analysis
from pipeline.errors import PipelineError, StudyError
from pipeline.reader_study.accounts import Accounts
from pipeline.reader_study.case_files import CaseFiles, write_case
from pipeline.reader_study.protocol import (
    Design,
    FigureOfMerit,
    Protocol,
    StudyCase,
    StudyModel,
    write_protocol,
)
from pipeline.reader_study.readers_file import People
from pipeline.reader_study.study_cases import PlannedCase, PlannedCases
from pipeline.reader_study.study_folder import StudyFolder, reference_sha256
from pipeline.reader_study.study_rows import StudyRows

Analyse = Callable[[Path], Analysis]
"""From an image file to its analysis. Raises PipelineError."""


@dataclass(frozen=True)
class StudySettings:
    """What the coordinator decides, beside cases and readers."""

    name: str
    design: Design
    seed: int
    washout_days: float
    question: str = ""
    primary_end_point: str = ""
    figure_of_merit: FigureOfMerit = FigureOfMerit.AUC
    reference_standard: str = ""


@dataclass(frozen=True)
class StudyModels:
    """The models that the analyses are made by."""

    segmenter: ModelInfo
    classifier: ModelInfo

    @property
    def hashes(self) -> dict[str, str]:
        return {"segmenter": self.segmenter.sha256, "classifier": self.classifier.sha256}


@dataclass(frozen=True)
class Prepared:
    """A study that can be read."""

    protocol: Protocol
    invitations: dict[str, str]
    """Token by code, of the accounts that are new."""


def prepare(
    folder: StudyFolder,
    settings: StudySettings,
    people: People,
    planned: PlannedCases,
    models: StudyModels,
    analyse: Analyse,
    progress: Callable[[int, int], None],
) -> Prepared:
    """Write a study; what an interrupted run has finished is kept.

    Raises:
        StudyError: cases cannot be analysed (one line each; the others are kept), the folder cannot be written, or a
            read is stored already and this would change the protocol.
    """
    stored = StudyRows(folder.reviews).all()
    if stored and not folder.protocol_file.exists():
        raise StudyError("The folder holds reads but no study.yaml; put the protocol back or name an empty folder.")
    changed = StudyError(
        f"{len(stored)} reads are stored, so the protocol can no longer be changed; name another folder for a new "
        "study."
    )
    if stored and not _is_prepared(folder, planned, models):
        raise changed  # before anything of the study is written
    cases = prepare_cases(folder, planned, models, analyse, progress)
    protocol = _protocol(settings, people, planned, models, cases)
    if stored and folder.read_protocol().sha256 != protocol.sha256:
        raise changed
    try:
        _keep_earlier(folder, protocol)
        _write_reference(folder, planned)
        write_protocol(folder.protocol_file, protocol)
    except OSError as error:
        raise StudyError("The study cannot be written; check the rights and the room of the folder.") from error
    return Prepared(protocol, Accounts(folder.accounts_file).update(people.accounts))


def _keep_earlier(folder: StudyFolder, protocol: Protocol) -> None:
    """A reading room that is open may still store rows under the protocol before: it can be put back."""
    file = folder.protocol_file
    if file.exists() and folder.read_protocol().sha256 != protocol.sha256:
        shutil.copyfile(file, file.with_name("study.earlier.yaml"))


def _is_prepared(folder: StudyFolder, planned: PlannedCases, models: StudyModels) -> bool:
    """Whether every case is stored as it would be now, so that nothing would be analysed anew."""
    files = [(CaseFiles(folder.case(case.case_id)), case) for case in planned.cases]
    return all(found.is_prepared(file_sha256(case.image), models.hashes) for found, case in files)


def prepare_cases(
    folder: StudyFolder,
    planned: PlannedCases,
    models: StudyModels,
    analyse: Analyse,
    progress: Callable[[int, int], None],
) -> dict[str, StudyCase]:
    """Analyse and store all cases that are not stored yet; by pseudonym. Raises as ``prepare``."""
    found: dict[str, StudyCase] = {}
    faults: list[str] = []
    for done, case in enumerate(planned.cases, start=1):
        try:
            found[case.case_id] = _case(folder, case, models, analyse)
        except PipelineError as error:
            faults.append(f"{case.line}: {error}")
        progress(done, len(planned.cases))
    if faults:
        raise StudyError("\n".join(faults))
    return found


def _case(folder: StudyFolder, case: PlannedCase, models: StudyModels, analyse: Analyse) -> StudyCase:
    input_sha256 = file_sha256(case.image)
    files = CaseFiles(folder.case(case.case_id))
    if not files.is_prepared(input_sha256, models.hashes):
        files = write_case(analyse(case.image), case.case_id, files.folder, input_sha256)
    return StudyCase(
        case_id=case.case_id,
        practice=case.practice,
        image_sha256=files.image_sha256(),
        analysis_sha256=files.analysis_sha256(),
        files_sha256=files.files_sha256(),
    )


def _protocol(
    settings: StudySettings,
    people: People,
    planned: PlannedCases,
    models: StudyModels,
    cases: dict[str, StudyCase],
) -> Protocol:
    return Protocol(
        study=settings.name,
        question=settings.question,
        design=settings.design,
        seed=settings.seed,
        washout_days=settings.washout_days,
        primary_end_point=settings.primary_end_point,
        figure_of_merit=settings.figure_of_merit,
        reference_standard=settings.reference_standard or planned.positive_class,
        positive_class=planned.positive_class,
        reference_sha256=reference_sha256({case.case_id: case.truth for case in planned.cases}),
        segmenter=StudyModel(name=models.segmenter.name, sha256=models.segmenter.sha256),
        classifier=StudyModel(name=models.classifier.name, sha256=models.classifier.sha256),
        app_version=__version__,
        readers=people.readers,
        cases=tuple(cases[case.case_id] for case in planned.cases),
    )


def _write_reference(folder: StudyFolder, planned: PlannedCases) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case_id", "truth"])
    writer.writerows([case.case_id, int(case.truth)] for case in sorted(planned.cases, key=lambda one: one.case_id))
    write_text(folder.reference_file, text.getvalue())
    folder.reference_file.chmod(0o600)
