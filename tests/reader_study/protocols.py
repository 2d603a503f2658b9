"""Protocols and stored rows for tests, made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.reader_study.protocol import Protocol, StudyCase, StudyModel, StudyReader
from pipeline.reader_study.work_list import Read
from pipeline.reviews.record import COLUMNS

HASH = "ab" * 32


def make_protocol(
    *, cases: int = 4, practice: int = 1, readers: Sequence[str] = ("R1", "R2"), **changes: Any
) -> Protocol:
    """``practice`` practice cases P1, ... and ``cases`` others C1, ..."""
    ids = [(f"P{n}", True) for n in range(1, practice + 1)] + [(f"C{n}", False) for n in range(1, cases + 1)]
    model = StudyModel(name="liver_t2", sha256=HASH)
    values: dict[str, Any] = {
        "study": "trial",
        "design": "sequential",
        "seed": 1,
        "segmenter": model,
        "classifier": model,
        "app_version": "0.1.0",
        "readers": tuple(StudyReader(reader=reader) for reader in readers),
        "cases": tuple(
            StudyCase(case_id=case_id, practice=is_practice, image_sha256=HASH, analysis_sha256=HASH)
            for case_id, is_practice in ids
        ),
    }
    return Protocol.model_validate(values | changes)


def stored_row(
    read: Read, reader: str = "R1", saved_at: str = "2026-01-01T10:00:00.000Z", **cells: str
) -> dict[str, str]:
    """The row of a saved read, as the store gives it."""
    row = dict.fromkeys(COLUMNS, "") | {
        "review_id": f"{reader}-{read.number}",
        "study": "trial",
        "reader": reader,
        "case_id": read.case_id,
        "arm": read.arm,
        "saved_at": saved_at,
    }
    return row | cells
