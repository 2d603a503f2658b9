"""The classifier's network: torch modules only, no files and no medical images.

Several axial slices of one case go in, one logit comes out. A liver mask steers it in three places, softly: features of
the liver are added on top of each stage (``MaskedAttention``), pooling averages over the liver only (``Focus``), and
slices count by their liver area times a learned weight (``SliceAttention``). ``mask="none"`` runs the same code with a
mask of ones: that is the network of the direct, unmasked approach.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.errors import ModelError, SegmentationError
from models.network_names import BACKBONES, MaskUse


class MaskedAttention(nn.Module):
    """Add liver-weighted features to a stage's output; starts as the identity (gamma = 0)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, channels, kernel_size=1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        share = liver_share(mask, x)  # (B, 1, H, W) -> (B, 1, h, w)
        return x + self.gamma * (self.project(x) * share)  # (B, C, h, w)


class Focus(nn.Module):
    """Features times the liver's share of each cell: what the masked pooling sums up.

    A module of its own, since Grad-CAM hooks into it: the logit depends on the features through it alone.
    """

    def forward(self, x: Tensor, share: Tensor) -> Tensor:
        return x * share  # (B, C, h, w)


class SliceAttention(nn.Module):
    """Weights of the slices of one case: their liver area times a learned factor, summing to 1.

    The learned factor starts near 1, so the first guess is the average over the liver's volume. A slice without liver
    has weight 0.
    """

    def __init__(self, channels: int, hidden: int = 64) -> None:
        super().__init__()
        self.what = nn.Linear(channels, hidden)
        self.gate = nn.Linear(channels, hidden)
        self.score = nn.Linear(hidden, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(self, features: Tensor, area: Tensor) -> Tensor:
        """features (slices, C), area (slices,) -> weights (slices,)."""
        score = self.score(torch.tanh(self.what(features)) * torch.sigmoid(self.gate(features)))[:, 0]
        return torch.softmax(score.float() + area.log(), dim=0)


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
        backbone_net = feature_network(backbone, stages)
        self.backbone = backbone_net
        self.channels_last = str(backbone_net.output_fmt).endswith("NHWC")
        channels = backbone_net.feature_info.channels()
        names = list(backbone_net.return_layers)
        self.attend = nn.ModuleDict({name: MaskedAttention(c) for name, c in zip(names, channels, strict=True)})
        self.last_stage = names[-1]
        self.cell_pixels = backbone_net.feature_info.reduction()[-1] ** 2
        self.focus = Focus()
        self.slice_attention = SliceAttention(channels[-1])
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
        features, area = self.pool(encoded, mask)  # (slices, C), (slices,)
        counts = slices_per_case or len(encoded)
        weights, cases = [], []
        for case, case_area in zip(features.split(counts), area.split(counts), strict=True):  # type: ignore[arg-type]
            if not bool((case_area > 0).any()):
                raise SegmentationError("No liver was found in the slices, so fibrosis cannot be estimated.")
            weights.append(self.slice_attention(case, case_area))
            cases.append(weights[-1] @ case)  # (C,)
        return self.head(self.drop(torch.stack(cases))), torch.cat(weights)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(slices, 2, y, x) -> image and mask, (slices, 1, y, x) each, changed according to ``mask_use``."""
        image, mask = x[:, :1], x[:, 1:]
        if self.mask_use == "none":
            return image, torch.ones_like(mask)
        if self.mask_use == "mask_only":
            return mask, mask
        if self.mask_use == "background_only":
            return image * (1 - mask), torch.ones_like(mask)
        if self.mask_use == "background_only_without_spleen":
            return right_half(image * (1 - mask)), torch.ones_like(mask)
        return image, mask

    def encode(self, image: Tensor, mask: Tensor) -> Tensor:
        """(slices, 1, y, x) twice -> (slices, C, h, w), the last stage after its mask attention."""
        x = image
        for name, layer in self.backbone.named_children():
            x = layer(x)
            if name in self.attend:
                x = self.attend[name](self.channels_first(x), mask)
                x = x if name == self.last_stage else self.backbone_layout(x)
        return x

    def channels_first(self, x: Tensor) -> Tensor:
        """(B, h, w, C), as Swin's features are, or (B, C, h, w) -> (B, C, h, w)."""
        return x.permute(0, 3, 1, 2) if self.channels_last else x

    def backbone_layout(self, x: Tensor) -> Tensor:
        """The inverse of ``channels_first``, for the backbone's next stage."""
        return x.permute(0, 2, 3, 1) if self.channels_last else x

    def pool(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mean over the liver, sum(f * m) / sum(m): features (slices, C) and liver area as share of the slice."""
        share = liver_share(mask, x)
        total = share.sum(dim=(2, 3))  # (slices, 1)
        focused = self.focus(x.float(), share)
        features = focused.sum(dim=(2, 3)) / total.clamp_min(1e-6)  # 0 where a slice has no liver; its weight is 0 too
        return features, total[:, 0] / share[0, 0].numel()


def feature_network(backbone: str, stages: Sequence[int] | None = None, **weights: Any) -> Any:
    """timm's network for one input channel, cut off after the last of ``stages``.

    Args:
        backbone: a name of ``BACKBONES``.
        stages: by default those of ``BACKBONES``.
        weights: timm's ``pretrained`` and ``pretrained_cfg_overlay``; random weights without them.
    """
    timm_name, all_stages = BACKBONES[backbone]
    # Swin accepts sizes other than 224 x 224 only with this argument, which the others do not know.
    sizes: dict[str, Any] = {"strict_img_size": False} if backbone.startswith("swin") else {}
    taken = tuple(stages or all_stages)
    return timm.create_model(timm_name, features_only=True, out_indices=taken, in_chans=1, **sizes, **weights)


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
