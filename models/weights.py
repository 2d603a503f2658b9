"""Weights of one member of a model: stored as float16 safetensors, loaded into its network."""

from __future__ import annotations

from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict
from torch import Tensor, nn

from models.errors import ModelError

WEIGHT_BITS = 8
"""Bits, sign included, to which weights trained here are quantised before they are stored."""


def save_member(
    folder: Path, member: str, state: dict[str, Tensor], bits: int | None = None, *, exact: bool = False
) -> None:
    """Write one member as float16 safetensors in files below 10 MB; ``exact`` keeps float32.

    nnU-Net's networks hold the same parameter under several names; each is written once. With ``bits`` the weights are
    ``rounded`` first: float16's lower bits are then zero and compress to half the size.
    """
    seen: set[int] = set()
    unique = {}
    for name, value in state.items():
        if value.data_ptr() not in seen or value.numel() == 0:
            # safetensors holds no other memory format
            value_cpu = value.detach().cpu().contiguous()
            unique[name] = value_cpu if exact else as_stored(value_cpu, bits)
        seen.add(value.data_ptr())
    target = folder / member
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("model*"):
        old.unlink()
    save_torch_state_dict(unique, target, max_shard_size="9800KB")


def as_stored(value: Tensor, bits: int | None = None) -> Tensor:
    """A parameter or buffer as ``save_member`` stores it; measure with this, since it is what ships."""
    if not value.is_floating_point():
        return value
    return (value if bits is None else rounded(value.float(), bits)).half()


def rounded(weight: Tensor, bits: int) -> Tensor:
    """Quantise each output channel to ``bits`` bits, sign included; biases and norms are unchanged."""
    if weight.ndim < 2:
        return weight
    peak = weight.abs().flatten(1).amax(1).clamp_min(1e-20)
    step = torch.exp2(torch.ceil(torch.log2(peak)) - (bits - 1)).view(-1, *[1] * (weight.ndim - 1))
    return (weight / step).round() * step


def load_into(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Set every parameter of ``network``; a parameter that has several names needs to be given once.

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
