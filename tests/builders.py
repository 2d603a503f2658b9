"""Analyses put together by hand: small, seeded, with every field filled. No model and no file is touched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import SimpleITK as sitk

from models.registry import ModelInfo
from pipeline.case import (
    LEFT_KIDNEY,
    LIVER,
    RIGHT_KIDNEY,
    SPLEEN,
    Analysis,
    CaseWarning,
    Fibrosis,
    HeatMap,
    OrganMask,
    SliceWeight,
    Source,
    Volume,
)

NOTE = "Trained on simulated fibrosis: the probability means nothing for a patient."


def make_labels(size_xyz: tuple[int, int, int] = (40, 32, 10)) -> np.ndarray:
    """(z, y, x) uint8: a liver in the patient's right (low x) half that is largest in the middle slice, spleen and
    kidneys where they belong. Values as in ``pipeline.case``."""
    nx, ny, nz = size_xyz
    z, y, x = np.meshgrid(*(np.linspace(0, 1, n) for n in (nz, ny, nx)), indexing="ij")

    def ball(centre_zyx: tuple[float, float, float], radius_zyx: tuple[float, float, float]) -> np.ndarray:
        (cz, cy, cx), (rz, ry, rx) = centre_zyx, radius_zyx
        return ((z - cz) / rz) ** 2 + ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1

    labels = np.zeros((nz, ny, nx), np.uint8)
    labels[ball((0.3, 0.70, 0.33), (0.25, 0.10, 0.08))] = RIGHT_KIDNEY
    labels[ball((0.3, 0.70, 0.67), (0.25, 0.10, 0.08))] = LEFT_KIDNEY
    labels[ball((0.6, 0.60, 0.82), (0.25, 0.14, 0.08))] = SPLEEN
    labels[ball((0.6, 0.42, 0.30), (0.38, 0.26, 0.20))] = LIVER
    return labels


def as_image(array: np.ndarray, spacing_mm_xyz: tuple[float, float, float] = (8.0, 8.0, 20.0)) -> sitk.Image:
    """An LPS image of a (z, y, x) array, with an origin that is not zero."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing_mm_xyz)
    image.SetOrigin((-160.0, -120.0, 35.0))
    return image


def make_analysis(
    *,
    size_xyz: tuple[int, int, int] = (40, 32, 10),
    native_orientation: str = "LPS",
    kind: str = "nifti",
    probability: float = 0.62,
    seed: int = 0,
    **changes: Any,
) -> Analysis:
    """An analysis with an abdomen-like volume, organs, a heat map in the upper liver, one warning and two models.

    ``changes`` replace fields of the ``Analysis`` itself.
    """
    rng = np.random.default_rng(seed)
    labels = make_labels(size_xyz)
    ny, nx = labels.shape[1:]
    y, x = np.meshgrid(np.linspace(-1, 1, ny), np.linspace(-1, 1, nx), indexing="ij")
    body = (y / 0.85) ** 2 + (x / 0.95) ** 2 < 1
    brightness = np.array([160, 220, 380, 380, 320], np.float32)[labels] * body[None]
    voxels = (brightness + rng.normal(0, 12, labels.shape)).clip(0).astype(np.float32)
    liver = labels == LIVER
    heat = np.zeros(labels.shape, np.float32)
    zs, ys, xs = np.nonzero(liver)
    distance = ((zs - zs.mean() - 1) / 2) ** 2 + ((ys - ys.mean()) / 5) ** 2 + ((xs - xs.mean()) / 5) ** 2
    heat[zs, ys, xs] = 0.9 * np.exp(-distance)
    per_slice = liver.sum(axis=(1, 2)) / liver.sum()
    voxel_ml = 8.0 * 8.0 * 20.0 / 1000
    analysis = Analysis(
        volume=Volume(
            image=as_image(voxels),
            source=Source(kind=kind, case_id="0f3a9c27b1d44e68", native_orientation=native_orientation, weighting="T2"),
        ),
        organs=OrganMask(
            labels=as_image(labels),
            liver_ml=float(liver.sum() * voxel_ml),
            spleen_ml=float((labels == SPLEEN).sum() * voxel_ml),
            components=2,
            largest_component_share=0.996,
            touches_edge=False,
            ensemble_dice=0.958,
        ),
        fibrosis=Fibrosis(
            positive_class="LSM > 12 kPa",
            probability=probability,
            ensemble_range=(max(probability - 0.11, 0.0), min(probability + 0.08, 1.0)),
            threshold=0.48,
            slices=tuple(SliceWeight(z=int(z), weight=float(per_slice[z])) for z in np.flatnonzero(per_slice)),
        ),
        heatmap=HeatMap(image=as_image(heat), heat_outside_liver=0.14),
        segmenter=ModelInfo("liver_t2", "5b1e" * 16, "CHAOS T2-SPIR, 15 healthy subjects"),
        classifier=ModelInfo("fibrosis_t2", "c07d" * 16, "simulated fibrosis", NOTE),
        warnings=(CaseWarning("thick_slices", "The slices are 20 mm apart; the models have seen 5 to 9 mm."),),
        timings_s={"read": 0.4, "segment": 11.2, "classify": 1.9, "explain": 2.3},
    )
    return replace(analysis, **changes)
