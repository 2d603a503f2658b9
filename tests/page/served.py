"""The page in a process of its own, with the stand-in models, for tests over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import running


@dataclass(frozen=True)
class Served:
    """A running page and its log."""

    address: str
    log: Path


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[Served]:
    """Serve until the block ends; ``arguments`` are those of ``tests.browser.serve``."""
    command = ["tests.browser.serve", "--reviews", str(folder / "reviews"), *arguments]
    with (folder / "log").open("wb") as log, running(command, log=log) as address:
        yield Served(address, folder / "log")
