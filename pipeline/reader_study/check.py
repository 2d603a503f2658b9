"""Find the mistakes of a study before its first reader does."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.errors import PipelineError, StudyError
from pipeline.reader_study.accounts import Accounts, Role
from pipeline.reader_study.case_files import CaseFiles
from pipeline.reader_study.protocol import WASHOUT_DAYS, Design, Protocol, StudyCase, StudyModel
from pipeline.reader_study.study_folder import StudyFolder, reference_sha256
from pipeline.reader_study.study_rows import StudyRows

ModelHash = Callable[[str, str], str]
"""(name, kind) -> hash of the installed model. Raises PipelineError where there is none."""


@dataclass(frozen=True)
class Findings:
    """What a check found, a sentence each."""

    mistakes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What may be meant."""


def check_study(folder: StudyFolder, installed: ModelHash) -> Findings:
    """Every mistake in one line each."""
    try:
        protocol = folder.read_protocol()
    except StudyError as error:
        return Findings((str(error),))
    parts = (
        _design(protocol),
        _cases(folder, protocol),
        _reference(folder, protocol),
        _people(folder, protocol),
        _models(protocol, installed),
        _rows(folder, protocol),
    )
    return Findings(tuple(mistake for part in parts for mistake in part), tuple(_notes(folder, protocol)))


def _design(protocol: Protocol) -> Iterator[str]:
    if protocol.design is Design.SEQUENTIAL and protocol.washout_days:
        yield "washout_days is given, but a sequential study has no washout: set it to 0 or choose crossover."
    if protocol.design is Design.CROSSOVER and not protocol.washout_days:
        yield "washout_days is 0: a crossover study needs a washout, 28 days by common practice."
    if not protocol.readers:
        yield "The study has no reader."


def _cases(folder: StudyFolder, protocol: Protocol) -> Iterator[str]:
    yield from (f"Case {case_id} occurs twice." for case_id in _twice(case.case_id for case in protocol.cases))
    same = defaultdict(list)
    for case in protocol.cases:
        same[case.image_sha256].append(case.case_id)
    for ids in same.values():
        if len(set(ids)) > 1:
            yield f"Cases {' and '.join(ids)} are the same images."
    if all(case.practice for case in protocol.cases):
        yield "Every case is for practice, or there is none."
    for case in protocol.cases:
        yield from _case(CaseFiles(folder.case(case.case_id)), case, protocol)


def _case(files: CaseFiles, case: StudyCase, protocol: Protocol) -> Iterator[str]:
    if not files.folder.is_dir():
        yield f"Case {case.case_id}: its files are missing; run `study init` again."
        return
    try:
        if files.image_sha256() != case.image_sha256:
            yield f"Case {case.case_id}: its images were changed since the study was prepared."
        if files.analysis_sha256() != case.analysis_sha256:
            yield f"Case {case.case_id}: its analysis was changed since the study was prepared."
        elif case.files_sha256 is not None and files.files_sha256() != case.files_sha256:
            yield f"Case {case.case_id}: its files were changed since the study was prepared."
        stored = {kind: model["sha256"] for kind, model in files.models().items()}
    except (StudyError, OSError, KeyError, TypeError):
        yield f"Case {case.case_id}: its files are incomplete; run `study init` again."
        return
    if stored != {"segmenter": protocol.segmenter.sha256, "classifier": protocol.classifier.sha256}:
        yield f"Case {case.case_id}: it was analysed by other models than the protocol names."


