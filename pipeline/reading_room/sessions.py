"""Who is logged in: a signed cookie, and a limit on wrong passwords."""

from __future__ import annotations

import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer, URLSafeTimedSerializer

from pipeline.reader_study.accounts import Account, Role
from pipeline.reading_room.room import Room

SESSION_S = 12 * 3600
"""Longest session, s: a working day."""
TRIES = 8
TRIES_WITHIN_S = 15 * 60.0
MOST_CODES = 10_000
"""Codes whose wrong passwords are counted."""


@dataclass(frozen=True)
class Session:
    """A person who is logged in."""

    code: str
    role: Role
    id: str
    """Random; in the rows of this session."""


def cookie_name(room: Room) -> str:
    """One for each study: browsers share cookies between the ports of a machine."""
    return f"fibroreview_{room.protocol.sha256[:12]}"


def new_cookie(room: Room, account: Account) -> str:
    """Content of the cookie of a new session."""
    content = {"code": account.code, "password": account.fingerprint, "id": secrets.token_hex(16)}
    return _sessions(room).dumps(content)


def session_of(room: Room, cookie: str) -> Session | None:
    """The session of a cookie; None if it was not made here, is too old, or the password was changed since."""
    try:
        content = _sessions(room).loads(cookie, max_age=SESSION_S)
    except BadSignature:
        return None
    account = room.accounts.find(content["code"])
    if account is None or not account.password_hash or account.fingerprint != content["password"]:
        return None
    return Session(account.code, account.role, content["id"])


def opened_token(room: Room, reader: str, number: int) -> str:
    """When a read was opened, signed: it stays with the draft, so that a reload does not begin the time anew."""
    return _openings(room).dumps([reader, number, room.now().isoformat()])


def opened_at(room: Room, token: str, reader: str, number: int) -> datetime | None:
    """The time in a token of ``opened_token``; None if it is no token of this reader and read."""
    try:
        whose, which, when = _openings(room).loads(token)
    except (BadSignature, ValueError, TypeError):
        return None
    return datetime.fromisoformat(when) if (whose, which) == (reader, number) else None


def _sessions(room: Room) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(room.accounts.secret, salt=f"session {room.protocol.study}")


def _openings(room: Room) -> URLSafeSerializer:
    return URLSafeSerializer(room.accounts.secret, salt=f"opened {room.protocol.study}")


class WrongPasswords:
    """Wrong passwords by code; too many, and none is tried until some time has passed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: dict[str, deque[float]] = defaultdict(deque)

    def blocked(self, code: str) -> bool:
        """Whether this code has to wait."""
        with self._lock:
            return len(self._recent(code)) >= TRIES

    def count(self, code: str) -> None:
        """A wrong password was given."""
        with self._lock:
            if len(self._wrong) >= MOST_CODES:
                self._wrong.clear()
            self._recent(code).append(self._clock())

    def forget(self, code: str) -> None:
        """The right one was given."""
        with self._lock:
            self._wrong.pop(code, None)

    def _recent(self, code: str) -> deque[float]:
        found: Any = self._wrong[code]
        while found and found[0] < self._clock() - TRIES_WITHIN_S:
            found.popleft()
        return found
