"""nnU-Net's sliding window, tile by tile."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import torch
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

    @torch.inference_mode()
    def predict_tile(self, tile: Tensor) -> Tensor:
        """Predict one tile (1, z, y, x) with the last member used; returns its logits (label, z, y, x), float32."""
        with autocast(self.device):
            return self.network(tile[None].to(self.device))[0].float().cpu()
