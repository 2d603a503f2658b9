"""Train the error networks on masks of corrupted cases, and on the same masks with faults put into them.

The network that judges a member's masks has not seen the anatomies that this member has not seen: for these both are as
blind as for a new patient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from pipeline.segmentation.error_network import CHANNELS, ErrorNetwork, error_signs, predict_errors, voxel_features
from pipeline.segmentation.error_regions import LARGE_SHARE, likely_regions
from pipeline.simulation.mask_faults import included_organ, leak, missing_part

IMAGE, PROBABILITY, LIVER, SPLEEN, KIDNEYS = range(len(CHANNELS))
SAMPLES = 1500
"""Masks that voxels are drawn from; each is varied anew."""
FAULTY, CLEAN = 0.5, 0.15
"""Share of the samples with a fault put in, and of those that start from the true mask."""
STRATA = (300, 300, 300, 500, 150)
"""Most voxels to draw of a sample: missing, extra, on the mask's edge, within 40 mm of it, beyond."""
NEAR_VOXELS = 5
HEAVIEST = 30.0
"""Most voxels that a drawn one may stand for."""
EPOCHS, BATCH, RATE = 5, 4096, 4e-3
RARE = -4.0
"""Logit that an untrained network answers everywhere: errors are rare."""
SMALLEST_VOXELS = 20
"""Coarse voxels below which a mask is left out."""


@dataclass(frozen=True)
class CoarseMask:
    """One member's mask of one case, and the truth, on the coarse grid."""

    anatomy: str
    member: str
    """The member that predicted it; it has not seen the anatomy."""
    channels: Tensor
    """``CHANNELS``, (5, z, y, x)."""
    truth: Tensor
    """True shares of liver, spleen and kidneys, (3, z, y, x) 0-1."""
    spacing_mm_zyx: tuple[float, ...]

    @classmethod
    def of(cls, anatomy: str, member: str, tensors: Mapping[str, Tensor]) -> CoarseMask:
        """The mask whose ``tensors`` these are."""
        channels, truth, spacing = (tensors[name].float() for name in ("channels", "truth", "spacing_mm_zyx"))
        return cls(anatomy, member, channels, truth, tuple(spacing.tolist()))

    def tensors(self) -> dict[str, Tensor]:
        """What a file of it holds."""
        spacing = torch.tensor(self.spacing_mm_zyx)
        return {"channels": self.channels.half(), "truth": self.truth.half(), "spacing_mm_zyx": spacing}

    @property
    def large_enough(self) -> bool:
        return int((self.channels[LIVER] > 0.5).sum()) >= SMALLEST_VOXELS


@dataclass(frozen=True)
class Voxels:
    """Voxels drawn from varied masks."""

    features: Tensor
    """(voxel, feature) float16."""
    errors: Tensor
    """(voxel, 2) 0 or 1: most of it is missing, most of it is extra."""
    weights: Tensor
    """(voxel,): the number of voxels that it stands for."""
    anatomies: np.ndarray
    """(voxel,) names."""


def train_error_networks(
    masks: Sequence[CoarseMask], members: Sequence[str], *, seed: int = 0, report: Callable[[str], None]
) -> dict[str, ErrorNetwork]:
    """The error network of each member, trained on the anatomies that other members have not seen."""
    voxels = draw_voxels([mask for mask in masks if mask.large_enough], np.random.default_rng(seed))
    report(f"{len(voxels.errors)} voxels drawn from {len(masks)} masks")
    networks = {}
    for member in members:
        own = {mask.anatomy for mask in masks if mask.member == member}
        networks[member] = _fit(voxels, torch.from_numpy(np.flatnonzero(~np.isin(voxels.anatomies, list(own)))), seed)
        report(f"error network of {member} trained")
    return networks


