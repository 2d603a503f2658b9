"""Imports run one way, heavy libraries stay in their rooms, and only the command line prints."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = [
    {"pipeline", "pipeline.case", "pipeline.errors", "pipeline.statistics"},
    {"pipeline.intake", "models"},
    {"pipeline.segmentation", "pipeline.classification"},
    {"pipeline.analysis", "pipeline.installation"},
    {"pipeline.exports", "pipeline.reviews", "pipeline.reader_study", "pipeline.training", "pipeline.cohort"},
    {"pipeline.commands", "pipeline.page"},
    {"pipeline.__main__", "app"},
]
LAYER = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}
ONLY_IN = {
    "gradio": {"pipeline.page", "app"},
    "ray": {"pipeline.cohort"},
    "torch": {
        "models",
        "pipeline.segmentation",
        "pipeline.classification",
        "pipeline.analysis",
        "pipeline.installation",
        "pipeline.training",
    },
}
FILES = [*ROOT.glob("app.py"), *ROOT.glob("models/**/*.py"), *ROOT.glob("pipeline/**/*.py")]
TREES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in FILES}


def room_of(module: str) -> str:
    """``pipeline.intake.dicom`` is in ``pipeline.intake``, ``models.registry`` in ``models``."""
    return ".".join(module.split(".")[: 2 if module.startswith("pipeline.") else 1])


def own_room(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return room_of(".".join(parts[:-1] if parts[-1] == "__init__" else parts))


def imports(node: ast.AST) -> Iterator[str]:
    """Modules imported anywhere below ``node``; ``from pipeline import case`` counts as ``pipeline.case``."""
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            module = child.module or ""
            for alias in child.names:
                yield f"{module}.{alias.name}" if f"{module}.{alias.name}" in LAYER else module


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_run_one_way(file):
    here = own_room(file)
    assert here in LAYER, f"say in LAYERS where {here} belongs"
    for module in imports(TREES[file]):
        room = room_of(module)
        if room in LAYER:
            assert room == here or LAYER[room] < LAYER[here], f"{here} must not import {module}"
        elif module.split(".")[0] in ONLY_IN:
            assert here in ONLY_IN[module.split(".")[0]], f"{here} must not import {module}"


def test_ray_is_imported_inside_functions():
    for file, tree in TREES.items():
        top = [
            module for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) for module in imports(node)
        ]
        assert not any(module.split(".")[0] == "ray" for module in top), file


def test_no_file_uses_a_view_that_does_not_keep_its_image_alive():
    raw = [file.name for file in FILES if "GetArrayViewFromImage" in file.read_text(encoding="utf-8")]
    assert raw == ["case.py"]


def test_only_the_command_line_prints():
    for file, tree in TREES.items():
        calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
        names = [(ast.unparse(call), call.lineno) for call in calls]
        prints = [line for name, line in names if name in ("print", "typer.echo", "sys.stdout.write")]
        assert not prints or own_room(file) == "pipeline.commands", f"{file} prints in line {prints}"


def test_light_rooms_load_no_torch_by_any_way():
    code = (
        "import sys, pipeline.intake, pipeline.exports, pipeline.reviews, pipeline.statistics.auc; "
        "print({'torch', 'gradio'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
