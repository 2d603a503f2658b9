"""Asking the Hugging Face Hub with limits of time, and its faults in sentences."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx2
from huggingface_hub import HfApi, set_client_factory
from huggingface_hub import errors as hub
from huggingface_hub.utils import disable_progress_bars
from huggingface_hub.utils._http import default_client_factory

from pipeline.errors import ReviewError
from pipeline.intake.faults import describe
from pipeline.reviews import shown, store

ANSWER_S = 20.0
"""Longest wait for the Hub to take or send the next bytes, s."""
START_S = 60.0
"""How long a start tries to reach the Hub, s."""
FAULTS = (httpx2.HTTPError, OSError, ValueError, RuntimeError)
"""What huggingface_hub raises; its own errors are among them."""
Answer = TypeVar("Answer")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HubTarget:
    """Where reviews are kept outside this server."""

    dataset: str
    """``OWNER/NAME``."""
    token: str | None = field(default=None, repr=False)
    allow_public: bool = False
    """Whether a public data set is accepted."""
    every_s: float = 60.0
    """Interval of the pushes, s."""
    start_s: float = START_S


def set_patience() -> None:
    """Let no request wait for ever, as the Hub's client does by default and some of its calls do explicitly.

    Its progress bars are off: standard error holds our own lines.
    """
    disable_progress_bars()

    def limit(request: httpx2.Request) -> None:
        limits = request.extensions.get("timeout") or {}
        request.extensions["timeout"] = {
            part: limits.get(part) or ANSWER_S for part in ("connect", "read", "write", "pool")
        }

    def client() -> httpx2.Client:
        made = default_client_factory()
        made.event_hooks = {**made.event_hooks, "request": [*made.event_hooks["request"], limit]}
        return made

    set_client_factory(client)


def until_answered(ask: Callable[[], Answer], target: HubTarget) -> Answer:
    """The Hub's answer; faults of the network and of the Hub itself are waited out for a while.

    Raises:
        ReviewError: it refuses, or does not answer.
    """
    end, wait_s = time.monotonic() + target.start_s, 1.0
    while True:
        try:
            return ask()
        except AttributeError as error:
            # huggingface_hub closes its shared client after a fault in one thread, just as another takes it.
            if "'NoneType' object has no attribute" not in str(error) or time.monotonic() > end:
                raise
            continue
        except FAULTS as error:
            status = error.response.status_code if isinstance(error, hub.HfHubHTTPError) else 0
            log.warning("start of the reviews' copy: %s", kind_of(error))
            if 400 <= status < 500 and status not in (408, 409, 412, 429):
                raise ReviewError(
                    f"The data set {target.dataset} cannot be opened ({status}): check its name, and that "
                    "HF_TOKEN may read and write it."
                ) from error
            if time.monotonic() + wait_s > end:
                raise ReviewError(
                    f"The Hub does not answer for the data set {target.dataset}, so that earlier reviews cannot be "
                    "read: start again later."
                ) from error
        time.sleep(wait_s)
        wait_s *= 2


def download(api: HfApi, dataset: str, folder: Path) -> None:
    """Copy the reviews' files of a data set into ``folder``. Raises one of ``FAULTS``."""
    patterns = [store.PATTERN, shown.PATTERN]
    api.snapshot_download(dataset, repo_type="dataset", local_dir=folder, allow_patterns=patterns, max_workers=4)


def kind_of(error: Exception) -> str:
    """Class and status of an error; its text may quote what was sent."""
    status = error.response.status_code if isinstance(error, hub.HfHubHTTPError) else ""
    return f"{describe(error)} {status}".strip()
