"""Optional login: names and argon2 hashes of passwords in a text file, one ``NAME:HASH`` a line."""

from __future__ import annotations

import math
import os
import re
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

from anyio import CapacityLimiter, sleep, to_thread
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

from models.files import atomic_path
from pipeline.errors import ConfigError

NAME = re.compile(r"[^\s:\x00-\x1f]{1,64}")
SHORTEST, LONGEST = 10, 200
"""Characters of a password."""
FREE_FAILURES = 5
"""Wrong passwords in a row for one name before answers are delayed."""
LONGEST_DELAY_S = 30.0
LONGEST_WAIT_S = 120.0
"""Wait beyond which a try is refused without being made."""
MOST_WAITING = 20
"""Tries of all names that wait; further ones are refused."""
FORGET_S = 900.0
"""Time after which failures are forgotten, s."""
MOST_NAMES = 1000
"""Names whose failures are remembered."""


class Logins:
    """Who may open the page. The file is read at start; passwords are compared one at a time, so that guessing is slow.

    Raises:
        ConfigError: the file cannot be read, holds no login, or a line is none.
    """

    def __init__(self, file: Path) -> None:
        self._hashes = read_logins(file)
        if not self._hashes:
            raise ConfigError("The file of logins is empty; add one by `python -m pipeline login FILE NAME`.")
        self._hasher = PasswordHasher()
        self._nobody = self._hasher.hash("nobody")
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self._limiter: CapacityLimiter | None = None
        self._waiting = 0

    async def check(self, name: str, password: str) -> bool:
        """Whether the password is that of the name; after several wrong ones the answer comes later, or is no at once.

        Tries count when they come, so that many at once are no faster.
        """
        name = name if NAME.fullmatch(name) else ""
        self._limiter = self._limiter or CapacityLimiter(1)  # needs the running event loop
        delay = self._count(name)
        if delay > LONGEST_WAIT_S or self._waiting >= MOST_WAITING:
            return False
        self._waiting += 1
        try:
            if delay > 0:
                await sleep(delay)
            fits = await to_thread.run_sync(self._fits, name, password[: LONGEST + 1], limiter=self._limiter)
        finally:
            self._waiting -= 1
        if fits:
            self._failures.pop(name, None)
        return fits

    def _fits(self, name: str, password: str) -> bool:
        try:
            # An unknown name takes as long as a known one.
            known = self._hasher.verify(self._hashes.get(name, self._nobody), password)
        except VerificationError:
            return False
        return known and name in self._hashes

    def _count(self, name: str) -> float:
        """Count a try as a failure until it is none; returns the time to wait first, s."""
        now = time.monotonic()
        before = self._failures.pop(name, _Failures())
        if now - before.last > FORGET_S:
            before = _Failures()
        wait = 0.0 if before.count < FREE_FAILURES else min(2.0 ** (before.count - FREE_FAILURES), LONGEST_DELAY_S)
        begins = max(now, before.until) + wait if wait else now
        if begins - now > LONGEST_WAIT_S:  # refused untried, so it delays no later attempt
            self._failures[name] = replace(before, last=now)
        else:
            self._failures[name] = _Failures(before.count + 1, now, begins)
        while len(self._failures) > MOST_NAMES:
            self._failures.popitem(last=False)
        return begins - now


@dataclass(frozen=True)
class _Failures:
    count: int = 0
    last: float = -math.inf
    """Time of the last try."""
    until: float = -math.inf
    """When the last try that waits begins."""


def read_logins(file: Path) -> dict[str, str]:
    """Hashes by name.

    Raises:
        ConfigError: the file cannot be read, or a line is no ``NAME:HASH``; names the line's number.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("FIBROREVIEW_LOGINS names no file that can be read.") from error
    logins = dict[str, str]()
    for number, line in enumerate(lines, start=1):
        name, _, stored = line.strip().partition(":")
        if not line.strip():
            continue
        if not NAME.fullmatch(name) or name in logins or not _is_hash(stored):
            raise ConfigError(f"The file of logins: line {number} is no NAME:HASH, or its name is duplicated.")
        logins[name] = stored
    return logins


def save_login(file: Path, name: str, password: str) -> None:
    """Add a login to the file, or replace its password; the file is made if there is none.

    Raises:
        ConfigError: the name or the password cannot be used, or as ``read_logins``.
    """
    if not NAME.fullmatch(name):
        raise ConfigError("A name has 1 to 64 characters, without spaces and colons.")
    if not SHORTEST <= len(password) <= LONGEST:
        raise ConfigError(f"A password has {SHORTEST} to {LONGEST} characters.")
    logins = {**(read_logins(file) if file.exists() else {}), name: PasswordHasher().hash(password)}
    text = "".join(f"{one}:{stored}\n" for one, stored in logins.items())
    private = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with atomic_path(file) as partial, os.fdopen(os.open(partial, private, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)


def _is_hash(stored: str) -> bool:
    try:
        extract_parameters(stored)
    except InvalidHashError:
        return False
    return stored.startswith("$argon2")
