"""A stand-in for the models: an ellipsoid liver and a heat map put into any volume, step by step. For tests only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from models.registry import ModelInfo
from pipeline.case import (
    LIVER,
    LIVER_MAY_BE_MISSING,
    SPLEEN,
    Analysis,
    CaseWarning,
    Fibrosis,
    HeatMap,
    MaskDoubt,
    OrganMask,
    SliceWeight,
    Step,
    Study,
    Volume,
    view,
)
from pipeline.errors import Cancelled, SegmentationError
from pipeline.exports.planes import largest_area_xyz
from pipeline.intake import read_series
from pipeline.page.server.engine import Analyse, BoundModels, Choice
from tests.abdomen import organ_labels

NOTE = "Trained on simulated fibrosis: the probability means nothing for a patient."


def fake_organs(volume: Volume) -> OrganMask:
    """The organs of the fake abdomen, on the volume's grid."""
    labels = organ_labels(volume.image.GetSize())
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(volume.image)
    ml = float(np.prod(volume.spacing_mm_xyz)) / 1000
    liver_ml, spleen_ml = (float((labels == organ).sum()) * ml for organ in (LIVER, SPLEEN))
    return OrganMask(image, liver_ml, spleen_ml, 2, 0.99, False, 0.957)


def faulty_organs(organs: OrganMask) -> OrganMask:
    """The same, without the patient's left quarter of the liver in its upper half, and with the doubt about that."""
    labels = view(organs.labels).copy()
    z, _, x = np.nonzero(labels == LIVER)
    missing = labels == LIVER
    missing[: int(np.median(z)) + 1] = False
    missing[:, :, : int(np.percentile(x, 75))] = False
    labels[missing] = 0
    images = [sitk.GetImageFromArray(array) for array in (labels, missing.astype(np.uint8) * LIVER_MAY_BE_MISSING)]
    for image in images:
        image.CopyInformation(organs.labels)
    ml = float(np.prod(organs.labels.GetSpacing())) / 1000
    held = np.flatnonzero(missing.any(axis=(1, 2)))
    x, y, z = largest_area_xyz(missing)
    doubt = MaskDoubt("missing", int(held[0]), int(held[-1]), "left", float(missing.sum()) * ml, (x, y, z))
    return replace(
        organs,
        labels=images[0],
        liver_ml=organs.liver_ml - doubt.volume_ml,
        predicted_dice=0.78,
        predicted_hd95_mm=38.0,
        score=3,
        doubts=(doubt,),
        doubt_map=images[1],
    )


def fake_heat(organs: OrganMask) -> HeatMap:
    """A warm spot in the middle of the liver, warm enough to be seen one slice beyond the largest section."""
    liver = organs.liver
    centre = np.argwhere(liver).mean(axis=0)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in liver.shape), indexing="ij"), axis=-1)
    reach = np.array(liver.shape) / (5, 8, 8)
    heat = (0.9 * np.exp(-(((grid - centre) / reach) ** 2).sum(axis=-1)) * liver).astype(np.float32)
    image = sitk.GetImageFromArray(heat)
    image.CopyInformation(organs.labels)
    return HeatMap(image, 0.12)


def load_fake(
    *,
    probability: float = 0.62,
    steps: int = 4,
    hold: Path | None = None,
    fault: Path | None = None,
    miss: Path | None = None,
) -> Callable[[Choice], Analyse]:
    """For ``build_page(load=...)``.

    While the file ``hold`` exists no analysis gets beyond its first step; while ``fault`` exists it ends there; while
    ``miss`` exists the mask lacks a part of the liver.
    """

    def steps_of(study: Study, key: str, cancelled: Callable[[], bool]) -> Iterator[Step]:
        volume = read_series(study, key)
        for number in range(steps):
            if cancelled():
                raise Cancelled("Stopped.")
            yield Step(f"Segmenting the liver: tile {number + 1} of {steps}", number / steps)
            while hold and hold.exists() and not cancelled():
                time.sleep(0.05)
            if fault and fault.exists():
                raise MemoryError("out of memory")
        if volume.voxels.max() <= 0:
            raise SegmentationError("No liver was found: upload a T2-weighted series that shows the whole liver.")
        organs = fake_organs(volume)
        if miss and miss.exists():
            organs = faulty_organs(organs)
        yield Step("Done", 1.0, fake_analysis(volume, organs, probability))

    def again(volume: Volume, organs: OrganMask, liver: np.ndarray, cancelled: Callable[[], bool]) -> Iterator[Step]:
        from pipeline.reclassify import corrected  # loads torch, which few of these tests need

        for number in range(steps):
            if cancelled():
                raise Cancelled("Stopped.")
            yield Step(f"Estimating fibrosis, model {number + 1} of {steps}", number / steps)
            while hold and hold.exists() and not cancelled():
                time.sleep(0.05)
        edited = corrected(organs, liver)
        # One percentage point for each percent of volume, so that a test can tell which mask was classified.
        changed = probability + edited.liver_ml / organs.liver_ml - 1
        yield Step("Done", 1.0, replace(fake_analysis(volume, edited, changed), mask_edited=True))

    return lambda choice: BoundModels(steps_of, again)


def fake_analysis(volume: Volume, organs: OrganMask, probability: float) -> Analysis:
    """What the stand-in says of a volume with these organs."""
    weights = organs.liver.sum(axis=(1, 2)) / organs.liver.sum()
    slices = tuple(SliceWeight(int(z), float(weights[z])) for z in np.flatnonzero(weights))
    probability = min(max(probability, 0.0), 1.0)
    fibrosis = Fibrosis(
        "LSM > 12 kPa", probability, (max(probability - 0.11, 0), min(probability + 0.08, 1)), 0.48, slices
    )
    segmenter = ModelInfo("liver_t2", "5b1e" * 16, "CHAOS T2-SPIR, 15 healthy subjects")
    classifier = ModelInfo("fibrosis_t2", "c07d" * 16, "simulated fibrosis", NOTE)
    warnings = (CaseWarning("thick_slices", "The slices are far apart; the models have seen 5 to 9 mm."),)
    timings = {"read": 0.1, "segment": 9.8, "classify": 1.2, "explain": 1.1, "total": 12.2}
    return Analysis(volume, organs, fibrosis, fake_heat(organs), segmenter, classifier, warnings, timings)
