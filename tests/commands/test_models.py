"""``python -m pipeline models``: what it lists, shows, installs and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from models import registry
from models.weights import save_member
from pipeline.__main__ import app
from tests.segmentation.conftest import tiny_network, write_model


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["models", *map(str, arguments)])


@pytest.fixture
def segmenter(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny", members=1, trained_on="boxes", licence="CC0", simulated=True)


def test_what_ships_and_what_is_installed_is_listed(segmenter):
    assert run("install", segmenter, "--name", "ours").exit_code == 0
    rows = {row["name"]: row for row in json.loads(run("list", "--json").stdout)}
    assert {"liver_t2", "fibrosis_t2", "ours"} <= rows.keys()
    assert rows["fibrosis_t2"]["simulated"] is True
    assert rows["liver_t2"]["shipped"]
    assert rows["ours"] == {
        "name": "ours",
        "kind": "segmenter",
        "members": ["fold0"],
        "trained_on": "boxes",
        "simulated": True,
        "licence": "CC0",
        "size_bytes": (segmenter / "fold0" / "model.safetensors").stat().st_size,
        "sha256": registry.read(segmenter).sha256,
        "whole_sha256": registry.read(segmenter).whole_sha256,
        "shipped": False,
    }
    table = run("list").stdout
    line = next(line for line in table.splitlines() if "ours" in line)
    assert [part in line for part in ("segmenter", "boxes", "CC0", "yes", "this site")] == [True] * 5


def test_a_model_is_shown_with_figures_hash_and_folder(segmenter):
    weights = registry.read(segmenter).sha256[:12]
    (segmenter / "evaluation.csv").write_text(
        "case,member,organ,dice,iou,hd95_mm,assd_mm,volume_error_percent,weights\n"
        f"a,fold0,liver,0.9,0.8,5,1,-4,{weights}\nb,fold0,liver,0.7,0.6,9,3,2,{weights}\n"
    )
    said = run("show", segmenter).stdout
    assert registry.read(segmenter).sha256 in said
    assert f"sha256 of the whole model: {registry.read(segmenter).whole_sha256}" in said
    assert f"folder: {segmenter}" in said
    assert "simulated: yes" in said
    figures = next(line.split() for line in said.splitlines() if line.strip().startswith("liver"))
    assert figures[:3] == ["liver", "2", "0.8"]
    save_member(segmenter, "fold0", tiny_network(5, seed=7).state_dict())
    registry.write_model_json(segmenter, registry.read(segmenter).info)
    assert "cross-validation" not in run("show", segmenter).stdout, "figures of other weights"
    assert "out_of_fold" in run("show", "fibrosis_t2").stdout


def test_a_refusal_is_one_line_and_exit_code_2(segmenter):
    (segmenter / "fold0" / "model.pkl").touch()
    for arguments in (("install", segmenter), ("show", "nothing_like_this"), ("install", "someone/liver@main")):
        result = run(*arguments)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1
    assert not (registry.site_folder() / "tiny").exists()
