"""The classifier's network: torch modules only, no files and no medical images.

Several axial slices of one case go in, one logit comes out. The image is read in two channels: as it is, and relative
to the liver around each pixel (``LocalContrast``). A liver mask steers the network in two places, softly: features of
the liver are gated after each stage (``MaskedAttention``), and the cells of all slices are averaged with weights that
are the liver's share of a cell times a learned factor (``AttentionPooling``).
``mask="pooling"`` switches both learned parts off and keeps the liver's share; ``mask="none"`` runs the whole network
with a mask of ones: that is the direct, unmasked approach.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, get_args

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.errors import ModelError, SegmentationError
from models.network_names import BACKBONES, MaskUse

LEAST_SHARE = 1e-6
"""Share of liver below which a cell has no weight."""


class LocalContrast(nn.Module):
    """Image, and its difference from the mean of the liver around each pixel; nothing in it is learned.

    Coil shading, fat and iron change the liver over centimetres, septa and nodules over millimetres. Pixels outside the
    liver take hardly any part in the mean, so that the liver's edge does not look like a sign.
    """

    def __init__(self, pixels: int = 15, limit: float = 0.6, unit: float = 0.15) -> None:
        super().__init__()
        self.pixels, self.limit, self.unit = pixels, limit, unit

    @torch.no_grad()
    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """(slices, 1, y, x) twice, 0 is the liver's median -> (slices, 2, y, x)."""
        weight = (mask > 0.5).to(image.dtype) + 1e-3
        weighted = torch.cat([image * weight, weight], dim=1)
        for _ in range(2):
            weighted = box_mean(box_mean(weighted, self.pixels, dim=2), self.pixels, dim=3)
        mean = weighted[:, :1] / weighted[:, 1:]
        contrast = (image - mean).clamp(-self.limit, self.limit) / self.unit
        return torch.cat([image, contrast], dim=1)


def box_mean(x: Tensor, size: int, dim: int) -> Tensor:
    """Mean of ``size`` neighbours along one axis, of fewer at the border; by running sums, so equally fast for any."""
    length, reach = x.shape[dim], size // 2
    sums = torch.cat([torch.zeros_like(x.narrow(dim, 0, 1)), x.cumsum(dim)], dim)
    index = torch.arange(length, device=x.device)
    upper, lower = (index + reach + 1).clamp(max=length), (index - reach).clamp(min=0)
    count = (upper - lower).view([-1 if axis == dim else 1 for axis in range(x.ndim)])
    return (sums.index_select(dim, upper) - sums.index_select(dim, lower)) / count


class MaskedAttention(nn.Module):
    """Gate a stage's output inside the liver: each feature of a cell is scaled by 0 to 2, as the cell's features say.

    A residual attention module (Wang et al., CVPR 2017) whose gate is the liver's share of the cell; outside the liver
    the stage's output stays as it is. The gate's weights start small, not at zero, so that they learn from the first
    step.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, channels, kernel_size=1, bias=False)
        nn.init.normal_(self.project.weight, std=0.02)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        share = liver_share(mask, x)  # (B, 1, H, W) -> (B, 1, h, w)
        return x * (1 + share * torch.tanh(self.project(x)))  # (B, C, h, w)


class NoAttention(nn.Module):
    """The stage's output, unchanged."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return x


