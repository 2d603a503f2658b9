"""A visitor of a running page, over HTTP as the browser does it: events by the queue, files by their addresses."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from typing import Any

import httpx


class PageClient:
    """One tab. Keeps cookies, and sends the page's own origin."""

    def __init__(self, address: str) -> None:
        self.http = httpx.Client(base_url=address, headers={"origin": address}, timeout=300.0, trust_env=False)
        self.session = secrets.token_hex(8)
        self.html = self.http.get("/").raise_for_status().text
        self.config: dict[str, Any] = self.http.get("/config").raise_for_status().json()

    def press(self, *, label: str = "", elem_id: str = "", data: list[Any] | None = None) -> str:
        """Press the button of that label or element id; everything that the page is sent, as one text.

        Args:
            data: values of the event's inputs; states are the server's own.
        """
        target = next(
            part["id"]
            for part in self.config["components"]
            if part["type"] == "button"
            and (
                (label and part["props"].get("value") == label) or (elem_id and part["props"].get("elem_id") == elem_id)
            )
        )
        event = next(
            one for one in self.config["dependencies"] if [target, "click"] in [list(t) for t in one["targets"]]
        )
        body = {
            "data": data or [None] * len(event["inputs"]),
            "fn_index": event["id"],
            "trigger_id": target,
            "session_hash": self.session,
            "event_data": None,
        }
        return self.send(body)

    def upload(self, name: str, content: bytes) -> str:
        """Upload a file and open it; everything that the page is sent, as one text."""
        [path] = self.http.post("/gradio_api/upload", files={"files": (name, content)}).raise_for_status().json()
        event = self.event("fr-upload", "upload")
        file = {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
        data = [None, [file], False]
        return self.send({"data": data, "fn_index": event["id"], "session_hash": self.session})

    def event(self, elem_id: str, kind: str) -> dict[str, Any]:
        """The page's event of that kind on the component of that element id."""
        target = next(part["id"] for part in self.config["components"] if part["props"].get("elem_id") == elem_id)
        return next(one for one in self.config["dependencies"] if [target, kind] in [list(t) for t in one["targets"]])

    def send(self, body: dict[str, Any]) -> str:
        """Send an event and wait for its end."""
        self.http.post("/gradio_api/queue/join", json=body).raise_for_status()
        return "\n".join(self._messages())

    def _messages(self) -> Iterator[str]:
        with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    message = json.loads(line.removeprefix("data: "))
                    yield json.dumps(message.get("output"), ensure_ascii=False)
                    if message["msg"] == "process_completed":
                        assert message["success"], message
                        return

    def download(self, sent: str, name: str) -> bytes:
        """The file of that name to which a link was sent."""
        found = re.search(r'href=\\"([^"\\]*' + re.escape(name) + ")", sent)
        assert found, f"no link to {name}"
        return self.http.get(found[1]).raise_for_status().content