def judge_coarse(mask: CoarseMask, network: ErrorNetwork) -> dict[str, float | bool]:
    """``ERROR_SIGNS`` of a mask; ``located``: whether the largest region that is named overlaps a true error; and
    ``large_region``: whether it is large enough for score 3."""
    liver = mask.channels[LIVER]
    errors = predict_errors(network, mask.channels, mask.spacing_mm_zyx)
    missing, extra = errors.numpy()
    named = likely_regions(missing, extra, float(np.prod(mask.spacing_mm_zyx)) / 1000)
    wrong = dict(zip(("missing", "extra"), true_errors(liver, mask.truth[0]).numpy(), strict=True))
    located = bool(named) and bool((named[0].inside & wrong[named[0].kind]).any())
    large = bool(named) and bool(named[0].inside.sum() >= LARGE_SHARE * float(liver.sum()))
    return error_signs(liver, errors, mask.spacing_mm_zyx) | {"located": located, "large_region": large}


def true_errors(liver: Tensor, truth: Tensor) -> Tensor:
    """Where most of a voxel is missing and where it is extra, (2, z, y, x) bool, for shares (z, y, x) 0-1."""
    return torch.stack([truth - liver > 0.5, liver - truth > 0.5])


def draw_voxels(masks: Sequence[CoarseMask], rng: np.random.Generator) -> Voxels:
    """Vary masks in turn, in a random order, and draw voxels of each by ``STRATA``."""
    features, errors, weights, anatomies = [], [], [], []
    order = rng.permutation(len(masks))
    for number in range(SAMPLES):
        mask = masks[order[number % len(masks)]]
        channels, wrong = vary(mask, rng)
        if channels[LIVER].sum() < SMALLEST_VOXELS:
            continue
        seen = voxel_features(channels, mask.spacing_mm_zyx).flatten(1).T
        for place, most in zip(_strata(channels[LIVER], wrong), STRATA, strict=True):
            there = np.flatnonzero(place)
            drawn = torch.from_numpy(rng.permutation(there)[:most])
            features.append(seen[drawn].half())
            errors.append(wrong.flatten(1).T[drawn].float())
            weights.append(torch.full((len(drawn),), min(len(there) / max(len(drawn), 1), HEAVIEST)))
            anatomies += len(drawn) * [mask.anatomy]
    return Voxels(torch.cat(features), torch.cat(errors), torch.cat(weights), np.array(anatomies))


def _strata(liver: Tensor, wrong: Tensor) -> list[np.ndarray]:
    """Disjoint parts of the voxels, each (voxel,) bool, in the order of ``STRATA``."""
    near = torch.from_numpy(ndimage.maximum_filter(liver.numpy(), 2 * NEAR_VOXELS + 1)) > 0
    left, parts = torch.ones_like(near), []
    for place in (wrong[0], wrong[1], (liver > 0.05) & (liver < 0.95), near, left.clone()):
        parts.append((place & left).flatten().numpy())
        left &= ~place
    return parts


