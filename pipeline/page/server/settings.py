"""PageSettings of the page from the environment, read once at start."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.errors import ConfigError
from pipeline.intake import Budget, GridLimits, Limits
from pipeline.page.server.engine import RUN_LIMITS, RunLimits
from pipeline.page.state.open_cases import DISK_BUDGET, DiskBudget

ROOT = Path(__file__).resolve().parents[3]
DEFAULT_PORT = 7860
GB = 1 << 30
LogStyle = Literal["plain", "json"]
STORAGE = Path("/data")
"""Where a Space's persistent storage is mounted, if it has one."""


@dataclass(frozen=True)
class PageSettings:
    """PageSettings of one instance of the page."""

    reviews: Path = ROOT / "reviews"
    reviews_dataset: str = ""
    """``OWNER/NAME`` of a data set at the Hugging Face Hub that keeps a copy of the reviews; empty: none."""
    reviews_public: bool = False
    """Whether that data set may be public."""
    reviews_push_s: float = 60.0
    """Interval at which new reviews are copied there, s."""
    hub_token: str | None = field(default=None, repr=False)
    segmenter: str = "liver_t2"
    classifier: str = "fibrosis_t2"
    """Default models; a reader may choose others."""
    examples: Path = ROOT / "assets" / "examples"
    public: bool = False
    """On a public Space: uploads require the confirmation that the images are de-identified."""
    server_name: str = "127.0.0.1"
    server_port: int = DEFAULT_PORT
    max_upload: str = "1gb"
    hosts: frozenset[str] = frozenset()
    """Names under which the page is reached, beside loopback; lower case, with a port where it is no default."""
    any_input: bool = False
    """For research: what is no axial T2 of the liver is classified as well, marked unreliable."""
    keep_case_s: float = 2 * 3600.0
    """Time without use after which a case is deleted, s."""
    disk: DiskBudget = DISK_BUDGET
    runs: RunLimits = RUN_LIMITS
    logins: Path | None = None
    """File of names and hashed passwords that the page asks for; None: it asks for none."""
    log: LogStyle = "plain"
    """Lines of text, or one JSON object per line."""


def settings_from(environment: Mapping[str, str]) -> PageSettings:
    """Read the variables ``FIBROREVIEW_...`` and ``GRADIO_SERVER_...`` that are named here, and ``SPACE_ID``.

    Raises:
        ConfigError: a setting is wrong; names it.
    """
    GridLimits.from_environment(environment)
    Budget.from_environment(environment)
    Limits.from_environment(environment)
    public = bool(environment.get("SPACE_ID"))
    hosts = f"{environment.get('FIBROREVIEW_HOSTS', '')},{environment.get('SPACE_HOST', '')}".lower().split(",")
    return PageSettings(
        reviews=_reviews_folder(environment, public),
        reviews_dataset=_dataset(environment.get("FIBROREVIEW_REVIEWS_DATASET", "")),
        reviews_public=_yes("FIBROREVIEW_REVIEWS_PUBLIC", environment),
        reviews_push_s=_number("REVIEWS_PUSH_S", environment, PageSettings.reviews_push_s, (1, 86400)),
        hub_token=environment.get("HF_TOKEN") or None,
        segmenter=environment.get("FIBROREVIEW_SEGMENTER") or PageSettings.segmenter,
        classifier=environment.get("FIBROREVIEW_CLASSIFIER") or PageSettings.classifier,
        public=public,
        any_input=_yes("FIBROREVIEW_ANY_INPUT", environment),
        server_name=environment.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if public else "127.0.0.1"),
        keep_case_s=3600 * _number("KEEP_HOURS", environment, PageSettings.keep_case_s / 3600, (0.01, 168)),
        disk=DiskBudget(
            total_bytes=int(_number("MAX_DISK_GB", environment, DISK_BUDGET.total_bytes / GB, (0.1, 1e6)) * GB),
            free_bytes=int(_number("FREE_DISK_GB", environment, DISK_BUDGET.free_bytes / GB, (0, 1e6)) * GB),
            cases_per_visitor=int(_number("MAX_CASES", environment, DISK_BUDGET.cases_per_visitor, (1, 1000))),
        ),
        runs=RunLimits(
            waiting=int(_number("MAX_WAITING", environment, RUN_LIMITS.waiting, (0, 30))),
            seconds=_number("MAX_SECONDS", environment, RUN_LIMITS.seconds, (1, 86400)),
        ),
        hosts=frozenset(host.strip() for host in hosts if host.strip()),
        server_port=_port(environment),
        logins=Path(file) if (file := environment.get("FIBROREVIEW_LOGINS")) else None,
        log=_log_style(environment.get("FIBROREVIEW_LOG", "")),
    )


def _reviews_folder(environment: Mapping[str, str], public: bool) -> Path:
    """The folder that is named, else the Space's own storage where it is mounted, else that of the repository."""
    if named := environment.get("FIBROREVIEW_REVIEWS"):
        return Path(named)
    if public and STORAGE.is_dir() and os.access(STORAGE, os.W_OK):
        return STORAGE / "reviews"
    return ROOT / "reviews"


def _port(environment: Mapping[str, str]) -> int:
    text = environment.get("GRADIO_SERVER_PORT") or str(DEFAULT_PORT)
    if not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise ConfigError("GRADIO_SERVER_PORT must be a number from 1 to 65535.")
    return int(text)


def _number(name: str, environment: Mapping[str, str], default: float, allowed: tuple[float, float]) -> float:
    """The variable ``FIBROREVIEW_NAME``, or the default.

    Raises:
        ConfigError: it is no number, or none in the allowed range.
    """
    text = environment.get(f"FIBROREVIEW_{name}", "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        value = math.nan
    if not allowed[0] <= value <= allowed[1]:
        raise ConfigError(f"FIBROREVIEW_{name} must be a number from {allowed[0]:g} to {allowed[1]:g}.")
    return value


def _log_style(text: str) -> LogStyle:
    match text.strip().lower():
        case "" | "plain":
            return "plain"
        case "json":
            return "json"
    raise ConfigError("FIBROREVIEW_LOG must be plain or json.")


def _dataset(name: str) -> str:
    name = name.strip().removeprefix("hf://datasets/").strip("/")
    if name and not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name, re.ASCII):
        raise ConfigError("FIBROREVIEW_REVIEWS_DATASET must name a data set of the Hub as OWNER/NAME.")
    return name


def _yes(name: str, environment: Mapping[str, str]) -> bool:
    text = environment.get(name, "").strip().lower()
    if text not in ("", "0", "1", "no", "yes", "false", "true"):
        raise ConfigError(f"{name} must be 1 or 0.")
    return text in ("1", "yes", "true")
