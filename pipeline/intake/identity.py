"""Case ids: keyed hashes, equal for the same series at one site and unrelated between sites."""

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
    """Folder of the site's persistent data, such as key and reviews; not created here."""
    return Path(os.environ.get(DATA_VARIABLE) or Path.home() / ".local" / "share" / "fibroreview")


def case_key() -> bytes:
    """The site's key: from the environment, else from a random key file made on first use.

    Raises:
        PipelineError: the key file can neither be read nor created.
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
    """HMAC-SHA256 over the parts, each preceded by its length; 16 hex digits. Raises as ``case_key``."""
    digest = hmac.new(case_key(), digestmod=hashlib.sha256)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:ID_DIGITS]


def _create(file: Path) -> None:
    """Create the key file atomically, by hard link of a written sibling: concurrent processes share one key."""
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
