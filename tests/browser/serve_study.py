"""A reading room on a port of its own: ``python -m tests.browser.serve_study DIR --port N``.

Ends when its standard input closes. While the file DIR/../later exists, its clock is as many days ahead as it says.
"""

from __future__ import annotations

import argparse
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

import uvicorn

from pipeline.page.server.niivue import ensure_viewer
from pipeline.page.server.settings import PageSettings
from pipeline.reading_room.application import build_room
from pipeline.reading_room.room import Room, utc_now


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    later = given.folder.parent / "later"

    def now() -> datetime:
        return utc_now() + timedelta(days=float(later.read_text()) if later.exists() else 0)

    room = build_room(Room.open(given.folder, now=now), PageSettings(), ensure_viewer())
    server = uvicorn.Server(uvicorn.Config(room, port=given.port, log_level="warning", access_log=False))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        threading.Event().wait(0.02)
    print("ready", flush=True)  # noqa: T201 - the tests wait for it
    sys.stdin.read()


if __name__ == "__main__":
    main()
