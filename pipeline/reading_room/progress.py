"""How far a study is, and once it is closed what came out: derived from the stored rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from statistics import median

import numpy as np

from pipeline.reader_study.work_list import AIDED, UNAIDED, Row
from pipeline.reading_room.room import Room
from pipeline.statistics.auc import auc

ARMS = (UNAIDED, AIDED)


@dataclass(frozen=True)
class ReaderProgress:
    """One line of the coordinator's table. Nothing in it tells what was answered."""

    reader: str
    has_password: bool
    done: int
    of: int
    missing: int
    """Stored reads without a suspicion, as when a case was not assessable."""
    corrections: int
    median_s: dict[str, float | None]
    """Median active time by arm, s, without practice cases."""
    last: str
    """Time of the last row."""
    washout_ends: datetime | None


@dataclass(frozen=True)
class ReaderResult:
    """Figures of one reader, or of the model, in one arm; first rows, without practice cases."""

    reader: str
    arm: str
    reads: int
    right: int
    """Not assessable counts as wrong, as in the report."""
    auc: float | None
    """None without both classes."""


def progress_of(room: Room) -> list[ReaderProgress]:
    """All readers in the order of the protocol."""
    accounts = {account.code: bool(account.password_hash) for account in room.accounts.all()}
    practice = {case.case_id for case in room.protocol.cases if case.practice}
    found = []
    for one in room.protocol.readers:
        work = room.work(one.reader)
        rows = [row for row in work.first.values() if row["case_id"] not in practice]
        found.append(
            ReaderProgress(
                reader=one.reader,
                has_password=accounts.get(one.reader, False),
                done=len(work.first),
                of=len(work.reads),
                missing=sum(row["suspicion"] == "" for row in rows),
                corrections=sum(row["reader"] == one.reader and row["revises"] != "" for row in room.rows.all()),
                median_s={arm: _median_s(row for row in rows if row["arm"] == arm) for arm in ARMS},
                last=max((row["saved_at"] for row in work.latest.values()), default=""),
                washout_ends=work.washout_ends if work.waits_until(room.now()) else None,
            )
        )
    return found


def results_of(room: Room) -> list[ReaderResult]:
    """Figures by reader and arm, and of the model last. Only for a closed study."""
    truth = room.folder.reference_of(room.protocol)
    cases = [case.case_id for case in room.protocol.cases if not case.practice]
    found = []
    for one in room.protocol.readers:
        first = room.work(one.reader).first.values()
        for arm in ARMS:
            rows = [row for row in first if row["arm"] == arm and row["case_id"] in cases]
            verdicts = {row["case_id"]: row["advanced_fibrosis"] for row in rows}
            scores = {row["case_id"]: float(row["suspicion"]) for row in rows if row["suspicion"]}
            found.append(_result(one.reader, arm, verdicts, scores, truth))
    fibrosis = {case_id: room.files(case_id).analysis()["fibrosis"] for case_id in cases}
    known = {case_id: one for case_id, one in fibrosis.items() if one is not None}
    verdicts = {case_id: "yes" if one["advanced"] else "no" for case_id, one in known.items()}
    probabilities = {case_id: float(one["probability"]) for case_id, one in known.items()}
    return [*found, _result("model", "", verdicts, probabilities, truth)]


def _result(
    name: str, arm: str, verdicts: dict[str, str], scores: dict[str, float], truth: dict[str, bool]
) -> ReaderResult:
    right = sum(verdict == ("yes" if truth[case_id] else "no") for case_id, verdict in verdicts.items())
    labels = np.array([truth[case_id] for case_id in scores], bool)
    area = auc(labels, np.array(list(scores.values()))) if labels.any() and not labels.all() else None
    return ReaderResult(name, arm, len(verdicts), right, area)


def _median_s(rows: Iterable[Row]) -> float | None:
    seconds = [float(row["active_seconds"]) for row in rows if row["active_seconds"]]
    return median(seconds) if seconds else None
