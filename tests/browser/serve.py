"""The page on a port of its own, with the stand-in models or the shipped ones: ``python -m tests.browser.serve``.

Ends when its standard input closes, so that no server outlives the tests that started it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipeline.page.layout import serve_page
from pipeline.page.server.engine import load_chosen
from pipeline.page.server.logs import start_logging
from pipeline.page.server.settings import PageSettings
from tests.page.fake_models import load_fake


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--reviews", type=Path, required=True)
    parser.add_argument("--examples", type=Path, default=PageSettings.examples)
    parser.add_argument("--logins", type=Path)
    parser.add_argument("--public", action="store_true")
    parser.add_argument("--shipped", action="store_true", help="the shipped models instead of the stand-in")
    parser.add_argument("--hold", type=Path, help="while this file exists the stand-in waits")
    parser.add_argument("--fault", type=Path, help="while this file exists the stand-in fails")
    parser.add_argument("--miss", type=Path, help="while this file exists the stand-in misses a part of the liver")
    given = parser.parse_args()
    settings = PageSettings(
        reviews=given.reviews,
        examples=given.examples,
        public=given.public,
        logins=given.logins,
        server_port=given.port,
    )
    load = load_chosen if given.shipped else load_fake(hold=given.hold, fault=given.fault, miss=given.miss)
    start_logging(settings.log)
    serve_page(settings, load=load)
    print("ready", flush=True)  # noqa: T201 - the tests wait for it
    sys.stdin.read()


if __name__ == "__main__":
    main()
