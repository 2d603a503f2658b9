"""What correcting a few masks is worth: a site whose livers the segmenter outlines poorly, five of fifteen corrected.

    python -m benchmarks.correction WORK [--corruption dark_liver] [--severity 0.8] [--steps 150]

Fifteen phantoms of one simulated site are segmented. Five get their true labels, as readers who corrected them would
leave them, and the segmenter is trained further on these five alone (``train-segmenter --start-from``); the Dice of the
other ten is measured before and after. As a control it is trained further on the same five with its own masks.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import SimpleITK as sitk
import torch

from benchmarks.table import Table
from models import registry
from models.files import write_json
from pipeline.case import ORGANS
from pipeline.cohort.images import read_labelled
from pipeline.evaluation.segmenter import evaluate_case
from pipeline.segmentation import Segmenter, segment
from pipeline.simulation.corruptions import corrupt
from pipeline.simulation.phantom.phantom import make_phantom
from pipeline.training.segmenter.options import SegmenterTraining
from pipeline.training.segmenter.train import train_segmenter

CASES, CORRECTED = 15, 5
FIRST_SEED = 900


def site(folder: Path, corruption: str, severity: float) -> list[str]:
    """Images and true labels of the site's cases; their names."""
    names = [f"site{number:02d}" for number in range(CASES)]
    for number, name in enumerate(names):
        image, label = folder / f"{name}.nii.gz", folder / f"{name}_label.nii.gz"
        if label.is_file():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        made = corrupt(*make_phantom(FIRST_SEED + number), corruption, severity, number)
        sitk.WriteImage(made[0], str(image), useCompression=True)
        sitk.WriteImage(made[1], str(label), useCompression=True)
    return names


def segmenter(model: Path | str) -> Segmenter:
    return Segmenter(registry.find(model, "segmenter"), torch.device("cpu"))


def dice(folder: Path, names: list[str], chosen: Segmenter) -> list[float]:
    """Liver Dice of each case."""
    files = [(name, folder / f"{name}.nii.gz", folder / f"{name}_label.nii.gz") for name in names]
    return [evaluate_case(*one, chosen)["liver"]["dice"] for one in files]


def training_data(folder: Path, names: list[str], out: Path, by: Segmenter | None) -> Path:
    """nnU-Net's raw layout of cases with their true labels, or with the masks that a segmenter gives them."""
    shutil.rmtree(out, ignore_errors=True)
    for part in ("imagesTr", "labelsTr"):
        (out / part).mkdir(parents=True)
    for name in names:
        image, label = folder / f"{name}.nii.gz", folder / f"{name}_label.nii.gz"
        shutil.copyfile(image, out / "imagesTr" / f"{name}_0000.nii.gz")
        if by is None:
            shutil.copyfile(label, out / "labelsTr" / f"{name}.nii.gz")
        else:
            volume, _ = read_labelled(name, image, label)
            sitk.WriteImage(segment(volume, by).labels, str(out / "labelsTr" / f"{name}.nii.gz"), useCompression=True)
    labels = {"background": 0} | ORGANS
    about = {"channel_names": {"0": "T2"}, "labels": labels, "numTraining": len(names), "file_ending": ".nii.gz"}
    write_json(out / "dataset.json", about)
    return out


def row(words: str, values: list[float]) -> tuple[str, str, str]:
    return words, f"{sum(values) / len(values):.3f}", f"{min(values):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--corruption", default="dark_liver")
    parser.add_argument("--severity", type=float, default=0.8)
    parser.add_argument("--steps", type=int, default=150)
    given = parser.parse_args()
    names = site(given.work / "site", given.corruption, given.severity)
    corrected, others = names[:CORRECTED], names[CORRECTED:]
    shipped = segmenter("liver_t2")
    rows = [row("liver_t2", dice(given.work / "site", others, shipped))]
    print(rows[-1], flush=True)
    for words, by in (("trained further on five corrected masks", None), ("the same, masks not corrected", shipped)):
        name = "corrected" if by is None else "uncorrected"
        data = training_data(given.work / "site", corrected, given.work / f"{name}_data", by)
        out = given.work / name
        train_segmenter(
            data, out, SegmenterTraining(steps=given.steps, start_from="liver_t2", trained_on="simulated site")
        )
        rows.append(row(words, dice(given.work / "site", others, segmenter(out))))
        print(rows[-1], flush=True)
    title = f"Liver Dice of ten other cases: {given.corruption}, severity {given.severity:g}, {given.steps} steps"
    print(Table(title, ("segmenter", "mean", "worst"), rows).markdown())


if __name__ == "__main__":
    main()
