"""What a reader sees: work list, read, images, feedback on practice cases."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response

from pipeline.errors import InputError
from pipeline.exports.viewer_files import VOLUME_FILE
from pipeline.page.view.server_slices import SliceView
from pipeline.page.view.slice_viewer import viewer_template
from pipeline.reader_study.protocol import Design
from pipeline.reader_study.work_list import AIDED, UNAIDED, WorkList
from pipeline.reading_room.drawing import draw
from pipeline.reading_room.errors import Refused
from pipeline.reading_room.release import CLOSED, OpenRead, feedback_read, open_read
from pipeline.reading_room.room import Room
from pipeline.reading_room.saving import ALREADY, ReadAnswers, Saved, save
from pipeline.reading_room.sessions import opened_token
from pipeline.reading_room.visit import NO_PAGE, Visit

ANSWERS = ("suspicion", "advanced_fibrosis", "confidence", "agreement", "segmentation_quality", "reason")


def work_page(visit: Visit) -> Response:
    """The reader's work list."""
    room, reader = visit.room, visit.who.code
    work = room.work(reader)
    locked = [(read, _correctable(room, reader, work, read.number)) for read in work.reads if read.number in work.first]
    return visit.page(
        "work_list",
        work=work,
        locked=[entry for entry in reversed(locked) if entry[0].sitting == work.sitting][:12],
        waits_until=work.waits_until(room.now()),
        closed=room.closed is not None,
        crossover=room.protocol.design is Design.CROSSOVER,
        question=room.protocol.question,
        washout_days=room.protocol.washout_days,
    )


def read_page(visit: Visit) -> Response:
    """The read to do now, or the correction that is asked for."""
    room, reader = visit.room, visit.who.code
    work = room.work(reader)
    number = visit.number or (work.next.number if work.next else 0)
    if not number or room.closed is not None or (not visit.number and work.waits_until(room.now()) is not None):
        return RedirectResponse("./", 303)
    opened = open_read(room, reader, number)
    if opened.shows_ai:
        room.record_shown(reader, visit.who.id, opened.read.case_id)
    return visit.page(
        "read",
        read=opened.read,
        aided=opened.shows_ai,
        correction=opened.corrects is not None,
        before=work.unaided_of(opened.read),
        analysis=room.files(opened.read.case_id).analysis() if opened.shows_ai else None,
        viewer=Markup(viewer_template(library=True)),
        data=_read_data(room, reader, opened),
    )


def _read_data(room: Room, reader: str, opened: OpenRead) -> dict[str, Any]:
    """What the page's script needs. Of the AI nothing, unless the read shows it."""
    read, files = opened.read, room.files(opened.read.case_id)
    value = {"case": f"{read.arm}-{read.number}", "base": f"files/{read.number}/", **files.images(), "overlays": None}
    if opened.shows_ai:
        overlays = files.overlays()
        value |= {name: overlays[name] for name in ("heat_note", "doubts", "doubt_slices")}
        value |= {"overlays": overlays["files"]}
        value["edit"] = {"case": f"{room.protocol.sha256[:12]}-{reader}-{read.number}", "turn": 0}
        value["windows"] = {**value["windows"], "liver": overlays["liver_window"]}
    corrects = opened.corrects["review_id"] if opened.corrects else ""
    return {
        "number": read.number,
        "draft": f"{room.protocol.sha256[:12]}/{reader}/{read.number}/{corrects or 'first'}",
        "aided": opened.shows_ai,
        "corrects": corrects,
        "answers": {name: opened.corrects[name] for name in ANSWERS} if opened.corrects else {},
        "opened": opened_token(room, reader, read.number),
        "value": value,
    }


def case_file(visit: Visit) -> Response:
    """One file of an open read: the images, and in an aided read the overlays. The session is checked each time."""
    opened = open_read(visit.room, visit.who.code, visit.number)
    files = visit.room.files(opened.read.case_id)
    allowed = {VOLUME_FILE}
    if opened.shows_ai:
        allowed |= set(files.overlays()["files"].values())
    name = visit.request.path_params["name"]
    if name not in allowed:
        raise Refused(404, NO_PAGE)
    if name != VOLUME_FILE:
        visit.room.record_shown(visit.who.code, visit.who.id, opened.read.case_id)
    path = files.folder / name
    answer = FileResponse(path, media_type="application/gzip", stat_result=path.stat())
    for header in (
        "last-modified",
        "etag",
    ):  # times of the analyses tell the manifest's order, which may follow the truth
        del answer.headers[header]
    return answer


def drawn_slice(visit: Visit) -> Response:
    """One slice of an open read as a picture, for browsers without WebGL2."""
    try:
        view = SliceView.from_request(visit.json)
    except InputError as error:
        raise Refused(422, str(error)) from error
    room, reader, number = visit.room, visit.who.code, view.case.rpartition("-")[2]
    opened = open_read(room, reader, int(number) if number.isdecimal() and len(number) < 7 else 0)
    if opened.shows_ai:
        room.record_shown(reader, visit.who.id, opened.read.case_id)
    return JSONResponse(draw(room.files(opened.read.case_id), view, overlays=opened.shows_ai))


def save_read(visit: Visit) -> Response:
    """Store the answers of a read."""
    room, reader = visit.room, visit.who.code
    saved = save(room, visit.who, ReadAnswers.from_request(visit.json))
    work = room.work(reader)
    return JSONResponse(
        {
            "status": saved.status,
            "message": "This read was saved already, in another tab or on another machine; that one counts."
            if saved.status == ALREADY
            else "Saved and locked.",
            "next": _next_step(room, work, saved),
            "correct": _correctable(room, reader, work, saved.read.number),
        }
    )


def _next_step(room: Room, work: WorkList, saved: Saved) -> dict[str, str]:
    """Where the page goes on, and the words on its button."""
    read, following = saved.read, work.next
    if read.practice and (room.protocol.design is Design.CROSSOVER or read.arm == AIDED):
        return {"address": f"feedback?number={read.number}", "words": "Show the feedback"}
    if following is None or work.waits_until(room.now()) is not None:
        return {"address": "./", "words": "Work list"}
    if following.case_id == read.case_id and read.arm == UNAIDED:
        return {"address": "read", "words": "Show the AI's result"}
    return {"address": "read", "words": following.words}


def _correctable(room: Room, reader: str, work: WorkList, number: int) -> bool:
    read = work.read(number)
    open_study = room.closed is None
    return open_study and read is not None and work.correctable(read, revealed=room.revealed(reader, read.case_id))


def feedback_page(visit: Visit) -> Response:
    """Truth and the model's result of a practice case that is done."""
    room, reader = visit.room, visit.who.code
    if room.closed is not None:
        raise Refused(403, CLOSED)
    read = feedback_read(room, reader, visit.number)
    work = room.work(reader)
    rows = [work.first[one.number] for one in work.reads if one.case_id == read.case_id and one.number in work.first]
    room.record_shown(reader, visit.who.id, read.case_id)
    return visit.page(
        "feedback",
        read=read,
        rows=rows,
        truth=room.folder.reference_of(room.protocol)[read.case_id],
        positive_class=room.protocol.positive_class,
        analysis=room.files(read.case_id).analysis(),
        following=work.next,
    )
