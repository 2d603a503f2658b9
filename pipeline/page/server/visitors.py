"""Who owns what: each browser gets a signed cookie, and the sessions and uploads that it begins belong to it.

Gradio knows a session by a hash that the browser chooses and that stands in addresses. Here a session belongs to the
cookie that first used it; so do uploads, and the files of its cases.
"""

from __future__ import annotations

import hmac
import re
import secrets
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol

COOKIE = "fibroreview"
MOST_SESSIONS = 20_000
"""Sessions that are remembered beside those in use: the least recently used of the others is forgotten."""


class HasCookies(Protocol):
    """Starlette's request, or Gradio's."""

    @property
    def cookies(self) -> Mapping[str, str]: ...


class Visitors:
    """Owners of sessions and uploads, by cookie. One object for all visitors; it keeps no address and no name.

    A visitor is a random number that this process has signed, so that nobody can make one up. Browsers that keep no
    cookie are one visitor together, the empty one: they share the limits, and a session of theirs is protected by its
    hash alone.
    """

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._session_owner: OrderedDict[str, str] = OrderedDict()
        self._file_owners: dict[str, set[str]] = {}
        self._batches: defaultdict[str, list[list[Path]]] = defaultdict(list)
        self.in_use: Callable[[str], bool] = lambda session: False
        """Whether something of this session is kept elsewhere, so that its owner must not be forgotten."""

    def new_cookie(self) -> str:
        """A new visitor's cookie: 32 hexadecimal digits and their signature."""
        visitor = secrets.token_hex(16)
        return f"{visitor}.{self._signature(visitor)}"

    def visitor_of(self, request: HasCookies) -> str:
        """The visitor that the request's cookie names; empty where it has none of ours."""
        visitor, _, signature = request.cookies.get(COOKIE, "").partition(".")
        genuine = re.fullmatch(r"[0-9a-f]{32}", visitor) and re.fullmatch(r"[0-9a-f]{64}", signature)
        return visitor if genuine and hmac.compare_digest(signature, self._signature(visitor)) else ""

    def _signature(self, visitor: str) -> str:
        return hmac.digest(self._secret, visitor.encode(), "sha256").hex()

    def may_use(self, session: str, visitor: str) -> bool:
        """Whether a session is this visitor's; one that nobody has used becomes it."""
        with self._lock:
            owner = self._session_owner.setdefault(session, visitor)
            self._session_owner.move_to_end(session)
            if len(self._session_owner) > MOST_SESSIONS:
                self._forget_one(session)
        return owner == visitor

    def _forget_one(self, newest: str) -> None:
        for session in self._session_owner:
            if session == newest:
                return
            if not self.in_use(session):
                del self._session_owner[session]
                return

    def uploaded(self, files: Collection[Path], visitor: str) -> None:
        """Note the files of one upload; another visitor may have uploaded the same content."""
        with self._lock:
            for file in files:
                self._file_owners.setdefault(str(file), set()).add(visitor)
            self._batches[visitor].append(list(files))

    def unopened(self, visitor: str) -> int:
        """Number of a visitor's uploads of which a file is still there, not opened."""
        with self._lock:
            for owner in [*self._batches]:
                self._batches[owner] = [batch for batch in self._batches[owner] if self._is_there(batch, owner)]
                if not self._batches[owner]:
                    del self._batches[owner]
            return len(self._batches.get(visitor, ()))

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
            Whether it was nobody else's too; None where it is not this visitor's.
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
