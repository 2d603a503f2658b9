"""Liver segmentation: preprocess, predict with each member, average, clean."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from pipeline.case import LIVER, SPLEEN, OrganMask, Step, Volume, run_to_end, view
from pipeline.errors import SegmentationError
from pipeline.segmentation.body import body_box, touches_side
from pipeline.segmentation.coarse_grid import CoarseGrid
from pipeline.segmentation.error_regions import LARGE_SHARE, WORDS_LARGE, dice_with, locate_doubts
from pipeline.segmentation.hard_labels import hard_labels
from pipeline.segmentation.quality import clean
from pipeline.segmentation.quality_features import Observation
from pipeline.segmentation.resampling import labels_on_input_grid, preprocess
from pipeline.segmentation.segmenter import Segmenter
from pipeline.segmentation.tiles import TilePredictor
from pipeline.statistics.overlap import mean_pairwise_dice

SMALLEST_EXTENT_MM = 40.0
"""Shortest side of a volume that can hold a liver."""
CERTAIN = 20.0
"""Logit of the background outside the body."""


def segment_steps(volume: Volume, segmenter: Segmenter) -> Generator[Step, None, OrganMask]:
    """Predict with each member in turn and average their logits, as nnU-Net does: a step per member or per tile.

    The generator's return value is the mask, with its predicted quality where the segmenter has a ``quality.json``.
    Closing the generator stops it before the next member or tile.

    Raises:
        SegmentationError: no liver, or too little of it.
    """
    if segmenter.quality is None:
        organs, _, _ = yield from _ensemble_steps(volume, segmenter, lambda data, logits: None)
        return organs
    organs, observed, grid = yield from _ensemble_steps(volume, segmenter, segmenter.observe)
    seen = zip(segmenter.model.members, observed, strict=True)
    judged = [segmenter.quality.judge(member, one, grid.spacing_mm_zyx) for member, one in seen]
    estimate = segmenter.quality.estimate([None if one is None else one.signs for one in judged])
    expected = [one.expected for one in judged if one is not None]
    doubts, doubt_map = locate_doubts(organs.labels, expected, grid)
    large = [doubt for doubt in doubts if doubt.volume_ml >= LARGE_SHARE * organs.liver_ml]
    score = 3 if large else estimate.score
    if score == 1:
        doubts, doubt_map = locate_doubts(organs.labels, [], grid)
    return replace(
        organs,
        doubts=doubts,
        doubt_map=doubt_map,
        predicted_dice=min([estimate.predicted_dice, *(dice_with(doubt, organs.liver_ml) for doubt in large)]),
        predicted_hd95_mm=estimate.predicted_hd95_mm,
        score=score,
        reasons=(*dict.fromkeys(WORDS_LARGE[doubt.kind] for doubt in large), *estimate.reasons),
    )


def segment_observed(volume: Volume, segmenter: Segmenter) -> tuple[OrganMask, list[Observation | None], CoarseGrid]:
    """The mask, and what the quality of each member's mask is judged by, to fit a predictor on.

    Raises as ``segment_steps``.
    """
    return run_to_end(_ensemble_steps(volume, segmenter, segmenter.observe))


def _ensemble_steps(
    volume: Volume, segmenter: Segmenter, observe: Callable[[Tensor, Tensor], Observation | None]
) -> Generator[Step, None, tuple[OrganMask, list[Observation | None], CoarseGrid]]:
    """The ensemble's mask, the value of ``observe`` for each member's input and logits, and the input's coarse grid."""
    predictor, count = segmenter.predictor, len(segmenter.states)
    _check_extent(volume)
    yield Step("Preparing the volume for the segmenter", 0.0)
    image = sitk.DICOMOrient(volume.image, segmenter.orientation)
    data, properties = preprocess(view(image), list(image.GetSpacing()[::-1]), predictor)
    by_tiles = segmenter.exact or not segmenter.fits_one_pass(tuple(data.shape[1:]))
    predict = _tiled_steps if by_tiles else _one_pass_steps
    total: Tensor | None = None
    livers, observed = [], []
    for number, state in enumerate(segmenter.states):
        name = f"Segmenting the liver, network {number + 1} of {count}"
        logits = yield from predict(predictor, state, data, name, number, count)
        livers.append((hard_labels(logits) == segmenter.labels[LIVER]).numpy())
        observed.append(observe(data, logits))
        total = logits if total is None else total + logits
    assert total is not None
    labels = labels_on_input_grid(total / count, predictor, properties)
    organs = sitk.GetImageFromArray(_our_labels(labels, segmenter.labels))
    organs.CopyInformation(image)
    organs = sitk.DICOMOrient(organs, "LPS")
    organs.CopyInformation(volume.image)  # equal but for rounding in the two turns
    agreement = mean_pairwise_dice(livers) if count > 1 else None
    cleaned = clean(organs, ensemble_dice=agreement, knows_spleen=SPLEEN in segmenter.labels)
    return (
        cleaned,
        observed,
        CoarseGrid.of(
            properties,
            fine=tuple(data.shape[1:]),
            fine_spacing_mm_zyx=segmenter.spacing_mm_zyx,
            axes=tuple(predictor.plans_manager.transpose_forward),
            orientation=segmenter.orientation,
        ),
    )


