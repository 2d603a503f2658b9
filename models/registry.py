"""Names to weights: finds a model folder, checks it, and reads its members. No pickle is ever opened.

A model folder holds ``model.json`` (what it is and the sha256 of every weight file), ``MODEL_CARD.md`` and one folder
of safetensors a member (``fold0``, ``fold1``, ...). ``liver_t2/fold1`` names one member of an ensemble. Models that
ship stand under ``models/``, those that a site installs under ``site_folder()``; a model's name is its folder's.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.case import ModelInfo
from pipeline.errors import ModelError

if TYPE_CHECKING:  # torch takes seconds to import, and names are asked for before the page is up
    import torch
    from torch import Tensor, nn

log = logging.getLogger(__name__)
SHIPPED = Path(__file__).parent
SITE_VARIABLE = "FIBROREVIEW_MODELS"
KINDS = ("segmenter", "classifier")
MEMBER = r"fold(?:\d+|all)"
WEIGHTS = MEMBER + r"/model[\w.-]*\.safetensors"
"""What ``model.json`` may name, so that no name leads out of the model's folder."""
DESCRIPTIONS = ("model.json", "plans.json", "dataset.json", "folds.json", "quality.json")
"""What decides, beside the weights, what a model answers and says of itself."""


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
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()

    @property
    def whole_sha256(self) -> str:
        """One hash over ``DESCRIPTIONS``, of which model.json states the hash of every weight file."""
        there = {name: file_sha256(self.folder / name) for name in DESCRIPTIONS if (self.folder / name).is_file()}
        return hashlib.sha256(json.dumps(there, sort_keys=True).encode()).hexdigest()

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


WEIGHT_BITS = 8
"""Of weights trained here, as they are stored."""


def save_member(folder: Path, member: str, state: dict[str, Tensor], bits: int | None = None) -> None:
    """Write one member as float16 safetensors in files below 10 MB.

    nnU-Net's networks hold the same parameter under several names; each is written once. With ``bits`` the weights are
    ``rounded`` first: float16's lower bits are then zero, and a repository or archive holds them in half the space.
    """
    from huggingface_hub import save_torch_state_dict

    seen: set[int] = set()
    unique = {}
    for name, value in state.items():
        if value.data_ptr() not in seen or value.numel() == 0:
            # safetensors holds no other memory format
            unique[name] = as_stored(value.detach().cpu().contiguous(), bits)
        seen.add(value.data_ptr())
    target = folder / member
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("model*"):
        old.unlink()
    save_torch_state_dict(unique, target, max_shard_size="9800KB")


def as_stored(value: Tensor, bits: int | None = None) -> Tensor:
    """What ``save_member`` writes of a parameter or buffer: measure with this, since it is what ships."""
    if not value.is_floating_point():
        return value
    return (value if bits is None else rounded(value.float(), bits)).half()


def rounded(weight: Tensor, bits: int) -> Tensor:
    """Every output channel in whole steps, ``bits`` wide with their sign; biases and norms as they are."""
    import torch

    if weight.ndim < 2:
        return weight
    peak = weight.abs().flatten(1).amax(1).clamp_min(1e-20)
    step = torch.exp2(torch.ceil(torch.log2(peak)) - (bits - 1)).view(-1, *[1] * (weight.ndim - 1))
    return (weight / step).round() * step


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
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"There is no device {name!r}; use auto, cpu or cuda.") from error
    if device.type not in ("cpu", "cuda") or (device.type == "cuda" and not torch.cuda.is_available()):
        raise ModelError(f"This computer has no device {name!r}; use cpu.")
    return device


def autocast(device: torch.device) -> torch.autocast:
    """Compute in bfloat16 where the device has instructions for it, else in float32: emulated, it is far slower."""
    import torch

    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16"))
    return torch.autocast(device.type, torch.bfloat16, enabled=bool(native))
