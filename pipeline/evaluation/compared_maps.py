"""The heat maps of one case that are compared: a classifier's, the same with shuffled weights, and simple references.

Source: Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018, for networks with shuffled weights: a map that
they give as well shows image and architecture, and nothing that was learned.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import SimpleITK as sitk
import torch
from scipy import ndimage

from models.masked_attention import MaskedAttentionNet
from pipeline.case import Volume
from pipeline.classification.explain import HeatTarget, member_heat
from pipeline.classification.predict import Classifier
from pipeline.classification.slices import CaseSlices, InputSpec, to_volume
from pipeline.evaluation.sign_overlap import box_mean

FINE_MM = 8.0
"""Side of the square whose mean is taken off, about the size of nodules."""
VESSEL_FROM = 0.35
"""Difference from the liver's median, as a share of it, from which a voxel counts as vessel or bile duct."""

Reference = Callable[[Volume, np.ndarray, float, np.random.Generator], np.ndarray]
"""Volume, liver (z, y, x), side of a cell in mm and random numbers -> map (z, y, x)."""


def classifier_heat(
    networks: Sequence[MaskedAttentionNet], case: CaseSlices, spec: InputSpec, volume: Volume, target: HeatTarget
) -> np.ndarray:
    """Mean Grad-CAM of the networks on the volume's grid, (z, y, x): the map that is shown, before it is cut."""
    device = next(networks[0].parameters()).device
    x = case.tensor(spec).to(device)
    heat = np.stack([member_heat(net, x, target=target) for net in networks]).mean(axis=0)
    return sitk.GetArrayFromImage(to_volume(heat, case, volume))


def shuffled(classifier: Classifier, random: np.random.Generator) -> list[MaskedAttentionNet]:
    """Copies of the networks, the values within each of their tensors in random order."""
    networks = []
    for net in classifier.networks:
        other = copy.deepcopy(net)
        with torch.no_grad():
            for values in (*other.parameters(), *other.buffers()):
                order = torch.from_numpy(random.permutation(values.numel())).to(values.device)
                values.copy_(values.flatten()[order].reshape(values.shape))
        networks.append(other)
    return networks


def references(
    volume: Volume, liver: np.ndarray, cell_mm: float, random: np.random.Generator
) -> Iterator[tuple[str, np.ndarray]]:
    """Maps that need no network, by name."""
    for name, draw in REFERENCES.items():
        yield name, draw(volume, liver, cell_mm, random)


def towards_the_centre(volume: Volume, liver: np.ndarray, cell_mm: float, random: np.random.Generator) -> np.ndarray:
    """Distance to the liver's centre of mass, mm, negative: the centre is hottest."""
    spacing = volume.spacing_mm_xyz[::-1]
    offsets = [
        mm * (np.arange(n) - middle)
        for mm, n, middle in zip(spacing, liver.shape, ndimage.center_of_mass(liver), strict=True)
    ]
    z, y, x = np.meshgrid(*offsets, indexing="ij", sparse=True)
    return -np.sqrt(z**2 + y**2 + x**2)


def liver_share(volume: Volume, liver: np.ndarray, cell_mm: float, random: np.random.Generator) -> np.ndarray:
    """Share of a cell that is liver: 1 in the middle, less at the edges."""
    return box_mean(liver.astype(np.float32), cell_sides(volume, cell_mm))


def brightness_variation(volume: Volume, liver: np.ndarray, cell_mm: float, random: np.random.Generator) -> np.ndarray:
    """Where the parenchyma is uneven: difference of the signal from its mean over ``FINE_MM``, vessels left out.

    A positive control: it knows nothing but that signs are fine changes of signal.
    """
    sides, inside = cell_sides(volume, FINE_MM), liver.astype(np.float32)
    signal = volume.voxels / max(float(np.median(volume.voxels[liver])), 1e-6)
    near_median = np.abs(signal - 1) < VESSEL_FROM
    signal = np.clip(signal, 1 - VESSEL_FROM, 1 + VESSEL_FROM)
    mean = box_mean(signal * inside, sides) / np.maximum(box_mean(inside, sides), 1e-6)
    return np.abs(signal - mean) * (liver & near_median)


def random_cells(volume: Volume, liver: np.ndarray, cell_mm: float, random: np.random.Generator) -> np.ndarray:
    """Noise, smooth over the side of a cell in plane."""
    return box_mean(random.normal(size=liver.shape).astype(np.float32), cell_sides(volume, cell_mm))


REFERENCES: dict[str, Reference] = {
    "near the liver's centre": towards_the_centre,
    "share of liver": liver_share,
    "fine variation of brightness": brightness_variation,
    "random": random_cells,
}


def cell_sides(volume: Volume, cell_mm: float) -> list[int]:
    """Side of a cell along y and x, voxels."""
    return [max(1, round(cell_mm / mm)) for mm in volume.spacing_mm_xyz[1::-1]]