def _reference(folder: StudyFolder, protocol: Protocol) -> Iterator[str]:
    try:
        truths = folder.read_reference()
        with folder.reference_file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.reader(stream))
    except (StudyError, OSError) as error:
        yield str(error) if isinstance(error, StudyError) else "reference.csv cannot be read."
        return
    header = rows[0] if rows else []
    if not {"case_id", "truth"} <= set(header):
        yield "reference.csv needs the columns case_id and truth."
        return
    if unknown := len(header) - 2:
        yield f"reference.csv has {unknown} unknown columns; it holds case_id and truth only."
    place = header.index("case_id")
    yield from (f"reference.csv: case {one} occurs twice." for one in _twice(row[place] for row in rows[1:] if row))
    known = {case.case_id for case in protocol.cases}
    yield from (f"reference.csv has no truth of case {case_id}." for case_id in sorted(known - truths.keys()))
    if protocol.reference_sha256 not in (None, reference_sha256(truths)):
        yield "reference.csv was changed since the study was prepared."
    if extra := truths.keys() - known:
        yield f"reference.csv has {len(extra)} cases that the study does not have."
    counted = {truths[case.case_id] for case in protocol.cases if not case.practice and case.case_id in truths}
    if len(counted) == 1:
        yield f"All cases {'have' if counted == {True} else 'lack'} the condition: no figure can be computed."


def _people(folder: StudyFolder, protocol: Protocol) -> Iterator[str]:
    yield from (f"Reader {code} occurs twice." for code in _twice(one.reader for one in protocol.readers))
    try:
        accounts = {account.code: account.role for account in Accounts(folder.accounts_file).all()}
    except StudyError as error:
        yield str(error)
        return
    readers = {one.reader for one in protocol.readers}
    for code in sorted(readers):
        if accounts.get(code) is not Role.READER:
            yield f"Reader {code} has no account."
    for code, role in sorted(accounts.items()):
        if role is Role.READER and code not in readers:
            yield f"The account {code} belongs to no reader of the study."
    if Role.COORDINATOR not in accounts.values():
        yield "No account is a coordinator's."


def _models(protocol: Protocol, installed: ModelHash) -> Iterator[str]:
    models: dict[str, StudyModel] = {"segmenter": protocol.segmenter, "classifier": protocol.classifier}
    for kind, model in models.items():
        try:
            if installed(model.name, kind) != model.sha256:
                yield f"The {kind} {model.name} is another one than when the study was prepared."
        except PipelineError:
            yield f"The {kind} {model.name} is not installed any more."


def _rows(folder: StudyFolder, protocol: Protocol) -> Iterator[str]:
    rows = StudyRows(folder.reviews)
    try:
        rows.refuse_changed(protocol)
    except StudyError as error:
        yield str(error)
    if damaged := rows.store.damaged():
        yield f"{damaged} stored rows are damaged and left out."


def _notes(folder: StudyFolder, protocol: Protocol) -> Iterator[str]:
    if protocol.design is Design.CROSSOVER and len(protocol.readers) % 2:
        yield "The number of readers is odd: one order of the arms has one reader more."
    if not any(case.practice for case in protocol.cases):
        yield "There is no practice case."
    if len(protocol.readers) < 3:
        yield "With fewer than three readers little can be said about other readers."
    if protocol.design is Design.CROSSOVER and 0 < protocol.washout_days < WASHOUT_DAYS:
        yield f"The washout is shorter than {WASHOUT_DAYS} days."
    yield from _few_cases(folder, protocol)
    try:
        accounts = Accounts(folder.accounts_file).all()
        unclassified = sum(CaseFiles(folder.case(c.case_id)).analysis()["fibrosis"] is None for c in protocol.cases)
    except (StudyError, KeyError):
        return
    if waiting := [account.code for account in accounts if not account.password_hash]:
        yield f"Invitations not used yet: {', '.join(waiting)}."
    if unclassified:
        yield f"{unclassified} cases have no probability: the models found no axial T2 of the liver."


def _few_cases(folder: StudyFolder, protocol: Protocol) -> Iterator[str]:
    try:
        truths = folder.read_reference()
    except StudyError:
        return
    counted = Counter(truths[case.case_id] for case in protocol.cases if not case.practice and case.case_id in truths)
    for truth, words in ((True, "with"), (False, "without")):
        if counted[truth] == 1:
            yield f"Only one case is {words} the condition: most figures cannot be estimated."


def _twice(names: Iterator[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)
