"""Who gets in, and to what: sessions, invitations, passwords, origins, roles."""

from __future__ import annotations

import base64
import csv
import io
import json
import logging

import pytest
from itsdangerous import URLSafeTimedSerializer

from pipeline.reading_room import sessions
from pipeline.reading_room.sessions import SESSION_S, TRIES, WrongPasswords, cookie_name
from pipeline.reviews.record import COLUMNS
from tests.reading_room.clients import ANSWERS, HERE, PASSWORD, Person, Trial

READERS_PAGES = ("/read", "/files/1/volume.nii.gz", "/feedback?number=1")
COORDINATORS_PAGES = ("/coordinator", "/export.csv")


def test_nobody_sees_anything_without_logging_in(trial: Trial) -> None:
    client = trial.client()
    for page in (*READERS_PAGES, *COORDINATORS_PAGES, "/"):
        answer = client.get(page)
        assert (answer.status_code, answer.headers.get("location")) == (303, "login"), page
    for page in ("/save", "/slice", "/close"):
        assert client.post(page, json={}).status_code == 401
    assert client.get("/save").status_code == 404
    assert "Log in" in client.get("/login").text


def test_roles_are_kept_apart(trial: Trial) -> None:
    reader, coordinator = trial.log_in("R1").client, trial.log_in("K1").client
    for page in COORDINATORS_PAGES:
        assert (reader.get(page).status_code, coordinator.get(page).status_code) == (404, 200)
    for page in READERS_PAGES:
        assert coordinator.get(page).status_code == 404
    assert reader.post("/close", data={"name": "trial"}).status_code == 404
    assert coordinator.post("/save", json={"number": 1, **ANSWERS}).status_code == 404
    assert trial.room.closed is None