def segment(volume: Volume, segmenter: Segmenter) -> OrganMask:
    """``segment_steps`` run to its end. Raises as it does."""
    return run_to_end(segment_steps(volume, segmenter))


def _one_pass_steps(
    predictor: TilePredictor, state: dict[str, Tensor], data: Tensor, name: str, number: int, count: int
) -> Generator[Step, None, Tensor]:
    """Predict the body's box with one member at once, a step before and after; the rest is background.

    Where an organ reaches a side of the box, which may have cut it, the whole volume is predicted.

    Returns:
        Its logits (label, z, y, x), float32.
    """
    yield Step(name, number / count)
    predictor.use(state)
    box = (slice(None), *body_box(data[0].numpy()))
    inside = predictor.predict_at_once(data[box])
    if inside.shape[1:] != data.shape[1:] and touches_side(inside):
        yield Step(name, (number + 0.5) / count)
        logits = predictor.predict_at_once(data)
        yield Step(name, (number + 1) / count)
        return logits
    logits = torch.full((len(inside), *data.shape[1:]), -CERTAIN)
    logits[0] = CERTAIN
    logits[box] = inside
    yield Step(name, (number + 1) / count)
    return logits


def _tiled_steps(
    predictor: TilePredictor, state: dict[str, Tensor], data: Tensor, name: str, number: int, count: int
) -> Generator[Step, None, Tensor]:
    """Predict with one member, one step per tile; returns its logits (label, z, y, x), float32.

    nnU-Net's loop over tiles runs in a thread, so that each tile is a step here.
    """
    progress: SimpleQueue[float | None] = SimpleQueue()
    predictor.use(state)  # nnU-Net copies into the network's tensors, which may be another member's own
    predictor.list_of_parameters = [state]
    predictor.stopped = False
    predictor.on_tile = progress.put

    def predict() -> Tensor:
        try:
            return predictor.predict_logits_from_preprocessed_data(data).float()
        finally:
            progress.put(None)

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(predict)
        try:
            while (share := progress.get()) is not None:
                yield Step(name, (number + share) / count)
            return future.result()
        finally:
            predictor.stopped = True


def _check_extent(volume: Volume) -> None:
    """Refuse a volume that cannot hold a liver, before nnU-Net would resample or crop it to nothing."""
    extent = min(n * s for n, s in zip(volume.image.GetSize(), volume.spacing_mm_xyz, strict=True))
    if extent < SMALLEST_EXTENT_MM:
        raise SegmentationError(
            f"The series covers only {extent:.0f} mm in one direction, which cannot hold a liver; "
            "choose the whole axial T2 series."
        )
    if not volume.voxels.any():
        raise SegmentationError("The images of this series are empty; choose another series.")


def _our_labels(labels: np.ndarray, mapping: dict[int, int]) -> np.ndarray:
    """Map the model's label values to those of ``pipeline.case``; others become background.

    Args:
        labels: (z, y, x) integers of the model.
        mapping: the model's value by ours.
    """
    table = np.zeros(256, np.uint8)
    for ours, theirs in mapping.items():
        table[theirs] = ours
    return table[labels]
