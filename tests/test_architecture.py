"""Imports run one way, heavy libraries stay in their rooms, no room grows too large, only the command line prints."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = [
    {"models.errors", "pipeline"},
    {"models.files", "models.device"},
    {"models"},
    {"pipeline.errors", "pipeline.thresholds"},
    {"pipeline.case", "pipeline.owned_folder"},
    {"pipeline.stages"},
    {"pipeline.statistics"},
    {"pipeline.intake"},
    {"pipeline.segmentation", "pipeline.classification"},
    {"pipeline.anatomy"},
    {"pipeline.networks", "pipeline.suitability"},
    {"pipeline.analysis", "pipeline.trial_run"},
    {"pipeline.reclassify"},
    {"pipeline.exports", "pipeline.reviews", "pipeline.cohort", "pipeline.deploy"},
    {"pipeline.simulation.fields"},
    {"pipeline.simulation.mr_physics"},
    {"pipeline.simulation.phantom"},
    {"pipeline.simulation"},
    {"pipeline.training"},
    {"pipeline.training.segmenter", "pipeline.training.classifier"},
    {"pipeline.training.quality", "pipeline.evaluation"},
    {"pipeline.paper_study", "pipeline.reader_study"},
    {"pipeline.page.state"},
    {"pipeline.page.server"},
    {"pipeline.page.view"},
    {"pipeline.page.handlers"},
    {"pipeline.page", "pipeline.commands"},
    {"pipeline.reading_room"},
    {"pipeline.__main__", "app"},
]
"""Rooms from the foundation up: a room imports itself and what lies below it. The longest name counts."""
LAYER = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}
ONLY_IN = {
    "gradio": ("pipeline.page", "app"),
    "ray": (),
    "rich": ("pipeline.commands",),
    "typer": ("pipeline.commands", "pipeline.__main__"),
    "torch": (
        "models.device",
        "models.masked_attention",
        "models.registry",
        "models.weights",
        "pipeline.segmentation",
        "pipeline.classification",
        "pipeline.networks",
        "pipeline.trial_run",
        "pipeline.cohort",
        "pipeline.training",
        "pipeline.evaluation",
        "pipeline.paper_study",
    ),
}
"""Libraries that load slowly, or that few sites have, and the rooms that may import them; none may import ray yet."""
LARGEST_SHARE = 0.15
PRINTING = ("print", "typer.echo", "sys.stdout.write", "sys.stderr.write")
FILES = [*ROOT.glob("app.py"), *ROOT.glob("models/**/*.py"), *ROOT.glob("pipeline/**/*.py")]
TREES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in FILES}


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str | None:
    """``pipeline.intake.dicom`` is in ``pipeline.intake``; None for other software, and for names with no room."""
    names = module.split(".")
    candidates = (".".join(names[:length]) for length in range(len(names), 0, -1))
    room = next((name for name in candidates if name in LAYER), None)
    return None if room == "pipeline" and len(names) > 1 else room


def imports(node: ast.AST) -> Iterator[str]:
    """Modules imported anywhere below ``node``; ``from pipeline import case`` counts as ``pipeline.case``."""
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            module = child.module or ""
            for alias in child.names:
                longer = f"{module}.{alias.name}"
                is_module = (ROOT / Path(*longer.split("."))).with_suffix(".py").is_file() or longer in LAYER
                yield longer if is_module else module


def against_the_direction(module: str, tree: ast.AST) -> list[str]:
    """What ``tree``, the code of ``module``, imports from its own layer or from above, or a library not its room's."""
    here, wrong = room_of(module), []
    for imported in imports(tree):
        room = room_of(imported)
        if room is not None and room != here and LAYER[room] >= LAYER[here]:
            wrong.append(imported)
        allowed = ONLY_IN.get(imported.split(".")[0])
        if allowed is not None and not any(f"{module}.".startswith(f"{place}.") for place in allowed):
            wrong.append(imported)
    return wrong


