"""Names to weights: finds a model folder, checks it, and reads its members. No pickle is ever opened.

A model folder holds ``model.json`` (what it is and the sha256 of every weight file), ``MODEL_CARD.md`` and one folder
of safetensors a member (``fold0``, ``fold1``, ...). ``liver_t2/fold1`` names one member of an ensemble.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.case import ModelInfo
from pipeline.errors import ModelError

SHIPPED = Path(__file__).parent
KINDS = ("segmenter", "classifier")


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
        """One hash over the hashes of the chosen members' files."""
        chosen = {k: v for k, v in self.info["sha256"].items() if k.split("/")[0] in self.members}
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()

    def model_info(self) -> ModelInfo:
        return ModelInfo(self.name, self.sha256, self.info["trained_on"], self.info.get("note", ""))

    def state(self, member: str) -> dict[str, Tensor]:
        """Weights of one member as float32, by parameter name.

        Raises:
            ModelError: a file is missing, was changed since ``model.json`` was written, or is no safetensors file.
        """
        expected = {k: v for k, v in self.info["sha256"].items() if k.split("/")[0] == member}
        state: dict[str, Tensor] = {}
        for name, digest in sorted(expected.items()):
            file = self.folder / name
            if not file.is_file() or file_sha256(file) != digest:
                raise ModelError(f"The weights {name} of {self.name} are missing or damaged; install the model again.")
            try:
                state |= load_file(file)
            except SafetensorError as error:
                raise ModelError(f"The weights {name} of {self.name} are no safetensors file.") from error
        return {name: value.float() for name, value in state.items()}


def find(name_or_path: str | Path, kind: str) -> ModelFolder:
    """The model of that name under ``models/``, or in that folder; ``NAME/foldN`` chooses one member.

    Raises:
        ModelError: there is none, or it is of another kind or incomplete.
    """
    for candidate in (Path(name_or_path), SHIPPED / name_or_path):
        for folder, member in ((candidate, None), (candidate.parent, candidate.name)):
            if (folder / "model.json").is_file():
                return _read(folder, kind, member)
    raise ModelError(f"There is no {kind} of this name; name one of {', '.join(names(kind)) or 'none installed'}.")


def names(kind: str) -> list[str]:
    """Names of the models of a kind that stand under ``models/``."""
    found = [f.parent for f in sorted(SHIPPED.glob("*/model.json"))]
    return [folder.name for folder in found if json.loads((folder / "model.json").read_text())["kind"] == kind]


def _read(folder: Path, kind: str, member: str | None) -> ModelFolder:
    try:
        info = json.loads((folder / "model.json").read_text())
        members, actual = tuple(info["members"]), info["kind"]
        info["sha256"], info["trained_on"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError("The model's model.json is damaged or incomplete; install the model again.") from error
    if actual != kind:
        raise ModelError(f"This model is a {actual}, not a {kind}.")
    if member is not None and member not in members:
        raise ModelError(f"The model has no member {member}; it has {', '.join(members)}.")
    name = info.get("name", folder.name)
    return ModelFolder(name if member is None else f"{name}/{member}", folder, info, (member,) if member else members)


def save_member(folder: Path, member: str, state: dict[str, Tensor]) -> None:
    """Write one member as float16 safetensors in files below 10 MB.

    nnU-Net's networks hold the same parameter under several names; each is written once.
    """
    seen: set[int] = set()
    unique = {}
    for name, value in state.items():
        if value.data_ptr() not in seen or value.numel() == 0:
            unique[name] = value.detach().cpu().half() if value.is_floating_point() else value.detach().cpu()
        seen.add(value.data_ptr())
    target = folder / member
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("model*"):
        old.unlink()
    save_torch_state_dict(unique, target, max_shard_size="9800KB")


def write_model_json(folder: Path, info: dict[str, Any]) -> None:
    """Write ``model.json`` with the hashes of the weight files that stand in the folder now."""
    files = sorted(folder.glob("*/*.safetensors"))
    members = sorted({file.parent.name for file in files})
    hashes = {f"{file.parent.name}/{file.name}": file_sha256(file) for file in files}
    text = json.dumps({"schema": 1} | info | {"members": members, "sha256": hashes}, indent=1)
    (folder / "model.json").write_text(text + "\n")


def load_into(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Set every parameter of ``network``; names that share a parameter need to be given once.

    Raises:
        ModelError: a parameter is missing, unknown, or of another shape.
    """
    try:
        result = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ModelError("The weights do not fit the network that model.json describes (wrong shapes).") from error
    own = network.state_dict()
    given = {own[name].data_ptr() for name in state if name in own}
    if result.unexpected_keys or any(own[name].data_ptr() not in given for name in result.missing_keys):
        raise ModelError("The weights do not fit the network that model.json describes (missing or unknown parts).")


def file_sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def choose_device(name: str) -> torch.device:
    """``auto`` takes a GPU where there is one.

    Raises:
        ModelError: the device does not exist here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"There is no device {name!r}; use auto, cpu or cuda.") from error
    if device.type not in ("cpu", "cuda") or (device.type == "cuda" and not torch.cuda.is_available()):
        raise ModelError(f"This computer has no device {name!r}; use cpu.")
    return device
