"""Training augmentation that redraws the contrast between organs, so that a liver is known by place and shape as well.

A network trained on one protocol learns that livers are mid-grey. Iron makes them black, fat suppression and field
strength move every organ: here each organ of a training sample gets a brightness and contrast of its own, and what
lies between the organs a random tone curve. In the spirit of SynthSeg (Billot et al., Medical Image Analysis 86
(2023) 102789), but on real images, whose texture and surroundings stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from torch import Tensor

from pipeline.simulation.corruptions import ON_VOXELS, corrupt_voxels

PADDING = 0.0
"""What nnU-Net puts around a volume: the mean of the normalised voxels, and background."""


def uniform(low: float, high: float) -> float:
    return float(torch.empty(1).uniform_(low, high))


def chance(probability: float) -> bool:
    return float(torch.rand(1)) < probability


def blurred(mask: Tensor) -> Tensor:
    """(z, y, x) bool to float, softened in-plane so that a redrawn organ has no edge that only its label explains."""
    return F.avg_pool2d(mask.float()[:, None], 3, stride=1, padding=1, count_include_pad=False)[:, 0]


def tone_curve(image: Tensor, knots: int = 5) -> Tensor:
    """A random piecewise-linear curve over the image's own range, at times falling, so that contrasts also invert."""
    low, high = torch.quantile(image.flatten()[::37], torch.tensor([0.02, 0.995]))
    heights = torch.sort(torch.rand(knots)).values if chance(0.6) else torch.rand(knots)
    if chance(0.2):
        heights = heights.flip(0)
    place = ((image - low) / (high - low + 1e-6)).clamp(0, 1) * (knots - 1)
    left = place.floor().clamp(max=knots - 2).long()
    height = heights[left] + (heights[left + 1] - heights[left]) * (place - left)
    return low + height * (high - low)


def rescaled(image: Tensor, like: Tensor) -> Tensor:
    """With the mean and standard deviation of ``like``: nnU-Net normalises a new case the same way."""
    return (image - image.mean()) / (image.std() + 1e-6) * like.std() + like.mean()


@dataclass
class OrganContrast(BasicTransform):
    """Redraws brightness and contrast of every labelled organ and the tone of the rest.

    Takes nnU-Net's sample: image (1, z, y, x) float, normalised; segmentation (1, z, y, x) with 0 as background.
    """

    probability: float = 0.6
    organ_probability: float = 0.7

    def apply(self, data_dict: dict, **params: object) -> dict:
        if not chance(self.probability):
            return data_dict
        image, labels = data_dict["image"][0], data_dict["segmentation"][0]
        spread = image.std()
        redrawn = tone_curve(image) if chance(0.5) else image.clone()
        # Iron darkens liver and spleen together more often than chance would.
        shared = uniform(-1.2, 0.2) * spread if chance(0.25) else None
        low, high = torch.quantile(image.flatten()[::37], torch.tensor([0.05, 0.98]))
        for organ in labels.unique().tolist():
            if organ <= 0 or not chance(self.organ_probability):
                continue
            inside = labels == organ
            old = image[inside].mean()
            new = uniform(float(low), float(high)) if chance(0.4) else old + uniform(-0.7, 0.7) * spread
            if shared is not None and organ in (1, 4):
                new = old + shared
            organ_image = new + (image - old) * uniform(0.4, 1.5)
            redrawn = torch.lerp(redrawn, organ_image, blurred(inside))
        data_dict["image"] = rescaled(redrawn, image)[None]
        return data_dict