class Focus(nn.Module):
    """The features that are pooled, unchanged: a module of its own, since Grad-CAM hooks into it."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class AttentionPooling(nn.Module):
    """Weighted mean of the features of one case's cells inside the liver.

    Attention over the cells of all slices (Ilse et al., ICML 2018) with the logarithm of the liver's share as its bias:
    a cell without liver has weight 0, and the learned factor starts at 1, so the first guess is the average over the
    liver's volume.
    """

    def __init__(self, channels: int, hidden: int = 32, *, learned: bool = True) -> None:
        super().__init__()
        self.score = None
        if learned:
            last = nn.Linear(hidden, 1, bias=False)
            nn.init.zeros_(last.weight)
            self.score = nn.Sequential(nn.Linear(channels, hidden), nn.Tanh(), last)

    def weights(self, x: Tensor, share: Tensor) -> Tensor:
        """Cells (cells, C) and their liver shares (cells,) -> weights (cells,) that sum to 1."""
        bias = torch.where(share > LEAST_SHARE, share, 0.0).log()
        return torch.softmax(bias if self.score is None else bias + self.score(x)[:, 0], dim=0)

    def forward(self, x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """Features (slices, C, h, w) and share (slices, 1, h, w) of one case -> (C,) and slice weights (slices,)."""
        cells = x.permute(0, 2, 3, 1).flatten(0, 2)
        weight = self.weights(cells, share.flatten())
        return weight @ cells, weight.view(len(x), -1).sum(dim=1)


class MaskedAttentionNet(nn.Module):
    """Slices and masks of one or several cases -> one logit per case.

    Args:
        backbone: a name of ``BACKBONES``.
        mask: see ``MaskUse``.
        stages: which of timm's feature stages get mask attention; the last of them is pooled, what follows is cut off.
        drop: dropout before the logit.
    """

    def __init__(
        self,
        backbone: str = "resnet18",
        mask: MaskUse = "attention",
        stages: Sequence[int] | None = None,
        drop: float = 0.2,
    ) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ModelError(f"The backbone must be one of {', '.join(BACKBONES)}.")
        if mask not in get_args(MaskUse):
            raise ModelError(f"The use of the mask must be one of {', '.join(get_args(MaskUse))}.")
        self.mask_use = mask
        self.contrast = LocalContrast()
        backbone_net = feature_network(backbone, stages)
        self.backbone = backbone_net
        self.channels_last = str(backbone_net.output_fmt).endswith("NHWC")
        channels = backbone_net.feature_info.channels()
        names = list(backbone_net.return_layers)
        self.last_stage = names[-1]
        attends = mask != "pooling"
        self.attend = nn.ModuleDict(
            {name: MaskedAttention(c) if attends else NoAttention() for name, c in zip(names, channels, strict=True)}
        )
        # A transformer's stages end without the norm that follows them.
        self.norm = nn.LayerNorm(channels[-1]) if self.channels_last else nn.Identity()
        self.focus = Focus()
        self.pool = AttentionPooling(channels[-1], learned=attends)
        self.standardise = nn.BatchNorm1d(channels[-1])
        self.drop = nn.Dropout(drop)
        self.head = nn.Linear(channels[-1], 1)

    def forward(self, x: Tensor, slices_per_case: int | Sequence[int] | None = None) -> Tensor:
        """Logits (cases, 1); one case if ``slices_per_case`` is not given. Arguments as ``forward_with_weights``."""
        return self.forward_with_weights(x, slices_per_case)[0]

    def forward_with_weights(
        self, x: Tensor, slices_per_case: int | Sequence[int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits and the weight of each slice.

        Args:
            x: (slices of all cases, 2, y, x): the image, and the soft liver mask 0-1.
            slices_per_case: one number for all cases, or one for each.

        Returns:
            logits (cases, 1), weights (slices,) that sum to 1 in each case.

        Raises:
            SegmentationError: a case has no liver in any of its slices.
        """
        image, mask = self.split(x)
        return self.from_features(self.encode(image, mask), mask, slices_per_case)

    def from_features(
        self, encoded: Tensor, mask: Tensor, slices_per_case: int | Sequence[int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """``forward_with_weights`` from what ``encode`` returned, (slices, C, h, w), and the mask of ``split``."""
        features, share = self.focus(encoded.float()), liver_share(mask, encoded)
        counts = slices_per_case or len(encoded)
        weights, cases = [], []
        for case, case_share in zip(features.split(counts), share.split(counts), strict=True):  # type: ignore[arg-type]
            if not bool((case_share > LEAST_SHARE).any()):
                raise SegmentationError("No liver was found in the slices, so fibrosis cannot be estimated.")
            pooled, weight = self.pool(case, case_share)
            cases.append(pooled)
            weights.append(weight)
        return self.head(self.drop(self.standardise(torch.stack(cases)))), torch.cat(weights)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(slices, 2, y, x) -> image and mask, (slices, 1, y, x) each, changed according to ``mask_use``."""
        image, mask = x[:, :1], x[:, 1:]
        if self.mask_use == "none":
            return image, torch.ones_like(mask)
        if self.mask_use == "mask_only":
            return mask, torch.ones_like(mask)
        if self.mask_use == "background_only":
            return image * (1 - mask), torch.ones_like(mask)
        if self.mask_use == "background_only_without_spleen":
            return right_half(image * (1 - mask)), torch.ones_like(mask)
        return image, mask

    def encode(self, image: Tensor, mask: Tensor) -> Tensor:
        """(slices, 1, y, x) twice -> (slices, C, h, w), the last stage after its mask attention."""
        x = self.contrast(image, mask)
        for name, layer in self.backbone.named_children():
            x = layer(x)
            if name in self.attend:
                x = self.backbone_layout(self.attend[name](self.channels_first(x), mask))
        return self.channels_first(self.norm(x))

    @torch.no_grad()
    def without_attention(self) -> MaskedAttentionNet:
        """A copy whose gates and learned weights of cells do nothing; the mask still says what is pooled."""
        net = copy.deepcopy(self)
        for block in net.attend.values():
            if isinstance(block, MaskedAttention):
                block.project.weight.zero_()
        if net.pool.score is not None:
            for parameter in net.pool.score.parameters():
                parameter.zero_()
        return net

    def channels_first(self, x: Tensor) -> Tensor:
        """(B, h, w, C), as Swin's features are, or (B, C, h, w) -> (B, C, h, w)."""
        return x.permute(0, 3, 1, 2) if self.channels_last else x

    def backbone_layout(self, x: Tensor) -> Tensor:
        """The inverse of ``channels_first``, for the backbone's next stage."""
        return x.permute(0, 2, 3, 1) if self.channels_last else x


def feature_network(backbone: str, stages: Sequence[int] | None = None, **weights: Any) -> Any:
    """timm's network for the two channels of ``LocalContrast``, cut off after the last of ``stages``.

    Args:
        backbone: a name of ``BACKBONES``.
        stages: by default those of ``BACKBONES``.
        weights: timm's ``pretrained`` and ``pretrained_cfg_overlay``; random weights without them.
    """
    timm_name, all_stages = BACKBONES[backbone]
    # Swin accepts sizes other than 224 x 224 only with this argument, which the others do not know.
    sizes: dict[str, Any] = {"strict_img_size": False} if backbone.startswith("swin") else {}
    taken = tuple(stages or all_stages)
    return timm.create_model(timm_name, features_only=True, out_indices=taken, in_chans=2, **sizes, **weights)


def right_half(image: Tensor) -> Tensor:
    """Keep the patient's right half of the crop, which is centred on the liver; set the rest to the liver's median, 0.

    The spleen lies in the other half. Its own mask is not used to remove it, since a hole would show its size.
    """
    right = image.clone()
    right[..., image.shape[-1] // 2 :] = 0  # (B, 1, H, W): x runs from the patient's right to the left
    return right


def liver_share(mask: Tensor, x: Tensor) -> Tensor:
    """Share of each cell of ``x`` that is liver, by area: (B, 1, H, W) -> (B, 1, h, w), 0-1."""
    return F.adaptive_avg_pool2d(mask.float(), (x.shape[-2], x.shape[-1]))
