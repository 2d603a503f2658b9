"""How far does a segmenter hold on corrupted images? Each case by a member that has not seen it.

The rows that this leaves are also what the predictor of quality is fitted on: true Dice beside the signs of quality of
that one member's mask.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from models import registry
from models.device import choose_device
from models.files import atomic_path, file_sha256
from models.measured import CORRUPTIONS, write_measured
from pipeline.case import LIVER, Source, Volume, view
from pipeline.cohort.images import read_labelled
from pipeline.cohort.labelled_cases import anatomies_of, find_cases
from pipeline.cohort.out_of_fold import out_of_fold_members
from pipeline.cohort.result_cache import digest
from pipeline.errors import ManifestError, ModelError, SegmentationError
from pipeline.segmentation import Segmenter, segment_observed
from pipeline.segmentation.quality_features import SIGNS
from pipeline.segmentation.quality_prediction import SCHEMA
from pipeline.simulation import corruptions
from pipeline.statistics.overlap import compare
from pipeline.thresholds import POOR_DICE_BELOW
from pipeline.training.segmenter.tables import interval_of_mean

log = logging.getLogger(__name__)

UNCORRUPTED, ALL, PAIRS = "none", "all corruptions", "two at once"
SEVERITIES = (0.35, 0.7, 1.0)
ROWS = "corrupted_cases.csv"
KEY = ["case", "member", "weights", "corruption", "severity"]
COLUMNS = [*KEY, "anatomy", "content", "refused", "dice", "hd95_mm", *SIGNS]
"""``content``: a digest of the case's image and labels and of the versions of corruptions and signs."""


@dataclass(frozen=True)
class Job:
    """One prediction to make."""

    case: str
    anatomy: str
    member: str
    corruption: str
    severity: float


def plan(
    cases: dict[str, registry.ModelFolder], anatomy_of: dict[str, str], per_corruption: int, pairs: int = 0
) -> list[Job]:
    """Every case uncorrupted and under every corruption, at ``per_corruption`` of the severities, and under ``pairs``.

    With fewer than all, severities are dealt out in turn, so that each corruption is seen at each by about as many
    cases. Pairs of corruptions are drawn anew for each case, the worst severity and the next in turn.

    Args:
        cases: the model with the members that have not seen the case; where there are several, cases take turns.
    """
    jobs = []
    for number, (case, unseen) in enumerate(cases.items()):
        member, anatomy = unseen.members[number % len(unseen.members)], anatomy_of[case]
        jobs.append(Job(case, anatomy, member, UNCORRUPTED, 0.0))
        for place, name in enumerate(corruptions.NAMES):
            dealt = [SEVERITIES[(number + place + turn) % len(SEVERITIES)] for turn in range(per_corruption)]
            jobs += [Job(case, anatomy, member, name, severity) for severity in sorted(dealt)]
        rng = np.random.default_rng(zlib.crc32(case.encode()))
        for turn, pair in enumerate(rng.choice(list(combinations(corruptions.NAMES, 2)), pairs, replace=False)):
            jobs.append(Job(case, anatomy, member, corruptions.AND.join(pair), SEVERITIES[-1 - turn % 2]))
    return sorted(jobs, key=lambda job: (job.member, job.case))  # each member is loaded once


