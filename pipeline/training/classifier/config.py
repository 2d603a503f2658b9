"""One TOML file with everything that a classifier's training can be told: read and checked, written with comments.

Settings are at the top level; ``[augmentation]``, ``[cut_offs]`` and ``[input]`` are the fields of their dataclasses.
What a file leaves out is as in the backbone's recipe. The file is stored with each model, and repeats its training.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
import tomllib
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from pipeline.classification.slices import InputSpec
from pipeline.cohort.cut_offs import CutOffs
from pipeline.errors import ConfigError
from pipeline.training.classifier.recipes import STEERED, recipe
from pipeline.training.classifier.settings import Augmentation, Settings

SECTIONS = {"augmentation": Augmentation, "cut_offs": CutOffs, "input": InputSpec}
STRICT = ConfigDict(strict=True, allow_inf_nan=False)
HEADING = "Settings of a classifier's training, for `python -m pipeline train-classifier --config FILE`."


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of a training, and how its slices are prepared."""

    settings: Settings = field(default_factory=Settings)
    spec: InputSpec = field(default_factory=InputSpec)

    def to_toml(self) -> str:
        """The text of a file that ``read_config`` reads to the same; the comments are the fields' docstrings."""
        values = asdict(self.settings) | {"input": asdict(self.spec)}
        sections = {name: values.pop(name) for name in SECTIONS}
        parts = [comment(HEADING), lines(Settings, values)]
        parts += [f"[{name}]\n\n{lines(SECTIONS[name], content)}" for name, content in sections.items()]
        return "\n".join(parts)


def read_config(file: Path | None, overrides: dict[str, Any] | None = None) -> TrainingConfig:
    """Read and check a file; without one, the recipe's settings.

    Args:
        overrides: settings that override those of the file; keys and values as in the file.

    Raises:
        ConfigError: the file cannot be read, or a key or value is not as described.
    """
    given, chosen = {} if file is None else parse(file), dict(overrides or {})
    sections = {
        name: checked(kind, given.pop(name, {}), name) | chosen.pop(name, {}) for name, kind in SECTIONS.items()
    }
    settings = checked(Settings, given) | chosen
    base = recipe(**settings)
    if base.mask not in STEERED and base.patch:
        raise ConfigError(
            f"With the mask use {base.mask} a network learns from whole crops, since a patch around a point of the "
            "liver would show it: set patch to 0."
        )
    return TrainingConfig(
        replace(
            base,
            augmentation=replace(base.augmentation, **sections["augmentation"]),
            cut_offs=replace(base.cut_offs, **sections["cut_offs"]),
        ),
        InputSpec(**sections["input"]),
    )


def parse(file: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError("The configuration cannot be read; name a TOML file that exists with --config.") from error
    except ValueError as error:  # tomllib's error, or text that is not UTF-8
        raise ConfigError(f"The configuration is no TOML file in UTF-8: {error}.") from error


def checked(kind: type, content: Any, section: str = "") -> dict[str, Any]:
    """Values of the fields of a dataclass, checked by their types.

    Raises:
        ConfigError: names the first key that is unknown, or whose value does not fit.
    """
    where = f" in [{section}]" if section else ""
    if not isinstance(content, dict):
        raise ConfigError(f"In the configuration, {section} must be a section [{section}].")
    hints = get_type_hints(kind, localns={"CutOffs": CutOffs}, include_extras=True)
    values = {}
    for name, value in content.items():
        if name not in hints:
            raise ConfigError(f"The setting {name}{where} of the configuration is unknown; known are {known(hints)}.")
        try:
            # As JSON, in which a list may be a tuple, and an integer a float, but a text is no number.
            values[name] = TypeAdapter(hints[name], config=STRICT).validate_json(json.dumps(value, default=str))
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Input ").rstrip(".")
            raise ConfigError(f"The setting {name}{where} of the configuration {reason}.") from error
    return values


def known(hints: dict[str, Any]) -> str:
    return ", ".join(name for name in hints if name not in SECTIONS)


def lines(kind: type, values: dict[str, Any]) -> str:
    """Keys and values of a dataclass in TOML, each below its comment; one without a value is a comment itself."""
    docs = field_docs(kind)
    # JSON's numbers, texts and arrays are TOML's as well.
    written = {
        name: f"# {name} =" if value is None else f"{name} = {json.dumps(value, ensure_ascii=False)}"
        for name, value in values.items()
    }
    return "\n".join(f"{comment(docs[name])}{line}\n" for name, line in written.items())


def comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in textwrap.wrap(text.replace("``", "`"), 100))


def field_docs(kind: type) -> dict[str, str]:
    """The docstrings below the fields of a class, on one line each."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    return {
        node.target.id: " ".join(after.value.value.split())
        for node, after in pairwise(body.body)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
        and isinstance(after.value.value, str)
    }
