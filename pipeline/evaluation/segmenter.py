"""Evaluate a segmenter: each case is predicted by members that have not seen it; the table goes into the card."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from models import registry
from models.device import choose_device
from models.folds import SEEN_BY_ALL, held_out_by
from models.measured import EVALUATION, write_measured
from pipeline.case import ORGANS
from pipeline.cohort.images import read_labelled
from pipeline.cohort.labelled_cases import anatomies_of, find_cases
from pipeline.cohort.out_of_fold import out_of_fold_members
from pipeline.errors import ManifestError, SegmentationError
from pipeline.segmentation import Segmenter, segment
from pipeline.statistics.overlap import compare
from pipeline.training.segmenter import card as segmenter_card

log = logging.getLogger(__name__)


def evaluate_segmenter(
    data: Path,
    model: Path,
    *,
    device: str = "auto",
    exact: bool = False,
    report: Callable[[str], None] = log.info,
) -> pd.DataFrame:
    """Predict every case of ``data`` and compare liver and spleen with its label.

    A case is predicted by the members that have seen neither it nor its source anatomy, and left out if every member
    has: by one of them if ``folds.json`` names it, by all if nothing of it is known. If ``data`` hold each case that a
    member held out, the cross-validation is written into ``evaluation.csv`` and the card, unless it is ``exact``.

    Args:
        exact: predict by tiles, as ``Segmenter`` says.
        report: called with a line for each case.

    Returns:
        One row per case and organ: case, member, organ and the measures of ``compare``.

    Raises:
        ManifestError: ``find_cases`` refuses the data, or every member has seen every case.
    """
    folder = registry.find(model, "segmenter")
    found, anatomy_of = find_cases(data), anatomies_of(data)
    out_of_fold = out_of_fold_members(folder, anatomy_of)
    chosen_for = {case: out_of_fold.unseen_members({case, anatomy_of[case]}) for case in found}
    cases = {case: model for case, model in chosen_for.items() if model is not None}
    if not cases:
        raise ManifestError("Every member of the segmenter has seen every case; name other data.")
    if len(cases) < len(found):
        report(f"{len(found) - len(cases)} cases are left out, since every member has seen them")
    chosen, rows = choose_device(device), []
    for members in sorted({model.members for model in cases.values()}):
        segmenter = Segmenter(replace(folder, members=members), chosen, exact)
        member = "all" if members == folder.members else "+".join(members)
        for case in (case for case, model in cases.items() if model.members == members):
            organs = evaluate_case(case, *found[case], segmenter)
            rows += [{"case": case, "member": member, "organ": organ} | values for organ, values in organs.items()]
            shown = ", ".join(f"{organ} Dice {values['dice']:.3f}" for organ, values in organs.items())
            report(f"{case} by {member}: {shown}")
    table = pd.DataFrame(rows).sort_values(["organ", "case"]).reset_index(drop=True)
    unseen = held_out_by(folder.folder)
    held_out = {case for case, member in unseen.items() if member != SEEN_BY_ALL}
    if not exact and held_out and held_out <= cases.keys():
        own = table[table["case"].isin(held_out)]
        write_measured(registry.read(folder.folder), EVALUATION, own)
        segmenter_card.write(folder.folder)
    return table


def evaluate_case(case: str, image: Path, label: Path, segmenter: Segmenter) -> dict[str, dict[str, float]]:
    """Measures of one case by organ, on its own grid; an organ that the label or the model lacks is left out."""
    volume, labels = read_labelled(case, image, label)
    truth = sitk.GetArrayFromImage(labels)
    try:
        found = sitk.GetArrayFromImage(segment(volume, segmenter).labels)
    except SegmentationError:
        found = np.zeros_like(truth)
    spacing = volume.image.GetSpacing()[::-1]
    organs = {organ: ORGANS[organ] for organ in ("liver", "spleen")}
    return {
        organ: compare(found == value, truth == value, spacing)
        for organ, value in organs.items()
        if value in segmenter.labels and (truth == value).any()
    }
