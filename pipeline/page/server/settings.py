"""PageSettings of the page from the environment, read once at start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DEFAULT_PORT = 7860


@dataclass(frozen=True)
class PageSettings:
    """PageSettings of one instance of the page."""

    reviews: Path = ROOT / "reviews"
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
    """Names under which the page is reached, beside loopback; lower case, without ports."""
    keep_case_s: float = 2 * 3600.0
    """Time without use after which a case is deleted, s."""


def settings_from(environment: Mapping[str, str]) -> PageSettings:
    """Read the variables ``FIBROREVIEW_...`` and ``GRADIO_SERVER_...`` that are named here, and ``SPACE_ID``.

    Raises:
        ValueError: the port is not a number.
    """
    public = bool(environment.get("SPACE_ID"))
    hosts = f"{environment.get('FIBROREVIEW_HOSTS', '')},{environment.get('SPACE_HOST', '')}".lower().split(",")
    return PageSettings(
        reviews=Path(environment.get("FIBROREVIEW_REVIEWS") or ROOT / "reviews"),
        segmenter=environment.get("FIBROREVIEW_SEGMENTER") or PageSettings.segmenter,
        classifier=environment.get("FIBROREVIEW_CLASSIFIER") or PageSettings.classifier,
        public=public,
        server_name=environment.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if public else "127.0.0.1"),
        hosts=frozenset(host.strip() for host in hosts if host.strip()),
        server_port=int(environment.get("GRADIO_SERVER_PORT") or DEFAULT_PORT),
    )
