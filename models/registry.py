"""Names to weights: finds a model folder, checks it, and reads its members. No pickle is ever opened.

A model folder holds ``model.json`` (what it is and the sha256 of every weight file), ``MODEL_CARD.md`` and one folder
of safetensors a member (``fold0``, ``fold1``, ...). ``liver_t2/fold1`` names one member of an ensemble. Models that
ship stand under ``models/``, those that a site installs under ``site_folder()``; a model's name is its folder's.
"""

from __future__ import annotations

import json
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import ModelError
from models.files import file_sha256, json_sha256

if TYPE_CHECKING:  # torch takes seconds to import, and names are asked for before the page is up
    from torch import Tensor

log = logging.getLogger(__name__)
SHIPPED = Path(__file__).parent
SITE_VARIABLE = "FIBROREVIEW_MODELS"
KINDS = ("segmenter", "classifier")
MEMBER = r"fold(?:\d+|all)"
WEIGHTS = MEMBER + r"/model[\w.-]*\.safetensors"
"""What ``model.json`` may name, so that no name leads out of the model's folder."""
DESCRIPTIONS = ("model.json", "plans.json", "dataset.json", "folds.json", "quality.json")
"""Files that, with the weights, determine predictions and displayed text; hashed by ``whole_sha256``."""


@dataclass(frozen=True)
class ModelInfo:
    """A model as it is named beside a result; every word is from its ``model.json``."""

    name: str
    sha256: str
    trained_on: str
    note: str = ""
    """Shown wherever the model's result is shown, e.g. that a probability has no clinical meaning."""


@dataclass(frozen=True)
class ModelFolder:
    """A model that was found, with the members that were asked for."""

    name: str
    folder: Path
    info: dict[str, Any]
    """``model.json``."""
    members: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """One hash over the hashes of the chosen members' weight files."""
        chosen = {k: v for k, v in self.info["sha256"].items() if k.split("/")[0] in self.members}
        return json_sha256(chosen)

    @property
    def whole_sha256(self) -> str:
        """One hash over ``DESCRIPTIONS``, of which model.json states the hash of every weight file."""
        there = {name: file_sha256(self.folder / name) for name in DESCRIPTIONS if (self.folder / name).is_file()}
        return json_sha256(there)

    def model_info(self) -> ModelInfo:
        return ModelInfo(self.name, self.sha256, self.info["trained_on"], self.info.get("note", ""))

    def weights(self, member: str) -> dict[str, str]:
        """SHA-256 of one member's files by their names relative to the folder, as ``model.json`` states them."""
        return {k: v for k, v in self.info["sha256"].items() if k.split("/")[0] == member}

    def state(self, member: str) -> dict[str, Tensor]:
        """Weights of one member as float32, by parameter name.

        Raises:
            ModelError: a file is missing, was changed since ``model.json`` was written, or is no safetensors file.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        state: dict[str, Tensor] = {}
        for name, digest in sorted(self.weights(member).items()):
            file = self.folder / name
            if not file.is_file() or file_sha256(file) != digest:
                raise ModelError(f"The weights {name} of {self.name} are missing or damaged; install the model again.")
            try:
                state |= load_file(file)
            except SafetensorError as error:
                raise ModelError(f"The weights {name} of {self.name} are no safetensors file.") from error
        return {name: value.float() for name, value in state.items()}


def site_folder() -> Path:
    """Where this site installs its own models; not created here."""
    return Path(os.environ.get(SITE_VARIABLE) or SHIPPED.parent / "site_models")


def find(name_or_path: str | Path, kind: str | None = None) -> ModelFolder:
    """The model of that name, shipped or installed, or in that folder; ``NAME/foldN`` chooses one member.

    Raises:
        ModelError: there is none, or it is of another ``kind`` or incomplete.
    """
    for candidate in (Path(name_or_path), SHIPPED / name_or_path, site_folder() / name_or_path):
        for folder, member in ((candidate, None), (candidate.parent, candidate.name)):
            if (folder / "model.json").is_file():
                model = read(folder, member)
                if kind not in (None, model.info["kind"]):
                    raise ModelError(f"This model is a {model.info['kind']}, not a {kind}.")
                return model
    known = [model.name for model in installed() if kind in (None, model.info["kind"])]
    raise ModelError(f"There is no {kind or 'model'} of this name; name one of {', '.join(known) or 'none installed'}.")


def installed() -> list[ModelFolder]:
    """The models that can be chosen by name: those that ship, then the site's. A damaged one is logged and left out."""
    found: dict[str, ModelFolder] = {}
    for file in [*sorted(SHIPPED.glob("*/model.json")), *sorted(site_folder().glob("*/model.json"))]:
        name = file.parent.name
        if name in found or name.startswith("."):  # half installed
            continue
        try:
            found[name] = read(file.parent)
        except ModelError as error:
            log.warning("The model %s is left out: %s", name, error)
    return list(found.values())


def names(kind: str) -> list[str]:
    """Names of the shipped and installed models of a kind."""
    return [model.name for model in installed() if model.info["kind"] == kind]


def read(folder: Path, member: str | None = None) -> ModelFolder:
    """The model in ``folder``, or one member of it; its ``model.json`` is checked, its weights are not opened.

    Raises:
        ModelError: ``model.json`` is damaged or names a kind, member or file that there cannot be.
    """
    try:
        info = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        members, kind, files = tuple(info["members"]), info["kind"], dict(info["sha256"])
        info["trained_on"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError("The model's model.json is damaged or incomplete; install the model again.") from error
    if kind not in KINDS:
        raise ModelError(f"The model.json names the unknown kind {kind!r}; it must be one of {', '.join(KINDS)}.")
    for pattern, listed in ((MEMBER, members), (WEIGHTS, files)):
        for name in listed:
            if not isinstance(name, str) or not re.fullmatch(pattern, name, re.ASCII):
                raise ModelError(f"The model.json names {name!r}, which is no member or weight file of a model.")
    if not members or {name.split("/")[0] for name in files} != set(members):
        raise ModelError("The members and the weight files that model.json names are not the same.")
    if member is not None and member not in members:
        raise ModelError(f"The model has no member {member}; it has {', '.join(members)}.")
    name = folder.resolve().name
    return ModelFolder(name if member is None else f"{name}/{member}", folder, info, (member,) if member else members)


def write_model_json(folder: Path, info: dict[str, Any]) -> None:
    """Write ``model.json`` with the hashes of the weight files that stand in the folder now."""
    files = sorted(folder.glob("*/*.safetensors"))
    members = sorted({file.parent.name for file in files})
    hashes = {f"{file.parent.name}/{file.name}": file_sha256(file) for file in files}
    text = json.dumps({"schema": 1} | info | {"members": members, "sha256": hashes}, indent=1)
    (folder / "model.json").write_text(text + "\n")
