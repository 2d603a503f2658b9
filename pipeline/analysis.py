"""One seam for every caller: a series of a study in, named steps and an ``Analysis`` out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from models.registry import ModelInfo
from pipeline.case import (
    NOT_MR_CODES,
    Analysis,
    CaseWarning,
    Fibrosis,
    HeatMap,
    OrganMask,
    Step,
    Study,
    Volume,
)
from pipeline.classification import Classifier, Encoded, classify_steps, explain_steps
from pipeline.intake import check_contrast, read_series
from pipeline.networks import Models, load_models, run_somewhere
from pipeline.segmentation import segment_steps
from pipeline.stages import device_turn, part_steps, timed
from pipeline.suitability import PREFIX, not_classified

__all__ = ["Found", "Models", "analyze", "analyze_by", "analyze_steps", "find_steps", "load_models"]

SEGMENT_UNTIL, CLASSIFY_SHARE = 0.85, 0.67
"""Share of the progress bar, 0-1, at the end of the segmentation, and the classifier's share of the rest; from measured
timings."""

DISTRUST_CODES = NOT_MR_CODES | {"not_t2", "contrast", "mostly_empty", "not_suitable_image", "not_suitable_plane"}
"""Codes of warnings that the images are unlike the segmenter's training data, so that its predicted quality
does not hold. ``not_t2_contrast`` is not among them: it is measured inside the mask and presumes a good one."""


@dataclass(frozen=True)
class Found:
    """What the models found in a volume. Can be pickled, so that another process may find it."""

    organs: OrganMask
    fibrosis: Fibrosis | None
    """None for what is no axial T2 of an abdomen with a liver in it."""
    heatmap: HeatMap | None
    segmenter: ModelInfo
    classifier: ModelInfo
    timings_s: Mapping[str, float]
    """Seconds of each part."""
    unsuitable: tuple[CaseWarning, ...]
    """Why there is no probability, or for research should be none."""
    contrast: tuple[CaseWarning, ...]
    """About the contrast inside the mask."""
    warnings: tuple[CaseWarning, ...] = ()
    """About how it was computed, such as without the GPU."""
    mask_edited: bool = False
    """Whether a reader has corrected the liver mask: predictions of its quality then say nothing."""


Find = Callable[[Volume, Callable[[], bool]], Generator[Step, None, Found]]
"""``find_steps`` with its models bound: (volume, cancelled) -> steps."""


def analyze_steps(
    study: Study,
    key: str,
    models: Models,
    cancelled: Callable[[], bool] = lambda: False,
    *,
    any_input: bool = False,
) -> Iterator[Step]:
    """Read a series, segment the liver, estimate fibrosis inside it and explain the estimate, one named step at a time.

    What is no axial T2 of an abdomen with a liver in it is segmented, but neither classified nor explained.

    The last step carries the analysis. Waits while another analysis occupies the device; ``timings_s`` leaves that
    wait out. Closing the iterator, or a true ``cancelled()``, ends the run at the next step.

    Args:
        study, key: as ``open_upload`` returns it, and the key of one of its series.
        any_input: classify other input as well, for research; the probability is then unreliable.

    Raises:
        SeriesError, InputError: as ``read_series``.
        SegmentationError: no usable liver.
        Cancelled: ``cancelled()`` was true.
    """
    return analyze_by(study, key, partial(find_steps, models=models, any_input=any_input), cancelled)


def analyze_by(study: Study, key: str, find: Find, cancelled: Callable[[], bool]) -> Iterator[Step]:
    """``analyze_steps`` with the networks run by ``find``, wherever that is. Raises as it does."""
    timings: dict[str, float] = {}
    yield Step("Reading the series", 0.0)
    with timed(timings, "read"):
        volume = read_series(study, key)
    found = yield from find(volume, cancelled)
    yield Step("Done", 1.0, assemble(volume, found, timings))


def assemble(volume: Volume, found: Found, timings: Mapping[str, float]) -> Analysis:
    """The analysis of what was found in a volume, with all warnings. ``timings``: seconds spent before."""
    organs, timings = found.organs, {**timings, **found.timings_s}
    distrust = () if found.mask_edited else distrust_reasons(volume.warnings) or distrust_reasons(found.unsuitable)
    if distrust:
        organs = _unjudged(organs, distrust)
    return Analysis(
        volume=volume,
        organs=organs,
        fibrosis=found.fibrosis,
        heatmap=found.heatmap,
        segmenter=found.segmenter,
        classifier=found.classifier,
        warnings=(
            *found.unsuitable,
            *volume.warnings,
            *found.contrast,
            *mask_warnings(organs, distrust),
            *probability_warnings(found.fibrosis),
            *found.warnings,
        ),
        timings_s={**timings, "total": sum(timings.values())},
        mask_edited=found.mask_edited,
    )


def find_steps(
    volume: Volume, cancelled: Callable[[], bool], models: Models, *, any_input: bool = False
) -> Generator[Step, None, Found]:
    """Run the networks on a volume, on the models' device or where ``run_somewhere`` goes from there.

    Raises as ``analyze_steps``, and:
        GpuError: as ``run_somewhere``.
    """
    yield Step("Waiting for the device", 0.0)
    with device_turn(str(models.segmenter.device), cancelled):
        run = partial(_networks_steps, volume, cancelled, any_input)
        found, warnings = yield from run_somewhere(models, run)
    return replace(found, warnings=warnings)


def _networks_steps(
    volume: Volume, cancelled: Callable[[], bool], any_input: bool, models: Models
) -> Generator[Step, None, Found]:
    timings: dict[str, float] = {}
    with timed(timings, "segment"):
        organs = yield from part_steps(segment_steps(volume, models.segmenter), 0.0, SEGMENT_UNTIL, cancelled)
    return (yield from found_steps(volume, organs, models, cancelled, timings, any_input=any_input))


def found_steps(
    volume: Volume,
    organs: OrganMask,
    models: Models,
    cancelled: Callable[[], bool],
    timings: dict[str, float],
    *,
    any_input: bool,
    judged: OrganMask | None = None,
    start: float = SEGMENT_UNTIL,
) -> Generator[Step, None, Found]:
    """Classify inside the organs' liver, unless this is no axial T2 of an abdomen with a liver in it.

    Args:
        timings: seconds of the parts so far; those of this one are added.
        judged: the organs by which that is judged; None: ``organs``.
        start: share of the progress bar at which this begins.
    """
    contrast = check_contrast(volume, organs)
    unsuitable = not_classified(volume, judged or organs, volume.warnings + contrast)
    fibrosis, heatmap = None, None
    if any_input or not unsuitable:
        fibrosis, heatmap = yield from _classified_steps(volume, organs, models.classifier, cancelled, timings, start)
    return Found(
        organs=organs,
        fibrosis=fibrosis,
        heatmap=heatmap,
        segmenter=models.segmenter.model.model_info(),
        classifier=models.classifier.info,
        timings_s=timings,
        unsuitable=unsuitable,
        contrast=contrast,
    )


def analyze(study: Study, key: str, models: Models, *, any_input: bool = False) -> Analysis:
    """``analyze_steps`` run to its end."""
    *_, last = analyze_steps(study, key, models, any_input=any_input)
    assert last.analysis is not None
    return last.analysis


def _classified_steps(
    volume: Volume,
    organs: OrganMask,
    classifier: Classifier,
    cancelled: Callable[[], bool],
    timings: dict[str, float],
    start: float,
) -> Generator[Step, None, tuple[Fibrosis, HeatMap | None]]:
    """Classify and explain, with their steps; the seconds of both are added to ``timings``.

    Args:
        start: share of the progress bar at which this begins; it takes the rest.
    """
    encoded, until = Encoded(), start + CLASSIFY_SHARE * (1.0 - start)
    with timed(timings, "classify"):
        steps = classify_steps(volume, organs, classifier, encoded)
        fibrosis = yield from part_steps(steps, start, until, cancelled)
    with timed(timings, "explain"):
        heat = explain_steps(volume, organs, classifier, encoded)
        heatmap = yield from part_steps(heat, until, 1.0, cancelled)
    return fibrosis, heatmap


def _unjudged(organs: OrganMask, reasons: tuple[str, ...]) -> OrganMask:
    """A mask without what is predicted of it, which holds for images like the training data only."""
    return replace(
        organs,
        predicted_dice=None,
        predicted_hd95_mm=None,
        score=3,
        reasons=reasons,
        doubts=(),
        doubt_map=None,
    )


def distrust_reasons(warnings: Sequence[CaseWarning]) -> tuple[str, ...]:
    """Reasons, as phrases, to distrust any mask of a series with these warnings; mostly none."""
    messages = (warning.message.removeprefix(PREFIX) for warning in warnings if warning.code in DISTRUST_CODES)
    return tuple(message[0].lower() + message[1:].rstrip(".") for message in messages)


def mask_warnings(organs: OrganMask, distrust: Sequence[str] = ()) -> tuple[CaseWarning, ...]:
    """Warnings about a liver mask, for the reader and for everything computed inside it.

    Args:
        distrust: as ``distrust_reasons`` returns it; replaces the predicted figures, which do not hold then.
    """
    found = []
    if organs.score == 3:
        why = "; ".join(distrust) if distrust else _predicted_figures(organs)
        found.append(CaseWarning("poor_segmentation", f"The liver outline is probably poor: {why}."))
    if organs.ensemble_dice is not None and organs.ensemble_dice < 0.9:
        found.append(
            CaseWarning(
                "low_agreement",
                f"The segmentation networks agree poorly (mean Dice {organs.ensemble_dice:.2f}); "
                "check the liver outline.",
            )
        )
    if organs.largest_component_share < 0.9:
        dropped = 100 * (1 - organs.largest_component_share)
        found.append(
            CaseWarning(
                "dropped_components",
                f"{dropped:.0f} % of what was taken for liver lay apart and was dropped; check the liver outline.",
            )
        )
    if organs.touches_edge:
        found.append(
            CaseWarning("liver_at_edge", "The liver reaches the edge of the images; a part of it may lie outside.")
        )
    return tuple(found)


def _predicted_figures(organs: OrganMask) -> str:
    """``predicted Dice 0.61, HD95 34 mm (the outline is blurred)``."""
    distance = "" if organs.predicted_hd95_mm is None else f", HD95 {organs.predicted_hd95_mm:.0f} mm"
    reasons = f" ({'; '.join(organs.reasons)})" if organs.reasons else ""
    return f"predicted Dice {organs.predicted_dice:.2f}{distance}{reasons}"


def probability_warnings(fibrosis: Fibrosis | None) -> tuple[CaseWarning, ...]:
    """A warning where the probability depends strongly on the liver outline."""
    if fibrosis is None or not fibrosis.mask_sensitive or fibrosis.mask_sensitivity is None:
        return ()
    low, high = fibrosis.mask_sensitivity
    across = ", across the operating point," if low < fibrosis.threshold <= high else ""
    message = (
        f"The probability runs from {low:.2f} to {high:.2f}{across} when the liver outline is "
        "drawn a little tighter or wider; check the liver outline."
    )
    return (CaseWarning("mask_sensitive", message),)
