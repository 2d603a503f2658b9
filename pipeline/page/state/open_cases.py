"""Folders of open cases: random names; deleted when the case is replaced, its session ends or its time is up."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.errors import InputError
from pipeline.owned_folder import OwnedFolder, sweep_ownerless

SWEEP_EVERY_S = 120.0
KEEP_UPLOAD_S = 600.0
"""Time after which an upload that no event has opened is deleted, s, since the first sweep that has seen it."""
NO_ROOM = "The server has no room for more images at the moment: try again in a few minutes."
TOO_MANY_CASES = "{} cases are open in this browser: close a tab and open the file again."
NO_COOKIE = "This browser keeps no cookie of this page: open the page in a window of its own and try again."
"""Browsers without the cookie share one visitor's limit."""
GONE = "This case was closed after inactivity: please open it again."
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DiskBudget:
    """What open cases may take."""

    total_bytes: int = 20 << 30
    """All uploads and cases together."""
    free_bytes: int = 1 << 30
    """Left free on the disk."""
    cases_per_visitor: int = 8


DISK_BUDGET = DiskBudget()


@dataclass(frozen=True)
class OpenCase:
    """Folders of one case. ``key`` is unguessable and names ``private``; ``served`` has an unrelated random name.

    Anyone with a served address can fetch the file, so withheld results stay in ``private``.
    """

    key: str
    session: str
    visitor: str
    """The browser's cookie; empty where it keeps none."""
    private: Path
    served: Path
    busy: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    """Held by the one analysis of this case."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Set to stop the analysis of this case: by the button, or when the case is discarded."""

    @property
    def log_id(self) -> dict[str, str]:
        """What a log line carries as ``extra``: a random number of this case that opens nothing."""
        return {"case": hashlib.sha256(self.key.encode()).hexdigest()[:12]}