def vary(mask: CoarseMask, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A mask in a body of another shape and brightness, often with faults.

    Returns:
        ``CHANNELS``, (5, z, y, x), and where most of a voxel is missing and where it is extra, (2, z, y, x) bool.
    """
    start = mask.channels
    if rng.uniform() < CLEAN:
        soft = 0.5 * mask.truth[:1] + 0.5 * functional.avg_pool3d(mask.truth[:1], 3, 1, 1)
        start = torch.cat([mask.channels[:1], soft, mask.truth])
    bent = _bent(torch.cat([start, mask.truth]), rng)
    channels, truth = bent[: len(CHANNELS)].clone(), bent[len(CHANNELS) :]
    if rng.uniform() < FAULTY:
        for _ in range(1 + int(rng.uniform() < 0.25)):
            channels = _with_fault(channels, truth[1:].amax(0), np.array(mask.spacing_mm_zyx), rng)
    channels[IMAGE] = _redrawn(channels[IMAGE], rng)
    return channels, true_errors(channels[LIVER], truth[0])


def _with_fault(channels: Tensor, others: Tensor, spacing_mm_zyx: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Put one fault into the mask; spleen and kidneys end where the faulty liver covers them.

    Args:
        others: (z, y, x) true share of spleen and kidneys.
    """
    liver, organ = (channels[LIVER] > 0.5).numpy(), (others > 0.5).numpy()
    if liver.sum() < SMALLEST_VOXELS:
        return channels
    if rng.uniform() < 0.65:
        faulty = missing_part(liver, channels[IMAGE].numpy(), spacing_mm_zyx, rng)
    elif rng.uniform() < 0.35 and organ.any():
        faulty = included_organ(liver, organ, spacing_mm_zyx, rng)
    else:
        image = channels[IMAGE] - channels[IMAGE].min()
        faulty = leak(liver, image.numpy(), spacing_mm_zyx, rng)
    gone, added = (torch.from_numpy(part) for part in (liver & ~faulty, faulty & ~liver))
    # Voxels of which the liver has less than a half go with their neighbours.
    gone = functional.max_pool3d(gone[None].float(), 3, 1, 1)[0].bool() & ~torch.from_numpy(faulty)
    changed = channels.clone()
    for channel, value in ((PROBABILITY, float(rng.uniform(0.6, 1))), (LIVER, 1.0)):
        changed[channel][gone] = 0.0
        changed[channel][added] = value
    changed[[SPLEEN, KIDNEYS]] *= ~added
    return changed


def _bent(channels: Tensor, rng: np.random.Generator) -> Tensor:
    """The body scaled by about 10 %, sheared and bent smoothly."""
    size = channels.shape[1:]
    matrix = np.diag(np.exp(rng.normal(0, 0.1, 3))) + rng.normal(0, 0.06, (3, 3))
    affine = torch.from_numpy(np.column_stack([matrix, rng.normal(0, 0.05, 3)]).astype(np.float32))[None]
    grid = functional.affine_grid(affine, [1, 1, *size], align_corners=False)
    knots = torch.from_numpy(rng.normal(0, 0.035, (1, 3, 4, 5, 5)).astype(np.float32))
    bend = functional.interpolate(knots, size=size, mode="trilinear", align_corners=True).permute(0, 2, 3, 4, 1)
    return functional.grid_sample(channels[None], grid + bend, padding_mode="border", align_corners=False)[0]


def _redrawn(image: Tensor, rng: np.random.Generator) -> Tensor:
    """The image with other contrast, brightness and tone curve, and noise."""
    image = image * float(np.exp(rng.normal(0, 0.2))) + float(rng.normal(0, 0.2))
    if rng.uniform() < 0.3:
        low, span = image.min(), image.max() - image.min() + 1e-6
        image = ((image - low) / span) ** float(np.exp(rng.normal(0, 0.3))) * span + low
    noise = torch.from_numpy(rng.standard_normal(image.shape).astype(np.float32))
    return image + float(rng.uniform(0, 0.15)) * noise


def _fit(voxels: Voxels, use: Tensor, seed: int) -> ErrorNetwork:
    """Train a network on the voxels of these indices, by cross-entropy that counts each as often as it stands for."""
    torch.manual_seed(seed)
    network = ErrorNetwork()
    sample = voxels.features[use].float()
    network.mean.copy_(sample.mean(0))
    network.scale.copy_(sample.std(0) + 1e-3)
    torch.nn.init.constant_(network.layers[-1].bias, RARE)  # type: ignore[arg-type]
    batches = max(1, len(use) // BATCH)
    optimiser = torch.optim.AdamW(network.layers.parameters(), RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=batches * EPOCHS, pct_start=0.1)
    for _ in range(EPOCHS):
        for batch in use[torch.randperm(len(use))].tensor_split(batches):
            logits = network(voxels.features[batch].float())
            losses = functional.binary_cross_entropy_with_logits(logits, voxels.errors[batch], reduction="none")
            loss = (losses.sum(1) * voxels.weights[batch]).mean() / voxels.weights.mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return network.half().float().eval()  # as it is stored
