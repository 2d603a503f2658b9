"""Learning curves of a member: the loss and named scores by step, in a CSV and for TensorBoard, and their picture."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from models.files import atomic_path

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

COLUMNS = ["step", "name", "value"]
LOSS = "loss"
PICTURE = "learning_curve.png"


class LearningCurve:
    """Values of one member by step; those after the step that a training resumes from are dropped.

    Args:
        work: folder of the CSV and of TensorBoard's files.
        step: the last one that is kept, an optimiser step or an epoch.
        score: quantity of every name but the loss, such as Dice.
    """

    def __init__(self, work: Path, fold: int, step: int, score: str) -> None:
        self.file = curve_file(work, fold)
        self.score = score
        self.rows = read_curve(self.file)
        self.rows = self.rows[self.rows["step"] <= step]
        self.events = _event_writer(work / "tensorboard" / f"fold{fold}", step)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Append one value per name; the file is replaced atomically."""
        new = pd.DataFrame([(step, name, round(value, 5)) for name, value in values.items()], columns=COLUMNS)
        self.rows = pd.concat([self.rows, new], ignore_index=True) if len(self.rows) else new
        with atomic_path(self.file) as partial:
            self.rows.to_csv(partial, index=False)
        if self.events is not None:
            for name, value in values.items():
                self.events.add_scalar(name if name == LOSS else f"{self.score}/{name}", value, step)
            self.events.flush()

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self.events is not None:
            self.events.close()


def _event_writer(folder: Path, step: int) -> SummaryWriter | None:
    """TensorBoard's writer, where that package is installed; it comes with ``requirements-dev.txt``."""
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1)


def curve_file(work: Path, fold: int) -> Path:
    return work / f"fold{fold}_curve.csv"


def read_curve(file: Path) -> pd.DataFrame:
    """Columns ``step``, ``name`` (loss, or what the score is of: an organ, or a part of the cases) and ``value``; empty
    if absent."""
    return pd.read_csv(file) if file.is_file() else pd.DataFrame(columns=COLUMNS)


def draw_curves(work: Path, members: int, out: Path, *, score: str, step: str = "step") -> None:
    """Draw the members' curves into ``out`` (PNG): the loss, and each score.

    Args:
        score: as of ``LearningCurve``.
        step: what is counted along the horizontal axis.
    """
    from matplotlib.figure import Figure

    curves = {fold: curve for fold in range(members) if len(curve := read_curve(curve_file(work, fold)))}
    if not curves:
        return
    names = [name for name in dict.fromkeys(pd.concat(curves.values())["name"]) if name != LOSS]
    figure = Figure(figsize=(9, 3), layout="constrained")
    loss, *panels = figure.subplots(1, 1 + len(names), sharex=True, squeeze=False)[0]
    for axes, name in zip([loss, *panels], [LOSS, *names], strict=True):
        for fold, curve in curves.items():
            part = curve[curve["name"] == name]
            axes.plot(part["step"], part["value"], linewidth=1, label=f"fold{fold}")
        axes.set_title(LOSS if name == LOSS else f"{name.replace('_', ' ')}, {score}", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.set_xlabel(step, fontsize=7)
    loss.legend(fontsize=7, frameon=False)
    figure.savefig(out, dpi=100)
