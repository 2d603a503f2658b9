"""What a coordinator sees: progress, and the results once the study is closed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from starlette.responses import RedirectResponse, Response

from pipeline.reading_room.errors import Refused
from pipeline.reading_room.progress import progress_of, results_of
from pipeline.reading_room.room import Room
from pipeline.reading_room.visit import Visit
from pipeline.reviews.cells import written
from pipeline.reviews.record import COLUMNS

OPEN_COLUMNS = (
    "schema",
    "review_id",
    "saved_at",
    "study",
    "protocol_sha256",
    "session",
    "reader",
    "reader_experience",
    "case_id",
    "arm",
    "order_index",
    "seed",
    "opened_at",
    "active_seconds",
    "pauses",
    "app_version",
    "slices_viewed",
    "revises",
)
"""Columns of the export while the study is read: neither answers nor the model's output."""


def coordinator_page(visit: Visit) -> Response:
    room = visit.room
    closed = room.closed
    return visit.page(
        "coordinator",
        protocol=room.protocol,
        progress=progress_of(room),
        damaged=room.rows.store.damaged(),
        closed=closed,
        results=results_of(room) if closed is not None else [],
    )


def export(visit: Visit) -> Response:
    """All rows as CSV; while the study is read without answers and the model's output."""
    room = visit.room
    practice = {case.case_id for case in room.protocol.cases if case.practice}
    closed = room.closed is not None
    columns = COLUMNS if closed else OPEN_COLUMNS
    truth = _truth(room) if closed else {}
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*columns, "practice", *(["truth"] if closed else [])])
    for row in room.rows.all():
        more = ["yes" if row["case_id"] in practice else "no", *([truth.get(row["case_id"], "")] if closed else [])]
        writer.writerow([*(written(column, row[column]) for column in columns), *more])
    name = f"{room.protocol.study}{'' if closed else '-progress'}.csv"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(text.getvalue(), media_type="text/csv", headers=headers)


def close(visit: Visit) -> Response:
    """Close the study; the name of the study confirms it."""
    if visit.form.get("name", "").strip() != visit.room.protocol.study:
        raise Refused(422, "The study was not closed: enter its name to confirm.")
    visit.room.close(visit.who.code)
    return RedirectResponse("coordinator", 303)


def _truth(room: Room) -> Mapping[str, str]:
    return {case_id: str(int(truth)) for case_id, truth in room.folder.reference_of(room.protocol).items()}
