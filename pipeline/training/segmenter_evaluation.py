"""How good is a segmenter? Each case is predicted by a member that has not seen it; the table goes into the card."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from models import registry
from pipeline.case import ORGANS, Source, Volume
from pipeline.errors import SegmentationError
from pipeline.segmentation import Segmenter, segment
from pipeline.training import nnunet_plan, segmenter_card
from pipeline.training.mask_comparison import compare

log = logging.getLogger(__name__)


def evaluate_segmenter(
    data: Path, model: Path, *, device: str = "auto", report: Callable[[str], None] = log.info
) -> pd.DataFrame:
    """Predict every case of ``data`` and compare liver and spleen with its label.

    A case that ``folds.json`` names is predicted by the one member that has not seen it, any other by all of them.
    Where every member has a case of its own, the cross-validation is written into ``evaluation.csv`` and the card.

    Returns:
        One row a case and organ: case, member, organ and the measures of ``compare``.
    """
    folder = registry.find(model, "segmenter")
    unseen = segmenter_card.unseen_by(folder.folder)
    cases = nnunet_plan.find_cases(data)
    chosen, rows = registry.choose_device(device), []
    for member in sorted({unseen.get(case, "all") for case in cases}):
        name = folder.folder if member == "all" else folder.folder / member
        segmenter = Segmenter(registry.find(name, "segmenter"), chosen)
        for case in (case for case in cases if unseen.get(case, "all") == member):
            found = evaluate_case(*cases[case], segmenter)
            rows += [{"case": case, "member": member, "organ": organ} | values for organ, values in found.items()]
            shown = ", ".join(f"{organ} Dice {values['dice']:.3f}" for organ, values in found.items())
            report(f"{case} by {member}: {shown}")
    table = pd.DataFrame(rows).sort_values(["organ", "case"]).reset_index(drop=True)
    if set(unseen) == set(cases):
        table.round(4).to_csv(folder.folder / "evaluation.csv", index=False)
        segmenter_card.write(folder.folder, table)
    return table


def evaluate_case(image: Path, label: Path, segmenter: Segmenter) -> dict[str, dict[str, float]]:
    """Measures by organ of one case, on its own grid; an organ that the label or the model lacks is left out."""
    volume = Volume(sitk.DICOMOrient(sitk.ReadImage(image, sitk.sitkFloat32), "LPS"), Source("nifti", "evaluation"))
    truth = sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(label, sitk.sitkUInt8), "LPS"))
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
