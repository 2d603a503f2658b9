"""Positive control of the quality prediction: the left part of the liver cut from every member's mask.

``python -m benchmarks.cut_lobe DATA [CASE ...]`` prints, for each case, what is predicted of the mask as it is and with
15 and 30 % of the liver's voxels missing on the left. The members have seen CHAOS cases: what is measured is whether
the cut is found, not the segmenter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from models import registry
from pipeline.case import LIVER
from pipeline.cohort.images import read_labelled
from pipeline.cohort.labelled_cases import find_cases
from pipeline.exports.wording import doubt_words
from pipeline.segmentation import Segmenter, segment
from pipeline.segmentation.hard_labels import hard_labels

SHARES = (0.0, 0.15, 0.3)


def main(
    data: Path,
    cases: Annotated[list[str] | None, typer.Argument(help="Names of cases; all by default.")] = None,
    segmenter: str = "liver_t2",
) -> None:
    """Print score, predicted figures and named regions by case and cut."""
    loaded = Segmenter(registry.find(segmenter, "segmenter"), torch.device("cpu"))
    predict, liver = loaded.predictor.predict_at_once, loaded.labels[LIVER]
    for case, files in find_cases(data).items():
        if cases and case not in cases:
            continue
        volume, _ = read_labelled(case, *files)
        for share in SHARES:

            def predict_cut(voxels: torch.Tensor, share: float = share) -> torch.Tensor:
                logits = predict(voxels).clone()
                x = np.nonzero((hard_labels(logits) == liver).numpy())[2]  # runs to the patient's left
                if share:
                    logits[liver, ..., int(np.quantile(x, 1 - share)) :] = logits.min()
                return logits

            loaded.predictor.predict_at_once = predict_cut  # type: ignore[method-assign]
            mask = segment(volume, loaded)
            named = "; ".join(f"{doubt_words(doubt)} {doubt.volume_ml:.0f} mL" for doubt in mask.doubts)
            typer.echo(
                f"{case}, {share:.0%} cut: score {mask.score}, predicted Dice {mask.predicted_dice:.2f}, "
                f"HD95 {mask.predicted_hd95_mm:.0f} mm. {named}"
            )


if __name__ == "__main__":
    typer.run(main)
