"""Analyses put together by hand: small, seeded, with every field filled. No model and no file is touched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from models.registry import ModelInfo
from pipeline.case import (
    LIVER,
    SPLEEN,
    Analysis,
    CaseWarning,
    Fibrosis,
    HeatMap,
    OrganMask,
    SliceWeight,
    Source,
    Volume,
    view,
)
from tests.abdomen import as_image, make_abdomen

NOTE = "Trained on simulated fibrosis: the probability means nothing for a patient."


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
    image, organs = make_abdomen(size_xyz, seed=seed)
    labels = view(organs)
    liver = labels == LIVER
    heat = np.zeros(labels.shape, np.float32)
    zs, ys, xs = np.nonzero(liver)
    distance = ((zs - zs.mean() - 1) / 2) ** 2 + ((ys - ys.mean()) / 5) ** 2 + ((xs - xs.mean()) / 5) ** 2
    heat[zs, ys, xs] = 0.9 * np.exp(-distance)
    per_slice = liver.sum(axis=(1, 2)) / liver.sum()
    voxel_ml = np.prod(image.GetSpacing()) / 1000
    analysis = Analysis(
        volume=Volume(
            image=image,
            source=Source(kind=kind, case_id="0f3a9c27b1d44e68", native_orientation=native_orientation, weighting="T2"),
        ),
        organs=OrganMask(
            labels=organs,
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
