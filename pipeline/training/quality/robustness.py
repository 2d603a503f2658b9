"""A segmenter's robustness to corrupted images: each case is predicted by a member that has not seen it.

The predictor of quality is fitted on the same rows: true Dice and HD95 beside the signs of quality of that one member's
mask.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk
import torch
from safetensors.torch import load_file, save_file

from models import registry
from models.device import choose_device
from models.files import atomic_path, file_sha256
from models.measured import CORRUPTIONS, write_measured
from pipeline.case import LEFT_KIDNEY, LIVER, RIGHT_KIDNEY, SPLEEN, Source, Volume, view
from pipeline.cohort.images import read_labelled
from pipeline.cohort.labelled_cases import anatomies_of, find_cases
from pipeline.cohort.out_of_fold import out_of_fold_members
from pipeline.cohort.result_cache import digest
from pipeline.errors import ManifestError, ModelError, SegmentationError
from pipeline.segmentation import Segmenter, segment_observed
from pipeline.segmentation.quality_features import MASK_SIGNS
from pipeline.segmentation.quality_prediction import SCHEMA
from pipeline.simulation import corruptions
from pipeline.statistics.overlap import compare
from pipeline.thresholds import POOR_DICE_BELOW
from pipeline.training.quality.corruption_plan import (
    SEVERITIES,
    SINGLE_CORRUPTIONS,
    UNCORRUPTED,
    CorruptionPlan,
    PlannedPrediction,
    plan_predictions,
)
from pipeline.training.quality.error_training import CoarseMask
from pipeline.training.segmenter.tables import interval_of_mean

log = logging.getLogger(__name__)

ALL, PAIRS = "all corruptions", "two at once"
ROWS = "corrupted_cases.csv"
COARSE = "coarse"
"""Folder of the coarse masks, beside ``ROWS``: a file per prediction, named by its key."""
KEY = ["case", "member", "weights", "corruption", "severity"]
COLUMNS = [*KEY, "anatomy", "content", "refused", "dice", "hd95_mm", *MASK_SIGNS]
"""``content``: a digest of the case's image and labels, the versions of corruptions and signs, and the prediction."""


Row = dict[str, Any]
"""A row of ``ROWS`` by column name."""


def measure_corruptions(
    data: Path,
    model: Path | str,
    plan: CorruptionPlan = SINGLE_CORRUPTIONS,
    *,
    device: str = "auto",
    resume: bool = True,
    report: Callable[[str], None] = log.info,
) -> pd.DataFrame:
    """Predict corrupted cases with members that have not seen them.

    Writes ``corruptions.csv`` (the table of ``summarise``) into the model's folder. ``corrupted_cases.csv``, a row per
    prediction, goes into a work folder beside it after each one: it names cases, and a model may be given away. With
    ``resume`` its rows are reused, unless weights, files, corruptions or signs have changed.

    Returns:
        A row per prediction, ``COLUMNS``: where refused there was no mask, Dice is 0 and ``MASK_SIGNS`` are empty.
        ``read_coarse`` gives the mask of a row that was not refused.

    Raises:
        ManifestError: the data are not as ``find_cases`` wants them, or every member has seen every case.
        ModelError: the model does not say what its members have seen.
    """
    folder = registry.find(model, "segmenter")
    files, anatomy_of = find_cases(data, without=plan.without), anatomies_of(data)
    unseen = _members_by_case(folder, files, anatomy_of)
    planned = {_key(vars(one)): one for one in plan_predictions(unseen, anatomy_of, plan)}
    store = PredictionStore.of(folder, {case: files[case] for case in unseen}, resume=resume)
    done = {_key(row) for row in store.rows}
    left = [one for key, one in planned.items() if key not in done]
    report(f"{len(planned)} predictions, {len(left)} of them to make")
    started = time.monotonic()
    for number, (row, mask) in enumerate(_predict(left, files, folder, choose_device(device)), start=1):
        store.add(row, mask)
        pace = (time.monotonic() - started) / number
        result = "no mask" if row["refused"] else f"Dice {row['dice']:.3f}"
        report(
            f"{row['case']}, {row['corruption']} {row['severity']}: {result}; {pace * (len(left) - number):.0f} s left"
        )
    table = pd.DataFrame([row for row in store.rows if _key(row) in planned])
    write_measured(folder, CORRUPTIONS, summarise(table))
    return table


