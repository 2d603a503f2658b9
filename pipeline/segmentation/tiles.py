"""A network's prediction: of a whole volume at once, or by nnU-Net's sliding window, tile by tile."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import torch
import torch.nn.functional as F
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from torch import Tensor

from models.device import autocast


class TilePredictor(nnUNetPredictor):
    """nnU-Net's predictor that reports each tile and can be stopped between tiles."""

    def __init__(self, device: torch.device) -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # its constructor prints on a CPU
            super().__init__(use_mirroring=False, device=device, allow_tqdm=False)
        self.on_tile: Callable[[float], None] = lambda share: None
        self.stopped = False
        self.tiles = self.done = 0

    def _internal_get_sliding_window_slicers(self, image_size: tuple[int, ...]) -> list:
        slicers = super()._internal_get_sliding_window_slicers(image_size)
        self.tiles, self.done = len(slicers), 0
        return slicers

    def _internal_maybe_mirror_and_predict(self, x: Tensor) -> Tensor:
        # Raising here would leave nnU-Net's producer thread waiting for ever, so a stopped run ends on empty tiles.
        if self.stopped:
            return torch.zeros(x.shape[0], self.label_manager.num_segmentation_heads, *x.shape[2:], device=x.device)
        with autocast(self.device):
            prediction = super()._internal_maybe_mirror_and_predict(x)
        self.done += 1
        self.on_tile(self.done / self.tiles)
        return prediction

    def use(self, state: dict[str, Tensor]) -> None:
        """Take a member's weights, without a copy of them on a CPU."""
        self.network.load_state_dict(state, assign=True)
        self.network.to(self.device).eval()

    @torch.inference_mode()
    def predict_at_once(self, data: Tensor) -> Tensor:
        """Predict (1, z, y, x) with the weights last used, not by tiles; returns logits (label, z, y, x), float32.

        A side shorter than the plan's patch is padded with 0 on both ends, as in training.
        """
        patch, sides = self.configuration_manager.patch_size, data.shape[1:]
        missing = [max(most - size, 0) for most, size in zip(patch, sides, strict=True)]
        padded = F.pad(data, [width for side in reversed(missing) for width in (side // 2, side - side // 2)])
        with autocast(self.device):
            logits = self.network(padded[None].to(self.device))[0].float().cpu()
        inside = (slice(side // 2, side // 2 + size) for side, size in zip(missing, sides, strict=True))
        return logits[(slice(None), *inside)]
