"""Classify again inside a liver mask that a reader has corrected: the classifier runs, the segmenter does not."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import SimpleITK as sitk

from pipeline.analysis import Found, assemble, found_steps
from pipeline.case import LIVER, SPLEEN, Analysis, OrganMask, Step, Volume, view
from pipeline.errors import InputError, SegmentationError
from pipeline.networks import Models, run_somewhere
from pipeline.segmentation.quality import SMALLEST_LIVER_ML, largest_component, touches_edge
from pipeline.stages import device_turn


def reclassify_steps(
    volume: Volume,
    organs: OrganMask,
    liver: np.ndarray,
    models: Models,
    cancelled: Callable[[], bool] = lambda: False,
    *,
    any_input: bool = False,
) -> Iterator[Step]:
    """Estimate and explain fibrosis inside a corrected liver mask, one named step at a time; the last carries the
    analysis, whose ``mask_edited`` is true.

    Whether the series is an axial T2 of an abdomen with a liver in it is judged again, with the corrected mask. Waits
    while another analysis occupies the device.

    Args:
        organs: of an analysis of the volume; its other organs are kept where they are not liver now.
        liver: (z, y, x) bool on the volume's grid. Taken as it is: no part is dropped, no hole filled.
        cancelled, any_input: as in ``analyze_steps``.

    Raises:
        InputError: the mask does not lie on the volume's grid.
        SegmentationError: it holds less than 200 mL.
        Cancelled: ``cancelled()`` was true.
    """
    edited = corrected(organs, liver)
    yield Step("Waiting for the device", 0.0)
    with device_turn(str(models.segmenter.device), cancelled):
        run = partial(_classify_steps, volume, edited, organs.score, cancelled, any_input)
        found, warnings = yield from run_somewhere(models, run)
    yield Step("Done", 1.0, assemble(volume, replace(found, warnings=warnings), {}))


def reclassify(
    volume: Volume, organs: OrganMask, liver: np.ndarray, models: Models, *, any_input: bool = False
) -> Analysis:
    """``reclassify_steps`` run to its end."""
    *_, last = reclassify_steps(volume, organs, liver, models, any_input=any_input)
    assert last.analysis is not None
    return last.analysis


def corrected(organs: OrganMask, liver: np.ndarray) -> OrganMask:
    """Organs with another liver mask, measured anew; without what was predicted of the former one.

    Raises as ``reclassify_steps``.
    """
    labels = view(organs.labels)
    if liver.shape != labels.shape:
        raise InputError("The corrected outline does not fit these images: open the case again and correct it anew.")
    changed = labels.copy()
    changed[labels == LIVER] = 0
    changed[liver.astype(bool)] = LIVER
    voxel_ml = float(np.prod(organs.labels.GetSpacing())) / 1000
    liver_ml = float((changed == LIVER).sum()) * voxel_ml
    if liver_ml < SMALLEST_LIVER_ML:
        raise SegmentationError(
            f"Only {liver_ml:.0f} mL of liver are outlined: outline at least {SMALLEST_LIVER_ML:.0f} mL of it."
        )
    image = sitk.GetImageFromArray(changed)
    image.CopyInformation(organs.labels)
    return OrganMask(
        labels=image,
        liver_ml=liver_ml,
        spleen_ml=None if organs.spleen_ml is None else float((changed == SPLEEN).sum()) * voxel_ml,
        components=largest_component(changed == LIVER)[1].size,
        largest_component_share=1.0,  # of the parts that a reader drew none is dropped
        touches_edge=touches_edge(changed == LIVER),
    )


def _classify_steps(
    volume: Volume,
    organs: OrganMask,
    score: int | None,
    cancelled: Callable[[], bool],
    any_input: bool,
    models: Models,
) -> Generator[Step, None, Found]:
    """What the classifier finds. ``score``: predicted for the uncorrected mask."""
    # Of the uncorrected mask: its predicted score tells noise from a poor scan.
    judged, timings = replace(organs, score=score), dict[str, float]()
    steps = found_steps(volume, organs, models, cancelled, timings, any_input=any_input, judged=judged, start=0.0)
    return replace((yield from steps), mask_edited=True)