def test_forged_and_old_sessions_get_nothing(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    person = trial.log_in("R1")
    name = cookie_name(trial.room)
    cookie = person.client.cookies[name]
    _, content = URLSafeTimedSerializer("").loads_unsafe(cookie)
    rest = cookie.split(".")[-2:]
    forged = base64.urlsafe_b64encode(json.dumps(content | {"code": "R2"}).encode()).decode().rstrip("=")
    for value in ("", "R1", ".".join([forged, *rest]), cookie[:-1], cookie[::-1], "a" * 5000):
        other = trial.client()
        other.cookies.set(name, value)
        assert other.get("/read").headers.get("location") == "login"
        assert other.get("/files/1/volume.nii.gz", headers={"accept": "*/*"}).status_code == 401
    monkeypatch.setattr(sessions, "SESSION_S", -1)
    assert person.client.get("/read").headers["location"] == "login"
    monkeypatch.undo()
    assert SESSION_S > 0
    assert person.client.get("/read").status_code == 200
    trial.room.accounts.invite("R1")
    assert person.client.get("/read").headers["location"] == "login"


def test_one_reader_has_another_order_and_not_the_others_reads(trial: Trial) -> None:
    one, other = trial.log_in("R1"), trial.log_in("R2")
    one.read_until(4)
    assert other.save(4, **ANSWERS).status_code == 404
    assert other.client.get("/files/4/heat.nii.gz").status_code == 404
    assert other.client.get("/read?number=3").status_code == 404
    assert "0</b> of 8" in other.client.get("/").text


def test_a_cookie_is_hidden_from_scripts_and_from_other_sites(trial: Trial) -> None:
    client = trial.client()
    token = trial.prepared.invitations["R1"]
    answer = client.post("/invite", data={"token": token, "password": PASSWORD, "again": PASSWORD})
    flags = answer.headers["set-cookie"].lower()
    assert "httponly" in flags
    assert "samesite=lax" in flags
    assert "secure" not in flags
    secure = trial.client()
    secure.base_url = HERE.replace("http", "https")
    answer = secure.post("/login", data={"code": "R1", "password": PASSWORD}, headers={"origin": str(secure.base_url)})
    assert "; secure" in answer.headers["set-cookie"].lower()


def test_wrong_passwords_are_counted_by_code(trial: Trial) -> None:
    trial.log_in("R1")
    trial.log_in("R2")
    client = trial.client()
    for _ in range(TRIES):
        assert client.post("/login", data={"code": "r1", "password": "wrong horse"}).status_code == 403
    assert client.post("/login", data={"code": "R1", "password": PASSWORD}).status_code == 429
    assert client.post("/login", data={"code": "R2", "password": PASSWORD}).status_code == 303


def test_the_block_ends_after_a_while() -> None:
    now = [0.0]
    wrong = WrongPasswords(clock=lambda: now[0])
    for _ in range(TRIES):
        assert not wrong.blocked("R1")
        wrong.count("R1")
    assert wrong.blocked("R1")
    now[0] = sessions.TRIES_WITHIN_S + 1
    assert not wrong.blocked("R1")


def test_unknown_codes_and_wrong_passwords_get_the_same_answer(trial: Trial) -> None:
    trial.log_in("R1")
    client = trial.client()
    known = client.post("/login", data={"code": "R1", "password": "wrong horse"})
    unknown = client.post("/login", data={"code": "R9", "password": "wrong horse"})
    assert known.text.replace('value="R1"', 'value="R9"') == unknown.text
    assert client.post("/login", content=b"\xff\xfe").status_code == 400


def test_invitations_work_once(trial: Trial) -> None:
    token = trial.prepared.invitations["R1"]
    client = trial.client()
    differ = client.post("/invite", data={"token": token, "password": PASSWORD, "again": "another horse"})
    assert "differ" in differ.text
    trial.log_in("R1")
    again = client.post("/invite", data={"token": token, "password": PASSWORD, "again": PASSWORD})
    assert (again.status_code, "used already" in again.text) == (422, True)
    assert client.get("/read").headers["location"] == "login"


@pytest.mark.parametrize("origin", [None, "http://evil.org", "null", "http://127.0.0.1:9999"])
def test_other_sites_cannot_act_for_a_reader(trial: Trial, origin: str | None) -> None:
    person = trial.log_in("R1")
    del person.client.headers["origin"]
    headers = {"accept": "application/json"} | ({"origin": origin} if origin else {})
    answer = person.client.post("/save", json={"number": 1, **ANSWERS}, headers=headers)
    assert answer.status_code == 403
    assert person.rows() == []
    assert person.client.get("/", headers={"host": "evil.org"}).status_code == 403


def test_headers_of_every_answer(trial: Trial) -> None:
    person = trial.log_in("R1")
    for page in ("/", "/read", "/files/1/volume.nii.gz", "/nothing", "/login"):
        headers = person.client.get(page).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        policies = headers.get_list("content-security-policy")
        assert any("script-src 'self' blob: 'wasm-unsafe-eval';" in policy for policy in policies)
    for script in ("/room/reading_room.js", "/room/reading_room.css", "/viewer/viewer.js"):
        assert trial.client().get(script).status_code == 200
    for other in ("/room/package.json", "/room/..%2fapp.py", "/viewer/reading_room.js", "/viewer/..%2f..%2fapp.py"):
        assert trial.client().get(other).status_code == 404


def test_a_body_that_is_too_large_is_refused(trial: Trial) -> None:
    person = trial.log_in("R1")
    assert person.client.post("/save", content=b"[" * 1_100_000).status_code == 413
    assert person.client.post("/save", content=b"[" * 200_000).status_code == 400
    assert person.client.post("/slice", json=[1]).status_code == 422


def test_what_readers_write_is_shown_as_text(trial: Trial) -> None:
    person = trial.log_in("R1")
    person.read_until(3)
    person.read(reason="</script><script>alert(1)</script>")
    page = person.client.get("/read?number=3")
    assert "<script>alert" not in page.text
    assert Person.data(page)["answers"]["reason"] == "</script><script>alert(1)</script>"


def test_a_coordinator_sees_progress_and_no_result_before_the_end(trial: Trial) -> None:
    person = trial.log_in("R1")
    person.read_until(4)
    person.read(suspicion=73, reason="nodular")
    coordinator = trial.log_in("K1").client
    page = coordinator.get("/coordinator")
    assert "4 of 8" in page.text
    assert "4 reads are missing" not in page.text
    assert "12 reads are missing" in page.text
    table = list(csv.DictReader(io.StringIO(coordinator.get("/export.csv").text)))
    assert len(table) == 4
    hidden = {"suspicion", "advanced_fibrosis", "confidence", "agreement", "reason", "probability", "threshold"}
    assert not hidden & table[0].keys()
    for text in (page.text, coordinator.get("/export.csv").text):
        assert not [one for one in ("nodular", "0.2319", "truth", "AUC") if one in text]
    assert coordinator.post("/close", data={"name": "another"}).status_code == 422
    assert trial.room.closed is None


def test_after_closing_the_coordinator_sees_everything(trial: Trial) -> None:
    person = trial.log_in("R1")
    while person.next is not None:
        person.read()
    coordinator = trial.log_in("K1").client
    assert coordinator.post("/close", data={"name": "trial"}).status_code == 303
    assert coordinator.post("/close", data={"name": "trial"}).status_code == 303
    closed = json.loads((trial.folder.root / "closed.json").read_text())
    assert (closed["reads"], closed["of"], closed["closed_by"]) == (8, 16, "K1")
    page = coordinator.get("/coordinator").text
    assert "8 of 16 reads" in page
    assert "<td>model</td>" in page
    table = list(csv.DictReader(io.StringIO(coordinator.get("/export.csv").text)))
    assert list(table[0]) == [*COLUMNS, "practice", "truth"]
    truth = trial.folder.read_reference()
    assert [row["truth"] for row in table] == [str(int(truth[row["case_id"]])) for row in table]
    assert [row["practice"] for row in table] == ["yes"] * 2 + ["no"] * 6


def test_the_log_names_nobody(trial: Trial, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    person = trial.log_in("R1")
    person.read_until(4)
    person.save(9, **ANSWERS)
    trial.client().post("/login", data={"code": "R1", "password": "wrong horse"})
    own = [record for record in caplog.records if record.name.startswith("pipeline")]
    assert not [record for record in own if "R1" in record.getMessage() or "/files" in record.getMessage()]