@dataclass
class Fluid(BasicTransform):
    """Puts a bright pool outside the organs: ascites around them, a large cyst, a full stomach or bladder.

    Under nnU-Net's normalisation a litre of fluid also presses the contrast of everything else together.
    """

    probability: float = 0.15

    def apply(self, data_dict: dict, **params: object) -> dict:
        if not chance(self.probability):
            return data_dict
        image, labels = data_dict["image"][0], data_dict["segmentation"][0]
        low, top = torch.quantile(image.flatten()[::37], torch.tensor([0.5, 0.99]))
        noise = F.interpolate(torch.randn(1, 1, 4, 5, 6), size=image.shape, mode="trilinear")
        shape, body = (F.avg_pool2d(field, 13, stride=1, padding=6) for field in (noise[0, 0, :, None], image[:, None]))
        pool = blurred((shape[:, 0] > uniform(0.0, 0.8)) & (labels == 0) & (body[:, 0] > low))
        bright = top + uniform(-0.2, 1.0) * (top - low) + 0.1 * (image - low)
        data_dict["image"] = rescaled(torch.lerp(image, bright, pool), image)[None]
        return data_dict


def _cut_field_of_view(image: Tensor, labels: Tensor) -> Tensor:
    """A stack that starts or ends within the liver, or its right side outside: up to 60 % of its extent is cut off.

    Labels (z, y, x) are cut in place; what remains is normalised anew, as nnU-Net would.
    """
    axis = 0 if chance(0.75) else 2
    at_start = axis == 2 or chance(0.5)
    liver = (labels == 1).movedim(axis, 0).flatten(1).any(1).nonzero()
    if not len(liver):
        return image
    first, last = int(liver[0]), int(liver[-1])
    cut = round(uniform(0.0, 0.6) * (last - first + 1))
    kept = slice(first + cut, None) if at_start else slice(0, last + 1 - cut)
    place = (kept,) if axis == 0 else (slice(None), slice(None), kept)
    part = image[place].clone()
    image = torch.full_like(image, PADDING)
    image[place] = (part - part.mean()) / (part.std() + 1e-6)
    remaining = labels[place].clone()
    labels.fill_(0)
    labels[place] = remaining
    return image


@dataclass
class Acquisition(BasicTransform):
    """What a scanner changes: coil shading, thick slices, a liver cut by the field of view, inverted contrast.

    In-plane resolution, noise and gamma are nnU-Net's own transforms.
    """

    def apply(self, data_dict: dict, **params: object) -> dict:
        image, labels = data_dict["image"][0], data_dict["segmentation"]
        if chance(0.3):  # coil shading: a smooth factor on the intensity above the darkest tissue
            field = torch.randn(1, 1, 3, 4, 4) * uniform(0.1, 0.35)
            field = F.interpolate(field, size=image.shape, mode="trilinear", align_corners=True)[0, 0]
            floor = image.min()
            image = floor + (image - floor) * field.exp()
        if chance(0.15):  # thick slices: each is mixed with its neighbours
            mixed = F.avg_pool1d(image.flatten(1).T[:, None], 3, 1, 1, count_include_pad=False)[:, 0].T
            image = torch.lerp(image, mixed.reshape(image.shape), uniform(0.0, 0.8))
        if chance(0.05):
            image = -image
        if chance(0.25):
            image = _cut_field_of_view(image, labels[0])
        data_dict["image"] = image[None]
        return data_dict


@dataclass
class Corruption(BasicTransform):
    """One of the corruptions that robustness is measured under, at a random severity.

    That they help on anatomies held out says nothing about kinds of fault that are not among them.
    """

    spacing_mm: tuple[float, float, float]
    """(z, y, x) of the sample."""
    probability: float = 0.5

    def apply(self, data_dict: dict, **params: object) -> dict:
        if not chance(self.probability):
            return data_dict
        image, labels = data_dict["image"][0], data_dict["segmentation"][0].numpy()
        scanned = image != PADDING
        if not scanned.any():
            return data_dict
        rng = np.random.default_rng(int(torch.randint(2**31, ())))
        name, severity = str(rng.choice(list(ON_VOXELS))), float(rng.uniform())
        lowest = image.min()
        voxels = (image - lowest).numpy()  # as scanners give them: no signal is 0
        corrupted = torch.from_numpy(corrupt_voxels(voxels, labels, np.array(self.spacing_mm), name, severity, rng))
        new = image.clone()
        new[scanned] = rescaled(corrupted[scanned], image[scanned])
        data_dict["image"] = new[None]
        return data_dict