def _members_by_case(
    folder: registry.ModelFolder, cases: Collection[str], anatomy_of: Mapping[str, str]
) -> dict[str, registry.ModelFolder]:
    """The model with the members that have not seen the case, by case; cases that all have seen are left out."""
    members = out_of_fold_members(folder, anatomy_of)
    if not members.cases_known:
        raise ModelError("The segmenter has no folds.json that says which cases its members have not seen.")
    unseen = {case: chosen for case in cases if (chosen := members.unseen_members({case, anatomy_of[case]}))}
    if not unseen:
        raise ManifestError("Every member of the segmenter has seen every case; name other data.")
    return unseen


def _key(row: Mapping[str, Any]) -> tuple[str, str, float]:
    return row["case"], row["corruption"], row["severity"]


@dataclass(frozen=True)
class PredictionStore:
    """The rows of ``ROWS``, written after each prediction."""

    file: Path
    weights: Mapping[str, str]
    """First digits of the SHA-256 of the weights, by member."""
    content: Mapping[str, str]
    """``content`` of the rows of a case, by case."""
    rows: list[Row]

    @classmethod
    def of(
        cls, folder: registry.ModelFolder, files: Mapping[str, tuple[Path, Path]], *, resume: bool
    ) -> PredictionStore:
        """Open the store beside the model, with its valid rows if they are to be reused, else empty."""
        file = work_folder(folder.folder) / ROWS
        file.parent.mkdir(exist_ok=True)
        weights = {member: registry.find(folder.folder / member, "segmenter").sha256[:12] for member in folder.members}
        content = {
            case: digest([corruptions.VERSION, SCHEMA, "one pass, padded to the patch", *map(file_sha256, pair)])
            for case, pair in files.items()
        }
        return cls(file, weights, content, _valid_rows(file, weights, content) if resume else [])

    def add(self, row: Row, mask: CoarseMask | None) -> None:
        """Write the mask of a row, append the row and write all of them."""
        self.rows.append(row | {"weights": self.weights[row["member"]], "content": self.content[row["case"]]})
        if mask is not None:
            with atomic_path(coarse_file(self.file.parent, self.rows[-1])) as partial:
                save_file(mask.tensors(), partial)
        with atomic_path(self.file) as partial:
            pd.DataFrame(self.rows)[COLUMNS].round(5).to_csv(partial, index=False)


def _valid_rows(file: Path, weights: Mapping[str, str], content: Mapping[str, str]) -> list[Row]:
    """Rows of earlier calls with the same weights and files, and those of other cases; none of other columns."""
    if not file.is_file():
        return []
    table = pd.read_csv(file, dtype=dict.fromkeys(("case", "anatomy", "member", "weights", "content"), str))
    if set(table.columns) != set(COLUMNS):
        return []
    rows: list[Row] = table.to_dict("records")  # type: ignore[assignment]
    return [
        row
        for row in rows
        if weights.get(row["member"]) == row["weights"]
        and content.get(row["case"], row["content"]) == row["content"]
        and (row["refused"] or coarse_file(file.parent, row).is_file())
    ]


def coarse_file(work: Path, row: Mapping[str, Any]) -> Path:
    """File of a prediction's coarse mask in the work folder."""
    key = [str(row[name]) for name in (*KEY, "content")]
    return work / COARSE / f"{digest(key)}.safetensors"


def read_coarse(folder: Path, row: Mapping[str, Any]) -> CoarseMask:
    """The coarse mask of a row of ``measure_corruptions``.

    Args:
        folder: the model's.
    """
    return CoarseMask.of(str(row["anatomy"]), str(row["member"]), load_file(coarse_file(work_folder(folder), row)))


