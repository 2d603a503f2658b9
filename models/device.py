"""Compute device of the networks, and their precision on it."""

from __future__ import annotations

import re
from typing import Literal

import torch

from models.errors import ModelError


def choose_device(name: str) -> torch.device:
    """Parse a device name; ``auto`` is a GPU if there is one, else the CPU.

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


def autocast(device: torch.device) -> torch.autocast:
    """Autocast to bfloat16 if the device has instructions for it (emulation is far slower), else stay in float32."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16"))
    return torch.autocast(device.type, torch.bfloat16, enabled=bool(native))


_OF_A_GPU = re.compile(
    r"CUDA|cuDNN|cuBLAS|cuSPARSE|cuFFT|cuSOLVER|NCCL|NVIDIA|NVRTC|\bHIP\b|ROCm|\bGPU\b", re.IGNORECASE
)
_OF_MEMORY = re.compile(r"out of memory|ALLOC_FAILED|not enough (?:GPU |CUDA |device )?memory", re.IGNORECASE)


def gpu_fault(error: BaseException) -> Literal["memory", "broken"] | None:
    """Whether an error of PyTorch is a GPU's: too little ``memory``, or ``broken``: its driver, its code or itself.

    None for every other error, among them the CPU's own lack of memory.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return "memory"
    words = str(error)
    accelerator = getattr(torch, "AcceleratorError", None)  # since PyTorch 2.8
    if not (_OF_A_GPU.search(words) or (accelerator and isinstance(error, accelerator))):
        return None
    return "memory" if _OF_MEMORY.search(words) else "broken"
