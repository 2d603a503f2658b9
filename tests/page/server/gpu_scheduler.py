"""The scheduler of ZeroGPU on loopback, as ``spaces`` asks it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit


class Scheduler(BaseHTTPRequestHandler):
    """Grants a GPU, or says that the visitor's quota is used up."""

    address: ClassVar[str] = ""
    quota: ClassVar[dict[str, Any] | None] = None
    asked: ClassVar[list[tuple[str, dict[str, list[str]]]]] = []

    def log_message(self, *words: Any) -> None:
        pass

    def do_POST(self) -> None:
        address = urlsplit(self.path)
        self.asked.append((address.path, parse_qs(address.query)))
        granted = {"idle": False, "nvidiaIndex": 0, "nvidiaUUID": "none", "allowToken": "token"}
        refused = address.path == "/schedule" and self.quota is not None
        body = json.dumps(self.quota if refused else granted).encode()
        self.send_response(429 if refused else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def gpu_scheduler() -> Iterator[type[Scheduler]]:
    made = type("MadeScheduler", (Scheduler,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), made)
    made.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()


def zero_environment(scheduler: type[Scheduler], folder: Path) -> dict[str, str]:
    """What a ZeroGPU Space has in its environment."""
    return {
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": scheduler.address,
        "ZEROGPU_OFFLOAD_DIR": str(folder / "tensors"),
    }
