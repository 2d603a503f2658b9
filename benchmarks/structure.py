"""How the code is divided: ``python -m benchmarks.structure [ROOT] [--list]``. Reads the sources, runs none of them.

The rooms and their order are the ``LAYERS`` of the measured checkout's own ``tests/test_architecture.py``; a module
that no layer names counts for its folder. Measured are ``app.py``, ``models`` and ``pipeline``, not the tests.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

HERE = Path(__file__).resolve().parents[1]
MOST_LINES = 50
MOST_PARAMETERS = 6
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One source file."""

    path: str
    """Relative to the repository root."""
    name: str
    """Dotted; a package without ``__init__``."""
    source: str
    tree: ast.Module

    def at(self, node: ast.AST, what: str) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 1)} {what}"


def main(
    root: Annotated[Path, typer.Argument(help="The checkout to measure.")] = HERE,
    everything: Annotated[bool, typer.Option("--list", help="Also list what is counted.")] = False,
) -> None:
    """Measure and print."""
    modules, layers = read_modules(root), read_layers(root)
    lines = Counter[str]()
    for module in modules:
        lines[room_of(module.name, layers)] += len(module.source.splitlines())
    for room, count in lines.most_common():
        print(f"{room:32}{count:7}{count / lines.total():8.1%}")
    print(f"{'total':32}{lines.total():7}")
    for name, found in measures(modules, layers).items():
        print(f"{name:48}{len(found):5}")
        for item in found if everything else ():
            print(f"    {item}")


def read_modules(root: Path) -> list[Module]:
    """The program's modules, by path."""
    modules = []
    for file in sorted([*root.glob("app.py"), *root.glob("models/**/*.py"), *root.glob("pipeline/**/*.py")]):
        path, source = file.relative_to(root), file.read_text(encoding="utf-8")
        name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        modules.append(Module(path.as_posix(), name, source, ast.parse(source)))
    return modules


def read_layers(root: Path) -> dict[str, int]:
    """Layer of each room that the checkout's architecture test names, from the foundation up; {} without that test."""
    file = root / "tests" / "test_architecture.py"
    for node in ast.parse(file.read_text(encoding="utf-8")).body if file.is_file() else ():
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LAYERS":
            layers = ast.literal_eval(node.value)
            return {room: number for number, rooms in enumerate(layers) for room in rooms}
    return {}


def room_of(name: str, layers: dict[str, int]) -> str:
    """The longest room that holds the module; without one its folder below ``pipeline``."""
    parts = name.split(".")
    candidates = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    room = next((candidate for candidate in candidates if candidate in layers), "")
    return ".".join(parts[:2]) if room in ("", "pipeline") else room


def measures(modules: list[Module], layers: dict[str, int]) -> dict[str, list[str]]:
    """What each measure finds, as "path:line name"."""
    functions = [(m, node) for m in modules for node in ast.walk(m.tree) if isinstance(node, Function)]
    names = {module.name for module in modules}
    classes, files = defaultdict(list), defaultdict(list)
    for module in modules:
        files[module.path.rsplit("/")[-1]].append(module.path)
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                classes[node.name].append(module.at(node, node.name))
    files.pop("__init__.py", None)
    return {
        "imports against the direction": [line for m in modules for line in against_direction(m, names, layers)],
        "class names that occur more than once": [f"{k}: {', '.join(v)}" for k, v in classes.items() if len(v) > 1],
        "file names that occur more than once": [f"{k}: {', '.join(v)}" for k, v in files.items() if len(v) > 1],
        f"functions above {MOST_LINES} lines": [
            m.at(node, f"{node.name}: {lines}") for m, node in functions if (lines := lines_of(node)) > MOST_LINES
        ],
        f"functions with more than {MOST_PARAMETERS} parameters": [
            m.at(node, f"{node.name}: {n}") for m, node in functions if (n := parameters_of(node)) > MOST_PARAMETERS
        ],
        "Any in annotations": [m.at(node, "Any") for m in modules for node in any_in_annotations(m.tree)],
        "# fmt: skip": [
            f"{m.path}:{number}"
            for m in modules
            for number, line in enumerate(m.source.splitlines(), 1)
            if "# fmt: skip" in line
        ],
    }


def against_direction(module: Module, names: set[str], layers: dict[str, int]) -> Iterator[str]:
    """Imports of another room of the same layer or of a higher one."""
    here = room_of(module.name, layers)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            longer = [f"{node.module}.{alias.name}" for alias in node.names]
            imported = [name if name in names else str(node.module) for name in longer]
        else:
            continue
        for name in imported:
            room = room_of(name, layers)
            if room != here and room in layers and here in layers and layers[room] >= layers[here]:
                yield module.at(node, name)


def lines_of(node: Function) -> int:
    """Lines from ``def`` to the end, the docstring among them."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def parameters_of(node: Function) -> int:
    """All parameters, ``self`` and ``cls`` left out, ``*args`` and ``**kwargs`` one each."""
    listed = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    starred = [arg for arg in (node.args.vararg, node.args.kwarg) if arg]
    return len([arg for arg in [*listed, *starred] if arg.arg not in ("self", "cls")])


def any_in_annotations(tree: ast.Module) -> Iterator[ast.AST]:
    """Every ``Any`` inside an annotation of a parameter, a return value, a field or a variable."""
    for node in ast.walk(tree):
        annotation = node.returns if isinstance(node, Function) else getattr(node, "annotation", None)
        if annotation is not None:
            yield from (part for part in ast.walk(annotation) if isinstance(part, ast.Name) and part.id == "Any")


if __name__ == "__main__":
    typer.run(main)
