"""Entry point of the page, on a workstation or as a Hugging Face Space."""

from __future__ import annotations

import logging
import os

# Before gradio is imported: no usage statistics leave the machine.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from pipeline.page.layout import serve_page
from pipeline.page.server.settings import settings_from

log = logging.getLogger("fibroreview")


def main() -> None:
    """Serve the page until it is stopped."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    settings = settings_from(os.environ)
    try:
        page, address = serve_page(settings)
    except OSError as error:
        port = settings.server_port
        raise SystemExit(f"Port {port} cannot be opened; set GRADIO_SERVER_PORT to a free one.") from error
    log.info("FibroReview is open on %s", address)
    page.block_thread()


if __name__ == "__main__":
    main()
