"""A Hugging Face Hub on loopback: repositories in memory, and the faults that a test asks for."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "t0ken-of-the-tests"


@dataclass
class Repo:
    private: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    hardware: str = "cpu-basic"
    commits: int = 0

    @property
    def sha(self) -> str:
        return f"{self.commits:040x}"


@dataclass
class LoopbackHub:
    """``repos`` by ``type/owner/name``; ``faults`` maps a pattern of ``METHOD path`` to a status, or "stall"."""

    repos: dict[str, Repo] = field(default_factory=dict)
    faults: dict[str, int | str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    stored: dict[str, bytes] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)
    address: str = ""

    def space(self, name: str) -> Repo:
        return self.repos[f"spaces/{name}"]


@contextmanager
def loopback_hub() -> Iterator[LoopbackHub]:
    hub = LoopbackHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield hub
    finally:
        hub.over.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    disable_nagle_algorithm = True

    def log_message(self, *words: Any) -> None:
        pass

    def answer(self, content: Any = None, status: int = 200) -> None:
        body = json.dumps(content if content is not None else {}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if status == 404:
            self.send_header("x-error-code", "RepoNotFound")
        self.end_headers()
        self.wfile.write(body)

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.split("?")[0]
        asked = f"{self.command} {path}"
        self.hub.asked.append(asked)
        for pattern, fault in self.hub.faults.items():
            if re.search(pattern, asked):
                if fault == "stall":
                    self.hub.over.wait(20)
                    self.close_connection = True
                    return
                assert isinstance(fault, int)
                self.answer({"error": "as the test wants it"}, fault)
                return
        if not path.startswith("/store/") and self.headers.get("authorization") != f"Bearer {TOKEN}":
            self.answer({"error": "Invalid credentials"}, 401)
            return
        self.route(path, body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any  # noqa: N815 - the names of http.server

    def route(self, path: str, body: bytes) -> None:
        if path == "/api/whoami-v2":
            self.answer({"name": "me", "type": "user", "orgs": []})
        elif path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif path == "/api/repos/create":
            self.create(json.loads(body))
        elif path.startswith("/store/"):
            self.hub.stored[path.removeprefix("/store/")] = body
            self.answer()
        elif found := re.fullmatch(r"/(spaces/[^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            self.lfs(json.loads(body))
        elif found := re.fullmatch(r"/api/(spaces|datasets)/([^/]+/[^/]+)(?:/(.*))?", path):
            repo = self.hub.repos.get(f"{found[1]}/{found[2]}")
            if repo is None:
                self.answer({"error": "Repository not found"}, 404)
            else:
                self.in_repo(repo, found[2], found[3] or "", body)
        else:
            self.answer({"error": f"the loopback hub has no {path}"}, 404)

    def create(self, wanted: dict[str, Any]) -> None:
        owner = wanted.get("organization") or "me"
        key, address = f"{wanted['type']}s/{owner}/{wanted['name']}", f"{self.hub.address}/{owner}/{wanted['name']}"
        if owner != "me":
            self.answer({"error": "no rights in this namespace"}, 403)
            return
        if key in self.hub.repos:
            self.answer({"error": "You already created this repo", "url": address}, 409)
            return
        made = self.hub.repos[key] = Repo(private=wanted.get("visibility") == "private" or bool(wanted.get("private")))
        made.files[".gitattributes"] = b""
        made.files["README.md"] = b"---\nsdk: gradio\n---\n"
        self.answer({"url": address})

    def lfs(self, wanted: dict[str, Any]) -> None:
        objects = [
            {**one, "actions": {"upload": {"href": f"{self.hub.address}/store/{one['oid']}"}}}
            for one in wanted["objects"]
            if one["oid"] not in self.hub.stored
        ]
        self.answer({"transfer": "basic", "objects": objects})

    def in_repo(self, repo: Repo, name: str, what: str, body: bytes) -> None:
        if what in ("", "revision/main"):
            siblings = [{"rfilename": file} for file in sorted(repo.files)]
            self.answer({"id": name, "sha": repo.sha, "private": repo.private, "siblings": siblings})
        elif what.startswith("tree/"):
            entries = [{"type": "file", "path": p, "size": len(c), "oid": _oid(c)} for p, c in repo.files.items()]
            self.answer(entries)
        elif what in ("secrets", "variables"):
            kept: dict[str, str] = getattr(repo, what)
            if self.command == "POST":
                new = json.loads(body)
                kept[new["key"]] = new["value"]
            self.answer({key: {"value": value if what == "variables" else None} for key, value in kept.items()})
        elif what in ("runtime", "hardware"):
            if self.command == "POST":
                repo.hardware = json.loads(body)["flavor"]
            self.answer({"stage": "BUILDING", "hardware": {"current": None, "requested": repo.hardware}})
        elif what == "settings":
            settings = json.loads(body)
            repo.private = settings.get("visibility") == "private" or bool(settings.get("private"))
            self.answer()
        elif what.startswith("preupload/"):
            self.answer({"files": [self.mode(repo, file) for file in json.loads(body)["files"]]})
        elif what.startswith("commit/"):
            self.commit(repo, name, [json.loads(line) for line in body.splitlines()])
        else:
            self.answer({"error": f"the loopback hub has no {what}"}, 404)

    def mode(self, repo: Repo, file: dict[str, Any]) -> dict[str, Any]:
        binary = b"\0" in base64.b64decode(file["sample"])
        old = repo.files.get(file["path"])
        oid = None if old is None else hashlib.sha256(old).hexdigest() if binary else _oid(old)
        return {
            "path": file["path"],
            "uploadMode": "lfs" if binary else "regular",
            "shouldIgnore": False,
            **({"oid": oid} if oid else {}),
        }

    def commit(self, repo: Repo, name: str, lines: list[dict[str, Any]]) -> None:
        header = next(line["value"] for line in lines if line["key"] == "header")
        if header.get("parentCommit") not in (None, repo.sha):
            self.answer({"error": "A commit has happened since"}, 412)
            return
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                repo.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repo.files[value["path"]] = self.hub.stored[value["oid"]]
            elif line["key"] == "deletedFile":
                del repo.files[value["path"]]
        repo.commits += 1
        self.answer({"commitUrl": f"{self.hub.address}/spaces/{name}/commit/{repo.sha}", "commitOid": repo.sha})


def _oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


if __name__ == "__main__":  # to look at by hand
    with loopback_hub() as shown:
        print(shown.address)  # noqa: T201
        time.sleep(3600)
