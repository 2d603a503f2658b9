"""Find a model folder by name, check it, and load the weights of its members. No pickle is ever opened.

A model folder holds ``model.json`` (what it is and the sha256 of every weight file), ``MODEL_CARD.md`` and one folder
of safetensors a member (``fold0``, ``fold1``, ...). ``liver_t2/fold1`` names one member of an ensemble. Models that
ship are in ``models/``, those that a site installs in ``site_folder()``; a model's name is its folder's.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.description import ModelDescription
from models.errors import ModelError
from models.files import file_sha256, json_sha256

if TYPE_CHECKING:  # torch takes seconds to import, and names are asked for before the page is up
    from torch import Tensor

log = logging.getLogger(__name__)
SHIPPED = Path(__file__).parent
SITE_VARIABLE = "FIBROREVIEW_MODELS"
DESCRIPTIONS = ("model.json", "plans.json", "dataset.json", "folds.json", "quality.json")
"""Files that, with the weights, determine predictions and displayed text; hashed by ``whole_sha256``."""


@dataclass(frozen=True)
class ModelInfo:
    """A model as a result names it; all text is from its ``model.json``."""

    name: str
    sha256: str
    trained_on: str
    note: str = ""
    """Text shown beside each of the model's results, e.g. that a probability has no clinical meaning."""


@dataclass(frozen=True)
class ModelFolder:
    """A model on disk, with all of its members or those chosen."""

    name: str
    folder: Path
    info: dict[str, Any]
    """Content of ``model.json``."""
    members: tuple[str, ...]

    @property
    def description(self) -> ModelDescription:
        """The fields of ``info`` that every model has."""
        return ModelDescription.of(self.info)

    @property
    def sha256(self) -> str:
        """One hash over the hashes of the chosen members' weight files."""
        weights = self.description.weights
        return json_sha256({name: digest for name, digest in weights.items() if name.split("/")[0] in self.members})

    @property
    def whole_sha256(self) -> str:
        """One hash over ``DESCRIPTIONS``; model.json among them holds the hash of every weight file."""
        there = {name: file_sha256(self.folder / name) for name in DESCRIPTIONS if (self.folder / name).is_file()}
        return json_sha256(there)

    def model_info(self) -> ModelInfo:
        return ModelInfo(self.name, self.sha256, self.description.trained_on, self.description.note)

    def weights(self, member: str) -> dict[str, str]:
        """SHA-256 of one member's files by their names relative to the folder, as ``model.json`` states them."""
        weights = self.description.weights
        return {name: digest for name, digest in weights.items() if name.split("/")[0] == member}

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
    """Folder of the models that this site installs; not created here."""
    return Path(os.environ.get(SITE_VARIABLE) or SHIPPED.parent / "site_models")


def find(name_or_path: str | Path, kind: str | None = None) -> ModelFolder:
    """Find a model by name, shipped or installed, or by folder; ``NAME/foldN`` chooses one member.

    Raises:
        ModelError: there is none, or it is of another ``kind`` or incomplete.
    """
    for candidate in (Path(name_or_path), SHIPPED / name_or_path, site_folder() / name_or_path):
        for folder, member in ((candidate, None), (candidate.parent, candidate.name)):
            if (folder / "model.json").is_file():
                model = read(folder, member)
                if kind not in (None, model.description.kind):
                    raise ModelError(f"This model is a {model.description.kind}, not a {kind}.")
                return model
    known = [model.name for model in installed() if kind in (None, model.description.kind)]
    raise ModelError(f"There is no {kind or 'model'} of this name; name one of {', '.join(known) or 'none installed'}.")


def installed() -> list[ModelFolder]:
    """The models that can be chosen by name: shipped ones, then the site's. Damaged ones are logged and left out."""
    found: dict[str, ModelFolder] = {}
    for file in [*sorted(SHIPPED.glob("*/model.json")), *sorted(site_folder().glob("*/model.json"))]:
        name = file.parent.name
        if name in found or name.startswith("."):  # an installation in progress
            continue
        try:
            found[name] = read(file.parent)
        except ModelError as error:
            log.warning("The model %s is left out: %s", name, error)
    return list(found.values())


def names(kind: str) -> list[str]:
    """Names of the shipped and installed models of a kind."""
    return [model.name for model in installed() if model.description.kind == kind]


def read(folder: Path, member: str | None = None) -> ModelFolder:
    """Open the model in ``folder``, or one member of it; ``model.json`` is checked, weights are not loaded.

    Raises:
        ModelError: ``model.json`` is damaged or names a kind, member or file that there cannot be.
    """
    try:
        info = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError("The model's model.json is damaged or incomplete; install the model again.") from error
    members = ModelDescription.of(info).members
    if member is not None and member not in members:
        raise ModelError(f"The model has no member {member}; it has {', '.join(members)}.")
    name = folder.resolve().name
    return ModelFolder(name if member is None else f"{name}/{member}", folder, info, (member,) if member else members)


def write_model_json(folder: Path, info: dict[str, Any]) -> None:
    """Write ``model.json`` with the hashes of the weight files in the folder."""
    files = sorted(folder.glob("*/*.safetensors"))
    members = sorted({file.parent.name for file in files})
    hashes = {f"{file.parent.name}/{file.name}": file_sha256(file) for file in files}
    text = json.dumps({"schema": 1} | info | {"members": members, "sha256": hashes}, indent=1)
    (folder / "model.json").write_text(text + "\n")
