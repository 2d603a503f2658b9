"""A Hugging Face Hub on loopback, in the process of the test: repositories in memory, and the faults a test asks for.

It covers what huggingface_hub 2.x sends for: ``whoami``; ``create_repo`` (also one that exists), ``repo_info``,
``repo_exists``, ``update_repo_settings``; ``create_commit`` (``preupload`` with object ids, regular files, deletions,
``parent_commit``; LFS by the "basic" transfer for files with NUL bytes); ``list_repo_files``, ``list_repo_tree``,
``get_paths_info``; ``hf_hub_download`` and ``snapshot_download`` (HEAD and GET of ``resolve``, by branch or commit);
secrets, variables and hardware of a Space. A private repository needs the token, a public one needs it for writing.

    with fake_hub() as hub:
        api = HfApi(endpoint=hub.address, token=TOKEN)  # or HF_ENDPOINT=hub.address in a child process
        api.create_repo("me/reviews", repo_type="dataset", private=True)
        hub.repo("datasets/me/reviews").files
        hub.faults["POST .*/commit/"] = 500

A fault is by a pattern of ``METHOD path``: an HTTP status; ``stall`` (no answer until the hub closes); ``drop``
(carried out, then the connection is closed without an answer); ``half`` (a commit that answers 200 and stores half of
each file).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote

TOKEN = "hf_token_of_the_tests"
Fault = int | str


@dataclass
class Repo:
    """One repository; ``history`` holds the files of every commit, the last is the branch ``main``."""

    private: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    hardware: str = "cpu-basic"
    history: list[dict[str, bytes]] = field(default_factory=lambda: [{}])

    @property
    def sha(self) -> str:
        """Hash of the last commit."""
        return f"{len(self.history) - 1:040x}"

    def at(self, revision: str) -> dict[str, bytes] | None:
        """Files of a branch or commit."""
        if revision == "main":
            return self.files
        return self.history[int(revision, 16)] if re.fullmatch("[0-9a-f]{40}", revision) else None

    def commit(self) -> None:
        self.history.append(dict(self.files))


@dataclass
class FakeHub:
    """``repos`` by ``type/owner/name`` with the type in the plural; ``asked`` holds every ``METHOD path``."""

    repos: dict[str, Repo] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    stored: dict[str, bytes] = field(default_factory=dict)
    """LFS objects by SHA-256."""
    closed: threading.Event = field(default_factory=threading.Event)
    lock: threading.RLock = field(default_factory=threading.RLock)
    address: str = ""

    def repo(self, key: str) -> Repo:
        return self.repos[key]

    def fault(self, asked: str) -> Fault | None:
        return next((fault for pattern, fault in self.faults.items() if re.search(pattern, asked)), None)


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """Serve a hub without repositories until the block ends."""
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield hub
    finally:
        hub.closed.set()
        server.shutdown()
        server.server_close()


def blob_oid(content: bytes) -> str:
    """Git's id of a regular file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    disable_nagle_algorithm = True
    dropped = False

    def log_message(self, *words: Any) -> None:
        pass

    def answer(self, content: Any = None, status: int = 200, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps({} if content is None else content).encode()
        if self.dropped:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def handle_any(self) -> None:
        body, path = self.body(), unquote(self.path.split("?")[0])
        asked = f"{self.command} {path}"
        self.hub.asked.append(asked)
        fault = self.hub.fault(asked)
        if isinstance(fault, int):
            self.answer({"error": "as the test wants it"}, fault)
        elif fault == "stall":
            self.hub.closed.wait(60)
            self.close_connection = True
        else:
            self.dropped = fault == "drop"
            with self.hub.lock:
                self.route(path, body, half=fault == "half")

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any  # noqa: N815 - the names of http.server

    @property
    def known(self) -> bool:
        return self.headers.get("authorization") == f"Bearer {TOKEN}"

    def route(self, path: str, body: bytes, *, half: bool) -> None:
        if path.startswith("/store/"):
            self.hub.stored[path.removeprefix("/store/")] = body
            self.answer()
        elif found := re.fullmatch(r"/api/(models|spaces|datasets)/([^/]+/[^/]+)(?:/(.*))?", path):
            if (repo := self.reachable(f"{found[1]}/{found[2]}")) is not None:
                self.in_repo(repo, f"{found[1]}/{found[2]}", found[3] or "", body, half=half)
        elif found := re.fullmatch(r"/((?:datasets/|spaces/)?)([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            if (repo := self.reachable(f"{found[1] or 'models/'}{found[2]}")) is not None:
                self.resolve(repo, found[3], found[4])
        elif not self.known:
            self.answer({"error": "Invalid credentials"}, 401)
        elif path == "/api/whoami-v2":
            self.answer({"name": "me", "type": "user", "orgs": []})
        elif path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif path == "/api/repos/create":
            self.create(json.loads(body))
        elif path.endswith(".git/info/lfs/objects/batch"):
            self.lfs(json.loads(body))
        else:
            self.answer({"error": f"the fake hub has no {path}"}, 404)

    def reachable(self, key: str) -> Repo | None:
        """The repository, or None after a refusal."""
        repo = self.hub.repos.get(key)
        if self.known and repo is None:
            self.answer({"error": "Repository not found"}, 404, x_error_code="RepoNotFound")
        elif not self.known and (repo is None or repo.private or self.command not in ("GET", "HEAD")):
            self.answer({"error": "Invalid username or password."}, 401)
            return None
        return repo

    def create(self, wanted: dict[str, Any]) -> None:
        owner = wanted.get("organization") or "me"
        kind = f"{wanted.get('type') or 'model'}s"
        prefix = "" if kind == "models" else f"{kind}/"
        key, address = f"{kind}/{owner}/{wanted['name']}", f"{self.hub.address}/{prefix}{owner}/{wanted['name']}"
        if owner != "me":
            self.answer({"error": "no rights in this namespace"}, 403)
        elif key in self.hub.repos:
            self.answer({"error": "You already created this repo", "url": address}, 409)
        else:
            private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
            made = self.hub.repos[key] = Repo(private=private)
            made.files[".gitattributes"] = b""
            if kind == "spaces":
                made.files["README.md"] = b"---\nsdk: gradio\n---\n"
            made.commit()
            self.answer({"url": address})

    def lfs(self, wanted: dict[str, Any]) -> None:
        objects = [
            {**one, "actions": {"upload": {"href": f"{self.hub.address}/store/{one['oid']}"}}}
            for one in wanted["objects"]
            if one["oid"] not in self.hub.stored
        ]
        self.answer({"transfer": "basic", "objects": objects})

    def in_repo(self, repo: Repo, key: str, what: str, body: bytes, *, half: bool) -> None:
        first, _, rest = what.partition("/")
        match first:
            case "" | "revision":
                siblings = [{"rfilename": file} for file in sorted(repo.files)]
                name = key.partition("/")[2]
                self.answer({"id": name, "sha": repo.sha, "private": repo.private, "siblings": siblings, "tags": []})
            case "tree":
                files = repo.at(rest.partition("/")[0])
                self.answer([_entry(path, content) for path, content in sorted((files or {}).items())])
            case "paths-info":
                paths = parse_qs(body.decode())["paths"]
                self.answer([_entry(path, repo.files[path]) for path in paths if path in repo.files])
            case "secrets" | "variables":
                self.keep(getattr(repo, first), json.loads(body or b"{}"), shown=first == "variables")
            case "runtime" | "hardware":
                repo.hardware = json.loads(body)["flavor"] if self.command == "POST" else repo.hardware
                self.answer({"stage": "BUILDING", "hardware": {"current": None, "requested": repo.hardware}})
            case "settings":
                settings = json.loads(body)
                repo.private = settings.get("visibility") == "private" or bool(settings.get("private"))
                self.answer()
            case "preupload":
                self.answer({"files": [_mode(repo, file) for file in json.loads(body)["files"]]})
            case "commit":
                self.commit(repo, key, [json.loads(line) for line in body.splitlines()], half=half)
            case _:
                self.answer({"error": f"the fake hub has no {what}"}, 404)

    def keep(self, kept: dict[str, str], new: dict[str, str], *, shown: bool) -> None:
        if self.command == "POST":
            kept[new["key"]] = new["value"]
        elif self.command == "DELETE":
            kept.pop(new["key"], None)
        self.answer({key: {"value": value if shown else None} for key, value in kept.items()})

    def commit(self, repo: Repo, key: str, lines: list[dict[str, Any]], *, half: bool) -> None:
        header = next(line["value"] for line in lines if line["key"] == "header")
        if header.get("parentCommit") not in (None, repo.sha):
            self.answer({"error": "A commit has happened since"}, 412)
            return
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                content = base64.b64decode(value["content"])
                repo.files[value["path"]] = content[: len(content) // 2] if half else content
            elif line["key"] == "lfsFile":
                repo.files[value["path"]] = self.hub.stored[value["oid"]]
            elif line["key"] == "deletedFile":
                repo.files.pop(value["path"], None)
        repo.commit()
        self.answer({"commitUrl": f"{self.hub.address}/{key}/commit/{repo.sha}", "commitOid": repo.sha})

    def resolve(self, repo: Repo, revision: str, path: str) -> None:
        content = (repo.at(revision) or {}).get(path)
        if content is None:
            self.answer({"error": "Entry not found"}, 404, x_error_code="EntryNotFound", x_repo_commit=repo.sha)
        else:
            commit = repo.sha if revision == "main" else revision
            self.answer(content, etag=f'"{blob_oid(content)}"', x_repo_commit=commit)


def _entry(path: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": path, "size": len(content), "oid": blob_oid(content)}


def _mode(repo: Repo, file: dict[str, Any]) -> dict[str, Any]:
    """How a file is to be sent, and the id of the file of that name that is there."""
    binary = b"\0" in base64.b64decode(file["sample"])
    old = repo.files.get(file["path"])
    oid = None if old is None else hashlib.sha256(old).hexdigest() if binary else blob_oid(old)
    mode = {"path": file["path"], "uploadMode": "lfs" if binary else "regular", "shouldIgnore": False}
    return {**mode, **({"oid": oid} if oid else {})}
