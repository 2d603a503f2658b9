"""Entry point of the page, on a workstation or as a Hugging Face Space; with FIBROREVIEW_STUDY of a reading room."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path

# Before gradio is imported: no usage statistics leave the machine.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from pipeline.errors import ConfigError, ReviewError, StudyError
from pipeline.page.layout import serve_page
from pipeline.page.server.logs import start_logging
from pipeline.page.server.memory import limit_arenas
from pipeline.page.server.settings import PageSettings, settings_from
from pipeline.reading_room.serve import serve_room

log = logging.getLogger("fibroreview")


def main() -> None:
    """Serve the page, or the reading room of a study instead, until it is stopped."""
    limit_arenas()
    # A Space is stopped by SIGTERM: what runs at exit, such as the last copy of the reviews, runs then as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        settings = settings_from(os.environ)
        start_logging(settings.log)
        if study := os.environ.get("FIBROREVIEW_STUDY"):
            serve_room(Path(study), settings)
        else:
            _serve_page(settings)
    except (ConfigError, ReviewError, StudyError) as error:
        raise SystemExit(str(error)) from error
    except OSError as error:
        port = settings.server_port
        raise SystemExit(f"Port {port} cannot be opened; set GRADIO_SERVER_PORT to a free one.") from error


def _serve_page(settings: PageSettings) -> None:
    page, address = serve_page(settings)
    log.info("FibroReview is open on %s", address)
    page.block_thread()


if __name__ == "__main__":
    main()
