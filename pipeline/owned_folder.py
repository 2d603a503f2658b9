"""Temporary folders with patients' images that do not outlive their process, however it ends.

The owner holds a lock on a file inside; the system releases it when the process dies. A folder whose lock is free has
lost its owner and is deleted, by the next process that starts, or by one that sweeps.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "fibroreview-images-"
LOCK = ".owner"
BEING_MADE_S = 60.0
"""Age up to which a folder without a lock file is left alone: its owner is about to lock it."""
BEING_LOCKED_S = 0.5
"""Age up to which a lock file is left alone: its owner has made it and is about to lock it."""
log = logging.getLogger(__name__)


class OwnedFolder:
    """A new temporary folder, locked by this process; folders of dead processes are deleted first."""

    def __init__(self) -> None:
        sweep_ownerless()
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
            self._lock = FileLock(self.path / LOCK)
            # Another process that sweeps may hold the lock for a moment, and delete the folder: then another one.
            with suppress(Timeout, OSError):
                self._lock.acquire(timeout=0)
                if self.path.is_dir():
                    return
                self._lock.release()

    def delete(self) -> None:
        """Delete the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()


@contextmanager
def owned_folder() -> Iterator[Path]:
    """An ``OwnedFolder`` until the block ends."""
    folder = OwnedFolder()
    try:
        yield folder.path
    finally:
        folder.delete()


def sweep_ownerless() -> None:
    """Delete the folders whose process no longer lives."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if not folder.is_symlink() and folder.is_dir() and _is_ownerless(folder):
            log.info("A folder that a dead process left was deleted.")
            shutil.rmtree(folder, ignore_errors=True)


def _is_ownerless(folder: Path) -> bool:
    try:
        if not (folder / LOCK).exists():
            return time.time() - folder.stat().st_mtime > BEING_MADE_S
        if time.time() - (folder / LOCK).stat().st_mtime < BEING_LOCKED_S:
            return False
        lock = FileLock(folder / LOCK)
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return False  # its owner lives, it belongs to another user, or it has just been deleted
    lock.release()
    return True
