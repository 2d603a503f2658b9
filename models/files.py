"""Atomic writes and content hashes, for models and for every room of the pipeline."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_path(file: Path) -> Iterator[Path]:
    """As ``atomic_sibling``; folders above ``file`` are made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_sibling(file) as partial:
        yield partial


@contextmanager
def atomic_sibling(file: Path) -> Iterator[Path]:
    """A hidden sibling to write to, with the same suffixes; renamed to ``file`` when the block ends without an error.

    An interruption leaves the old file or none, and concurrent writers never see half of one. No folder is made.
    """
    partial = file.with_name(f".part-{secrets.token_hex(8)}-{file.name}")
    try:
        yield partial
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def write_text(file: Path, text: str) -> None:
    """Atomic replacement of a text file, UTF-8."""
    with atomic_path(file) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(file: Path, content: Any) -> None:
    """Atomic replacement of a JSON file, indented by one space.

    Raises:
        ValueError: a number is NaN or infinite, which JSON does not have.
    """
    write_text(file, json.dumps(content, indent=1, allow_nan=False) + "\n")


def file_sha256(file: Path) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def json_sha256(content: Any, *, sort_keys: bool = True) -> str:
    """SHA-256 of the content's JSON text, 64 hexadecimal digits; equal for every order of keys if they are sorted."""
    return hashlib.sha256(json.dumps(content, sort_keys=sort_keys).encode()).hexdigest()