def work_folder(folder: Path) -> Path:
    """The folder beside a model's for what names its cases."""
    return folder.with_name(f"{folder.name}.work")


def _predict(
    planned: Sequence[PlannedPrediction],
    files: Mapping[str, tuple[Path, Path]],
    folder: registry.ModelFolder,
    device: torch.device,
) -> Iterator[tuple[Row, CoarseMask | None]]:
    """Make the predictions in turn; members and cases that follow each other are loaded once."""
    member = case = ""
    for one in planned:
        if one.member != member:
            member = one.member
            segmenter = Segmenter(registry.find(folder.folder / member, "segmenter"), device)
        if one.case != case:
            case = one.case
            image, labels = read_from_zero(case, *files[case])
        corrupted = (image, labels)
        if one.corruption != UNCORRUPTED:
            seed = zlib.crc32(case.encode())
            corrupted = corruptions.corrupt(image, labels, one.corruption, one.severity, seed)
        measured, mask = measure(*corrupted, segmenter)
        yield vars(one) | measured, mask and replace(mask, anatomy=one.anatomy, member=one.member)


def read_from_zero(case: str, image: Path, label: Path) -> tuple[sitk.Image, sitk.Image]:
    """Image (float32, at least 0) and labels (uint8), turned to LPS as the app does. Raises as ``read_labelled``."""
    volume, labels = read_labelled(case, image, label)
    return volume.image - min(float(volume.voxels.min()), 0.0), labels


def measure(
    image: sitk.Image, labels: sitk.Image, segmenter: Segmenter
) -> tuple[dict[str, float | bool], CoarseMask | None]:
    """Liver Dice, HD95 in mm and signs of quality of a one-member segmenter's mask, and the mask on the coarse grid.

    Where it gives none, Dice is 0 and there is no mask.
    """
    try:
        organs, (seen,), grid = segment_observed(Volume(image, Source("nifti", "evaluation")), segmenter)
    except SegmentationError:
        return {"refused": True, "dice": 0.0, "hd95_mm": float("inf")} | dict.fromkeys(MASK_SIGNS, float("nan")), None
    assert seen is not None  # no liver is a refusal
    measures = compare(organs.liver, view(labels) == LIVER, image.GetSpacing()[::-1])
    truth = [labels == LIVER, labels == SPLEEN, (labels == RIGHT_KIDNEY) | (labels == LEFT_KIDNEY)]
    mask = CoarseMask("", "", seen.channels, torch.stack([grid.down(organ) for organ in truth]), grid.spacing_mm_zyx)
    return {"refused": False, "dice": measures["dice"], "hd95_mm": measures["hd95_mm"]} | seen.signs, mask


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean liver Dice by corruption, over all its severities and by each, and over ``ALL`` of them; a refused case
    counts as Dice 0. Pairs are a row of their own, where there are any."""
    table = []
    single, paired = rows["corruption"].isin(corruptions.NAMES), rows["corruption"].str.contains(corruptions.AND)
    parts = {name: rows[rows["corruption"] == name] for name in (UNCORRUPTED, *corruptions.NAMES)}
    parts |= {ALL: rows[single]} | ({PAIRS: rows[paired]} if paired.any() else {})
    for name, part in parts.items():
        by_severity = {f"severity {s}": part.loc[np.isclose(part["severity"], s), "dice"].mean() for s in SEVERITIES}
        table.append(
            {
                "corruption": name,
                "predictions": len(part),
                "mean Dice": part["dice"].mean(),
                "95 % interval": interval_of_mean(part.groupby("anatomy")["dice"].mean()),
                "SD": part["dice"].std(),
                "worst": part["dice"].min(),
                f"below {POOR_DICE_BELOW:.2f}": int((part["dice"] < POOR_DICE_BELOW).sum()),
                "refused": int(part["refused"].sum()),
            }
            | by_severity
        )
    return pd.DataFrame(table)