class OpenCases:
    """All open cases of this process, by key. The only object shared by sessions."""

    def __init__(
        self, *, keep_s: float, budget: DiskBudget = DISK_BUDGET, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = OwnedFolder()
        self.root = self._folder.path
        self.served_root, self.uploads = self.root / "served", self.root / "uploads"
        self.uploads.mkdir()
        self._keep_s, self._budget, self._clock = keep_s, budget, clock
        self._lock = threading.Lock()
        self._open: dict[str, OpenCase] = {}
        self._touched: dict[str, float] = {}
        self.arriving_since: Callable[[], float | None] = lambda: None
        """When the earliest upload began that still arrives, by the same clock: its files are not swept."""
        self._seen: dict[Path, float] = {}
        """When a sweep has first seen each upload."""
        self.when_deleted: list[Callable[[], None]] = []
        """Callbacks after files were deleted, to drop what memory still holds of them."""

    def open(self, session: str, visitor: str = "") -> OpenCase:
        """Create a case with empty folders for a visitor's ``session``.

        Raises:
            InputError: the visitor has too many open cases, or there is no room for another one.
        """
        with self._lock:
            mine = sum(case.visitor == visitor for case in self._open.values())
        if mine >= self._budget.cases_per_visitor:
            raise InputError(TOO_MANY_CASES.format(mine) if visitor else NO_COOKIE)
        if fault := self.no_room():
            raise InputError(fault)
        key = secrets.token_hex(16)
        case = OpenCase(key, session, visitor, self.root / "private" / key, self.served_root / secrets.token_hex(16))
        case.private.mkdir(parents=True)
        case.served.mkdir(parents=True)
        with self._lock:
            self._open[key] = case
            self._touched[key] = self._clock()
        return case

    def no_room(self, used: int | None = None) -> str | None:
        """Why no more images can be taken now, as a sentence; None where they can.

        Args:
            used: what ``bytes_used`` has just counted; counted anew without.
        """
        if self.bytes_free() < self._budget.free_bytes:
            return NO_ROOM
        return NO_ROOM if (self.bytes_used() if used is None else used) > self._budget.total_bytes else None

    def bytes_free(self) -> int:
        """Free space of the disk on which cases are, bytes."""
        return shutil.disk_usage(self.root).free

    def bytes_used(self) -> int:
        """Size of all uploads and cases, bytes."""
        used = 0
        for folder, _, files in os.walk(self.root):  # unlike rglob it bears folders that are deleted meanwhile
            for file in files:
                with suppress(OSError):
                    used += Path(folder, file).lstat().st_size
        return used

    def serve_anew(self, case: OpenCase) -> OpenCase:
        """The same case with an empty served folder of a new name, for another series: old addresses end here.

        Raises:
            InputError: the case was discarded meanwhile.
        """
        fresh = replace(case, served=self.served_root / secrets.token_hex(16), stop=threading.Event())
        with self._lock:
            if case.key not in self._open:
                raise InputError(GONE)
            fresh.served.mkdir()
            self._open[case.key] = fresh
            self._touched[case.key] = self._clock()
        case.stop.set()
        self._delete(case.served)
        return fresh

    def find(self, key: str) -> OpenCase | None:
        """The open case of that key, its timer restarted; None once it was discarded."""
        with self._lock:
            case = self._open.get(key)
            if case:
                self._touched[key] = self._clock()
            return case

    def find_served(self, name: str) -> OpenCase | None:
        """The open case whose served folder has that name."""
        with self._lock:
            key = next((key for key, case in self._open.items() if case.served.name == name), "")
        return self.find(key)

    def discard(self, key: str) -> None:
        """Stop the case's analysis and delete its folders. Unknown keys are fine."""
        with self._lock:
            case = self._open.pop(key, None)
            self._touched.pop(key, None)
        if case:
            case.stop.set()
            self.delete(case)
            log.info("A case was closed.", extra=case.log_id)

    def delete(self, case: OpenCase) -> None:
        """Delete a discarded case's folders."""
        self._delete(case.private, case.served)

    def _delete(self, *folders: Path) -> None:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        for forget in self.when_deleted:
            forget()

    def keep_only(self, session: str, keys: Collection[str]) -> None:
        """Discard the other cases of a session, as of two uploads that arrived at once."""
        with self._lock:
            others = [key for key, case in self._open.items() if case.session == session and key not in keys]
        for key in others:
            self.discard(key)

    def discard_visitor(self, visitor: str) -> None:
        """Discard all cases of a visitor who left the browser to somebody else."""
        with self._lock:
            keys = [key for key, case in self._open.items() if visitor and case.visitor == visitor]
        for key in keys:
            self.discard(key)

    def session_of_case(self, served: str) -> str | None:
        """Session of the case whose served folder has this name; None where there is none."""
        with self._lock:
            return next((case.session for case in self._open.values() if case.served.name == served), None)

    def discard_session(self, session: str) -> None:
        """Discard all cases of a session that ended."""
        with self._lock:
            keys = [key for key, case in self._open.items() if case.session == session]
        for key in keys:
            self.discard(key)

    def has_session(self, session: str) -> bool:
        """Whether a session has an open case."""
        with self._lock:
            return any(case.session == session for case in self._open.values())

    def session_of_file(self, file: Path) -> str | None:
        """Session of the case in whose served folder a file is; None where it is in none."""
        folder = file.parent
        if folder.parent != self.served_root or ".." in file.parts:
            return None
        with self._lock:
            return next((case.session for case in self._open.values() if case.served == folder), None)

    def sweep(self) -> None:
        """Discard cases not used for ``keep_s`` seconds, unopened uploads, and folders of dead processes."""
        sweep_ownerless()
        self._sweep_uploads()
        oldest = self._clock() - self._keep_s
        with self._lock:
            keys = [key for key, touched in self._touched.items() if touched < oldest]
        for key in keys:
            log.info("A case's time is up.")
            self.discard(key)

    def _sweep_uploads(self) -> None:
        """Delete uploads that are still unopened ``KEEP_UPLOAD_S`` after a sweep first saw them.

        Gradio moves files when all of an upload have arrived, which may take long: until then they stay.
        """
        now, arriving = self._clock(), self.arriving_since()
        files = [Path(folder, name) for folder, _, names in os.walk(self.uploads) for name in names]
        self._seen = {file: self._seen.get(file, now) for file in files}
        for file, seen in [*self._seen.items()]:
            if now - seen >= KEEP_UPLOAD_S and (arriving is None or seen < arriving):
                log.info("An unopened upload was deleted.")
                file.unlink(missing_ok=True)
                del self._seen[file]
        for folder in [Path(folder) for folder, _, _ in os.walk(self.uploads, topdown=False)][:-1]:
            with suppress(OSError):  # not empty
                folder.rmdir()

    def sweep_in_background(self) -> None:
        """Sweep every few minutes until the process ends."""

        def loop() -> None:
            while True:
                time.sleep(SWEEP_EVERY_S)
                self.sweep()

        threading.Thread(target=loop, name="sweep-cases", daemon=True).start()

    def close(self) -> None:
        """Discard everything."""
        for key in list(self._open):
            self.discard(key)
        self._folder.delete()