def measure_corruptions(
    data: Path,
    model: Path | str,
    *,
    per_corruption: int = 1,
    pairs: int = 0,
    without: Collection[str] = (),
    device: str = "auto",
    resume: bool = True,
    report: Callable[[str], None] = log.info,
) -> pd.DataFrame:
    """Predict corrupted cases with members that have not seen them; go on where an earlier call ended.

    Writes ``corruptions.csv`` (the table of ``summarise``) into the model's folder. ``corrupted_cases.csv``, a row a
    prediction, goes into a work folder beside it after each one: it names cases, and a model may be given away. Rows of
    other weights, or with other signs, are measured anew.

    Args:
        per_corruption: severities a case and corruption, 1 to 3: 12, 23 or 34 predictions a case.
        pairs: further predictions a case, of two corruptions at once.
        without: splits of a manifest that are left out.

    Returns:
        A row a prediction, ``COLUMNS``: where refused there was no mask, Dice is 0 and ``SIGNS`` are empty.

    Raises:
        ManifestError: the data are not as ``find_cases`` wants them, or every member has seen every case.
        ModelError: the model does not say what its members have seen.
    """
    folder = registry.find(model, "segmenter")
    files, anatomy_of = find_cases(data, without=without), anatomies_of(data)
    readers = out_of_fold_members(folder, anatomy_of)
    if not readers.cases_known:
        raise ModelError("The segmenter has no folds.json that says which cases its members have not seen.")
    unseen = {case: chosen for case in files if (chosen := readers.unseen_members({case, anatomy_of[case]}))}
    if not unseen:
        raise ManifestError("Every member of the segmenter has seen every case; name other data.")
    weights = {member: registry.find(folder.folder / member, "segmenter").sha256[:12] for member in folder.members}
    jobs = plan(unseen, anatomy_of, per_corruption, pairs)
    kept = folder.folder.with_name(f"{folder.folder.name}.work") / ROWS
    kept.parent.mkdir(exist_ok=True)
    content = {case: digest([corruptions.VERSION, SCHEMA, *map(file_sha256, files[case])]) for case in unseen}
    rows = _kept(kept, weights, content) if resume else []
    done = {(row["case"], row["corruption"], row["severity"]) for row in rows}
    left = [job for job in jobs if (job.case, job.corruption, job.severity) not in done]
    report(f"{len(jobs)} predictions, {len(left)} of them to make")
    started = time.monotonic()
    for number, row in enumerate(_measured(left, files, folder, choose_device(device)), start=1):
        rows.append(row | {"weights": weights[row["member"]], "content": content[row["case"]]})
        _write(pd.DataFrame(rows)[COLUMNS], kept)
        pace = (time.monotonic() - started) / number
        found = "no mask" if row["refused"] else f"Dice {row['dice']:.3f}"
        report(
            f"{row['case']}, {row['corruption']} {row['severity']}: {found}; {pace * (len(left) - number):.0f} s left"
        )
    planned = {(job.case, job.corruption, job.severity) for job in jobs}
    table = pd.DataFrame([row for row in rows if (row["case"], row["corruption"], row["severity"]) in planned])
    write_measured(folder, CORRUPTIONS, summarise(table))
    return table


def _kept(file: Path, weights: dict[str, str], content: dict[str, str]) -> list[dict]:
    """Rows of earlier calls by these very weights, of these very files or of other cases; none where the file has other
    columns."""
    if not file.is_file():
        return []
    table = pd.read_csv(file, dtype=dict.fromkeys(("case", "anatomy", "member", "weights", "content"), str))
    if set(table.columns) != set(COLUMNS):
        return []
    return [
        row
        for row in table.to_dict("records")
        if weights.get(row["member"]) == row["weights"] and content.get(row["case"], row["content"]) == row["content"]
    ]


def _write(table: pd.DataFrame, file: Path) -> None:
    with atomic_path(file) as partial:
        table.round(5).to_csv(partial, index=False)


def _measured(
    jobs: list[Job], files: dict[str, tuple[Path, Path]], folder: registry.ModelFolder, device: object
) -> Iterator[dict]:
    member = case = ""
    for job in jobs:
        if job.member != member:
            member = job.member
            segmenter = Segmenter(registry.find(folder.folder / member, "segmenter"), device)  # type: ignore[arg-type]
        if job.case != case:
            case = job.case
            image, labels = read_from_zero(case, *files[case])
        seed = zlib.crc32(case.encode())
        corrupted = (image, labels)
        if job.corruption != UNCORRUPTED:
            corrupted = corruptions.corrupt(image, labels, job.corruption, job.severity, seed)
        yield vars(job) | measure(*corrupted, segmenter)


def read_from_zero(case: str, image: Path, label: Path) -> tuple[sitk.Image, sitk.Image]:
    """Image (float32, at least 0) and labels (uint8), turned to LPS as the app does. Raises as ``read_labelled``."""
    volume, labels = read_labelled(case, image, label)
    return volume.image - min(float(volume.voxels.min()), 0.0), labels


def measure(image: sitk.Image, labels: sitk.Image, segmenter: Segmenter) -> dict[str, float | bool]:
    """Liver Dice, HD95 and signs of quality of a one-member segmenter's mask; Dice 0 where it gives none."""
    try:
        organs, (signs,) = segment_observed(Volume(image, Source("nifti", "evaluation")), segmenter)
    except SegmentationError:
        return {"refused": True, "dice": 0.0, "hd95_mm": float("inf")} | dict.fromkeys(SIGNS, float("nan"))
    assert signs is not None  # no liver is a refusal
    found = compare(organs.liver, view(labels) == LIVER, image.GetSpacing()[::-1])
    return {"refused": False, "dice": found["dice"], "hd95_mm": found["hd95_mm"]} | signs


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
