"""One case's folders: made under random names, deleted when the case is replaced, its visitor leaves, or by time."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

SWEEP_EVERY_S = 300.0
STALE_ROOT_S = 24 * 3600.0
PREFIX = "fibroreview-"
GONE = "This case was closed after a while without use: please open it again."
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Case:
    """Where one case lives. ``key`` is unguessable and names ``private``; ``served`` has another name of its own.

    Whoever knows a served address can fetch that file, so what is held back from the reader stays in ``private``.
    """

    key: str
    session: str
    private: Path
    served: Path
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when the analysis of this case should end: by the button, or because the case was discarded."""


class Cases:
    """Every open case of this process, by key. The only shared object that knows of more than one visitor."""

    def __init__(self, *, keep_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        _delete_stale_roots()
        self.root = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        self.served_root = self.root / "served"
        self._keep_s, self._clock = keep_s, clock
        self._lock = threading.Lock()
        self._open: dict[str, Case] = {}
        self._touched: dict[str, float] = {}
        self.when_deleted: list[Callable[[], None]] = []
        """Called after files were deleted, so that nothing of them stays in memory."""

    def open(self, session: str) -> Case:
        """A new case with empty folders for the visitor ``session``."""
        key = secrets.token_hex(16)
        case = Case(key, session, self.root / "private" / key, self.served_root / secrets.token_hex(16))
        case.private.mkdir(parents=True)
        case.served.mkdir(parents=True)
        with self._lock:
            self._open[key] = case
            self._touched[key] = self._clock()
        return case

    def serve_anew(self, case: Case) -> Case:
        """The same case with an empty served folder of a new name, for another series: old addresses end here."""
        fresh = replace(case, served=self.served_root / secrets.token_hex(16), stop=threading.Event())
        fresh.served.mkdir()
        with self._lock:
            self._open[case.key] = fresh
        case.stop.set()
        self._delete(case.served)
        return fresh

    def find(self, key: str) -> Case | None:
        """The open case of that key, kept for longer by being asked for; None once it was discarded."""
        with self._lock:
            case = self._open.get(key)
            if case:
                self._touched[key] = self._clock()
            return case

    def find_served(self, name: str) -> Case | None:
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

    def delete(self, case: Case) -> None:
        """Delete a discarded case's folders."""
        self._delete(case.private, case.served)

    def _delete(self, *folders: Path) -> None:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        for forget in self.when_deleted:
            forget()

    def discard_session(self, session: str) -> None:
        """Discard all cases of a visitor who left."""
        with self._lock:
            keys = [key for key, case in self._open.items() if case.session == session]
        for key in keys:
            self.discard(key)

    def sweep(self) -> None:
        """Discard the cases that nobody touched for ``keep_s`` seconds, and show other processes that we are alive."""
        with suppress(OSError):
            os.utime(self.root)
        oldest = self._clock() - self._keep_s
        with self._lock:
            keys = [key for key, touched in self._touched.items() if touched < oldest]
        for key in keys:
            log.info("A case was deleted by time.")
            self.discard(key)

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
        shutil.rmtree(self.root, ignore_errors=True)


def _delete_stale_roots() -> None:
    """Delete what a process that was killed left behind a day ago or longer: a living one touches its root."""
    for root in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if root.is_dir() and time.time() - root.stat().st_mtime > STALE_ROOT_S:
            shutil.rmtree(root, ignore_errors=True)
