"""Serve the reading room until it is stopped."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import uvicorn

from pipeline.page.server.niivue import ensure_viewer
from pipeline.page.server.settings import PageSettings
from pipeline.reading_room.application import build_room
from pipeline.reading_room.room import Room

log = logging.getLogger(__name__)


def serve_room(root: Path, settings: PageSettings) -> None:
    """Open the study in ``root`` on the port of the settings and serve it until the process is stopped.

    Raises:
        StudyError: as ``Room.open``.
        OSError: the port cannot be opened.
    """
    room = Room.open(root)
    application = build_room(room, settings, ensure_viewer())
    address = (settings.server_name, settings.server_port)
    with socket.create_server(address, family=_family(settings.server_name)) as listening:
        log.info("The study is open on http://%s:%d", *address)
        # No access log: it would say who reads when. Forwarded schemes are believed of a proxy on this machine only.
        config = uvicorn.Config(application, log_config=None, access_log=False, server_header=False, proxy_headers=True)
        uvicorn.Server(config).run(sockets=[listening])


def _family(name: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in name else socket.AF_INET