def printing_lines(module: str, tree: ast.AST) -> list[int]:
    """Lines that print; none of the command line's."""
    if room_of(module) == "pipeline.commands":
        return []
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if ast.unparse(call.func) in PRINTING]


def test_the_rules_name_only_what_is_there():
    modules = {module_of(file) for file in FILES}
    assert LAYER.keys() <= modules
    assert {room for rooms in ONLY_IN.values() for room in rooms} <= modules


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_run_one_way(file):
    assert room_of(module_of(file)) in LAYER, f"say in LAYERS where {module_of(file)} belongs"
    assert against_the_direction(module_of(file), TREES[file]) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("pipeline.intake.dicom", "from pipeline.page import layout"),
        ("pipeline.intake.dicom", "import torch"),
        ("pipeline.exports.report", "import gradio as gr"),
        ("pipeline.exports.report", "from torch.nn import Module"),
        ("pipeline.cohort.manifest", "def run():\n    import ray"),
        ("models.registry", "from pipeline.errors import InputError"),
        ("pipeline.training.segmenter.plan", "from pipeline.training.classifier import train"),
        ("pipeline.page.view.updates", "from pipeline.page.handlers.opening import Opening"),
    ],
)
def test_the_rule_finds_what_it_forbids(module, line):
    assert against_the_direction(module, ast.parse(line))


def test_models_import_nothing_of_the_pipeline():
    trees = [tree for file, tree in TREES.items() if module_of(file).split(".")[0] == "models"]
    imported = {module for tree in trees for module in imports(tree)}
    assert "models.errors" in imported
    assert not [module for module in imported if module.split(".")[0] == "pipeline"]


def test_no_room_holds_more_than_its_share_of_the_lines():
    lines = Counter({room_of(module_of(file)): 0 for file in FILES})
    for file in FILES:
        lines[room_of(module_of(file))] += len(file.read_text(encoding="utf-8").splitlines())
    largest, count = lines.most_common(1)[0]
    assert count <= LARGEST_SHARE * lines.total(), f"{largest} holds {count} of {lines.total()} lines"


def test_tests_mirror_the_rooms():
    rooms = {folder.parent.name for folder in ROOT.glob("pipeline/*/__init__.py")} | {"models"}
    folders = {folder.parent.name for folder in ROOT.glob("tests/*/__init__.py")}
    assert folders - {"browser"} == rooms


def test_no_file_uses_a_view_that_does_not_keep_its_image_alive():
    raw = [file.name for file in FILES if "GetArrayViewFromImage" in file.read_text(encoding="utf-8")]
    assert raw == ["case.py"]


def test_no_import_is_hidden_from_these_rules():
    hidden = {
        file: [ast.unparse(call.func) for call in ast.walk(tree) if isinstance(call, ast.Call)]
        for file, tree in TREES.items()
    }
    assert not [file for file, calls in hidden.items() if {"__import__", "importlib.import_module"} & set(calls)]


def test_only_the_command_line_prints():
    assert {file: lines for file, tree in TREES.items() if (lines := printing_lines(module_of(file), tree))} == {}


@pytest.mark.parametrize("call", ["print(1)", "typer.echo('x')", "sys.stdout.write('x')", "sys.stderr.write('x')"])
def test_the_rule_finds_what_prints(call):
    tree = ast.parse(f"def run():\n    {call}")
    assert printing_lines("pipeline.exports.files", tree) == [2]
    assert printing_lines("pipeline.commands.shared", tree) == []


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        (
            "pipeline.intake, pipeline.exports, pipeline.reviews, pipeline.statistics.auc, models.registry",
            {"torch", "gradio"},
        ),
        # What the page loads before it is up; the rest comes with the models.
        ("pipeline.page.layout", {"torch", "matplotlib", "highdicom", "scipy.ndimage"}),
    ],
)
def test_light_rooms_load_nothing_heavy_by_any_way(modules, heavy):
    code = f"import sys, {modules}; print({heavy} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
