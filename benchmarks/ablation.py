"""What the classifier's parts are worth: the same training with one part changed at a time.

    python -m benchmarks.ablation MANIFEST WORK [--fold 0] [VARIANT ...]

Each row is one training of one member on the manifest's training rows, judged on its unseen anatomies: the AUC of the
labels, and, where ``truth.csv`` gives the drawn severity, the rank correlation of the logit with it, which is less
noisy than a label. Finished trainings are kept in WORK, and resumed there.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from torch import Tensor

from benchmarks.table import Table
from models.masked_attention import BACKBONES, LocalContrast
from pipeline.classification.predict import for_prediction, predict_member
from pipeline.classification.slices import InputSpec
from pipeline.cohort.manifest import read_truth
from pipeline.statistics.auc import auc
from pipeline.training.classifier.fold import FoldTask, train_fold
from pipeline.training.classifier.prepared import prepare_cohort
from pipeline.training.classifier.recipes import WHOLE_CROP, recipe


def without_contrast() -> AbstractContextManager[Any]:
    """The second channel is empty."""

    def forward(self: LocalContrast, image: Tensor, mask: Tensor) -> Tensor:
        return torch.cat([image, torch.zeros_like(image)], dim=1)

    return patch.object(LocalContrast, "forward", forward)


def third_stage() -> AbstractContextManager[Any]:
    return patch.dict(BACKBONES, {"resnet18": ("resnet18", (1, 2, 3))})


@dataclass(frozen=True)
class Variant:
    """One change of the training."""

    words: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    spec: InputSpec = field(default_factory=InputSpec)
    change: Callable[[], AbstractContextManager[Any]] = nullcontext


COARSE = InputSpec(spacing_mm=1.5, size_yx=(128, 160))
VARIANTS = {
    "all": Variant("as it ships"),
    "pooling": Variant("without learned attention", {"mask": "pooling"}),
    "contrast": Variant("without local contrast", change=without_contrast),
    "stage": Variant("a third stage, cells of 16 pixels", change=third_stage),
    "spacing": Variant("1.5 mm instead of 1.2 mm", spec=COARSE),
    "crop": Variant("whole crops instead of patches, 4 slices instead of 6", WHOLE_CROP),
}


def measure(name: str, manifest: Path, work: Path, fold: int) -> tuple[str, ...]:
    """Train one variant, or find it trained; returns its row."""
    variant = VARIANTS[name]
    settings = recipe(**{"seed": 1, **variant.settings})
    prepared = prepare_cohort(manifest, settings, variant.spec, work / "slices")
    unseen = prepared.unseen_by(fold)
    with variant.change():
        checkpoint = work / name / f"fold{fold}.pt"
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        task = FoldTask(
            fold, prepared.seen_by(fold), settings, variant.spec, torch.device("cpu"), checkpoint, unseen=unseen
        )
        run = train_fold(task)
        net = for_prediction(run.result())
        logits = np.array([predict_member(net, case.tensor(variant.spec))[0] for case in unseen])
    labels = np.array([case.label for case in unseen])
    severity = drawn_severity(manifest, [case.case_id for case in unseen])
    related = f"{spearmanr(logits, severity).statistic:.3f}" if severity is not None else ""
    return variant.words, f"{auc(labels, logits):.3f}", related, f"{run.seconds / 60:.1f}"


def drawn_severity(manifest: Path, cases: list[str]) -> np.ndarray | None:
    """Severity of simulated cases, (cases,); None where the cohort states none."""
    truth = read_truth(manifest)
    return pd.to_numeric(truth.loc[cases, "severity"]).to_numpy(float) if "severity" in truth else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("variants", nargs="*", default=list(VARIANTS))
    parser.add_argument("--fold", type=int, default=0)
    given = parser.parse_args()
    rows = []
    for name in given.variants:
        rows.append(measure(name, given.manifest, given.work, given.fold))
        print(rows[-1], flush=True)
    columns = ("change", "AUC", "rank correlation with severity", "minutes")
    print(Table(f"Ablation of the classifier, fold {given.fold}", columns, rows).markdown())


if __name__ == "__main__":
    main()
