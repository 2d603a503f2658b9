"""Who owns what: each browser gets a signed cookie, and the sessions and uploads that it begins belong to it.

Gradio identifies a session by a hash that the browser chooses and that is part of addresses. Here a session belongs to
the cookie that first used it; so do uploads, and the files of its cases.
"""

from __future__ import annotations

import hmac
import re
import secrets
import threading
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Protocol

COOKIE = "fibroreview"
MOST_SESSIONS = 20_000
"""Sessions that are remembered beside those in use: the least recently used of the others is forgotten."""
LOOKS = 50
"""Sessions that are looked at to find one that may be forgotten."""
BURST, PER_SECOND = 300, 1.0
"""New sessions at once, and in the long run: Gradio keeps a state for each of the last 10,000, and a flood of new ones
must not push out those of visitors at work."""
LONGEST_UPLOAD_S = 3600.0
"""Time after which an upload that still arrives protects no files any more, s."""


class Use(Enum):
    """Whether a visitor may use a session."""

    OWN = "own"
    FOREIGN = "foreign"
    FLOOD = "flood"
    """It would be a new one, and there were too many."""


class HasCookies(Protocol):
    """Starlette's request, or Gradio's."""

    @property
    def cookies(self) -> Mapping[str, str]: ...


class Visitors:
    """Owners of sessions and uploads, by cookie. One object for all visitors; it keeps no address and no name.

    A visitor is a random number signed by this process, so that it cannot be forged. Browsers that keep no
    cookie are one visitor together, the empty one: they share the limits, and a session of theirs is protected by its
    hash alone.

    Args:
        port: part of the cookie's name, since browsers share cookies between the ports of a host.
    """

    def __init__(self, port: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.cookie = COOKIE if port is None else f"{COOKIE}_{port}"
        self.in_use: Callable[[str], bool] = lambda session: False
        """Whether something of this session is kept elsewhere, so that its owner must not be forgotten."""
        self._secret, self._clock = secrets.token_bytes(32), clock
        self._lock = threading.Lock()
        self._session_owner: OrderedDict[str, str] = OrderedDict()
        self._new, self._new_since = float(BURST), clock()
        self._file_owners: dict[str, set[str]] = {}
        self._batches: defaultdict[str, dict[str, list[Path]]] = defaultdict(dict)
        self._arriving: Counter[str] = Counter()
        self._arriving_since: dict[object, float] = {}

    def new_cookie(self) -> str:
        """A new visitor's cookie: 32 hexadecimal digits and their signature."""
        visitor = secrets.token_hex(16)
        return f"{visitor}.{self._signature(visitor)}"

    def visitor_of(self, request: HasCookies) -> str:
        """The visitor that the request's cookie names; empty without a valid cookie."""
        visitor, _, signature = request.cookies.get(self.cookie, "").partition(".")
        genuine = re.fullmatch(r"[0-9a-f]{32}", visitor) and re.fullmatch(r"[0-9a-f]{64}", signature)
        return visitor if genuine and hmac.compare_digest(signature, self._signature(visitor)) else ""

    def _signature(self, visitor: str) -> str:
        return hmac.digest(self._secret, visitor.encode(), "sha256").hex()

    # ---- sessions

    def use(self, session: str, visitor: str) -> Use:
        """Whether a session is this visitor's; a new session becomes this visitor's."""
        with self._lock:
            owner = self._session_owner.get(session)
            if owner is None:
                if not self._may_begin():
                    return Use.FLOOD
                owner = self._session_owner[session] = visitor
            self._session_owner.move_to_end(session)
            if len(self._session_owner) > MOST_SESSIONS:
                self._forget_one(session)
        return Use.OWN if owner == visitor else Use.FOREIGN

    def owns_session(self, session: str, visitor: str) -> bool:
        """Whether a session was begun, and by this visitor."""
        with self._lock:
            return self._session_owner.get(session) == visitor

    def _may_begin(self) -> bool:
        now = self._clock()
        self._new = min(BURST, self._new + (now - self._new_since) * PER_SECOND) - 1
        self._new_since = now
        if self._new < 0:
            self._new += 1
            return False
        return True

    def _forget_one(self, newest: str) -> None:
        for _ in range(LOOKS):
            session = next(iter(self._session_owner))
            if session != newest and not self.in_use(session):
                del self._session_owner[session]
                return
            self._session_owner.move_to_end(session)

    # ---- uploads

    @contextmanager
    def uploading(self, visitor: str) -> Iterator[None]:
        """Count an upload that arrives within this block."""
        token = object()
        with self._lock:
            self._arriving[visitor] += 1
            self._arriving_since[token] = self._clock()
        try:
            yield
        finally:
            with self._lock:
                self._arriving[visitor] -= 1
                self._arriving += Counter()  # drops zeros
                del self._arriving_since[token]

    def arriving_since(self) -> float | None:
        """When the earliest upload began that still arrives, by the clock; None where none does."""
        with self._lock:
            now = self._clock()
            since = [begin for begin in self._arriving_since.values() if now - begin < LONGEST_UPLOAD_S]
        return min(since, default=None)

    def uploaded(self, files: Collection[Path], visitor: str, upload: str = "") -> None:
        """Note the files of one upload; another visitor may have uploaded the same content.

        Args:
            upload: its number, the same for the parts in which a browser sends many files; empty for none.
        """
        with self._lock:
            for file in files:
                self._file_owners.setdefault(str(file), set()).add(visitor)
            self._batches[visitor].setdefault(upload or secrets.token_hex(8), []).extend(files)

    def unopened(self, visitor: str, upload: str = "") -> int:
        """Number of a visitor's uploads that arrive or of which a file is still there, besides that of this number."""
        with self._lock:
            for owner, batches in [*self._batches.items()]:
                left = {number: batch for number, batch in batches.items() if self._is_there(batch, owner)}
                if left:
                    self._batches[owner] = left
                else:
                    del self._batches[owner]
            others = [number for number in self._batches.get(visitor, ()) if number != upload]
            return len(others) + self._arriving[visitor]

    def _is_there(self, batch: list[Path], owner: str) -> bool:
        """Whether a file of an upload waits to be opened; owners of files that are gone are forgotten."""
        while batch:
            if owner in self._file_owners.get(str(batch[-1]), ()):
                if batch[-1].exists():
                    return True
                self._disown(batch[-1], owner)
            batch.pop()
        return False

    def owns(self, file: Path, visitor: str) -> bool:
        """Whether a visitor has uploaded this file and not taken it yet."""
        with self._lock:
            return visitor in self._file_owners.get(str(file), ())

    def claim(self, file: Path, visitor: str) -> bool | None:
        """Take a visitor's own upload, once.

        Returns:
            Whether no other visitor has uploaded the same content; None if this visitor has not.
        """
        with self._lock:
            if visitor not in self._file_owners.get(str(file), ()):
                return None
            return self._disown(file, visitor)

    def _disown(self, file: Path, visitor: str) -> bool:
        """Forget one owner; returns whether none is left."""
        owners = self._file_owners[str(file)]
        owners.discard(visitor)
        if not owners:
            del self._file_owners[str(file)]
        return not owners
