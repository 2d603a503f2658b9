"""Case ids: keyed hashes, so that the same series has the same id at one site and means nothing at another."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.intake.faults import log_fault

log = logging.getLogger(__name__)

KEY_VARIABLE, DATA_VARIABLE = "FIBROREVIEW_SITE_KEY", "FIBROREVIEW_DATA"
ID_DIGITS = 16


def data_folder() -> Path:
    """Where this site keeps what must outlive a visit; not created here."""
    return Path(os.environ.get(DATA_VARIABLE) or Path.home() / ".local" / "share" / "fibroreview")


def case_key() -> bytes:
    """The site's key: from the environment, else from a random key file made on first use.

    Raises:
        PipelineError: the key file can be neither read nor made.
    """
    given = os.environ.get(KEY_VARIABLE)
    if given:
        return given.encode()
    file = data_folder() / "site.key"
    try:
        if not file.exists():
            _create(file)
        return file.read_bytes().strip()
    except OSError as error:
        log_fault(log, error, "site key")
        raise PipelineError(
            f"The key for case ids cannot be stored; set {DATA_VARIABLE} to a folder that can be written to."
        ) from error


def case_id(parts: Iterable[bytes]) -> str:
    """HMAC-SHA256 over the parts (each with its length, so that they cannot run together), 16 hex digits."""
    digest = hmac.new(case_key(), digestmod=hashlib.sha256)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:ID_DIGITS]


def _create(file: Path) -> None:
    """Write the key beside its place and link it in: two processes at once end with one and the same key."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as target:
            target.write(secrets.token_hex(32).encode())
            target.flush()
            os.fsync(target.fileno())
        try:
            os.link(draft, file)
        except FileExistsError:
            return  # another process was first: its key counts
        except OSError:
            if not file.exists():  # a file system without hard links
                draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
