"""Tables measured with a model's weights, stored in its folder and ignored once the weights change."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from models import registry
from models.files import atomic_path

log = logging.getLogger(__name__)

EVALUATION, CORRUPTIONS = "evaluation.csv", "corruptions.csv"
BEFORE = "corruptions_before.csv"
"""``CORRUPTIONS`` of the model that the training started from."""


def read_measured(folder: Path, name: str) -> pd.DataFrame | None:
    """``evaluation.csv`` or ``corruptions.csv``; None if it is missing or was measured with other weights."""
    file = folder / name
    if not file.is_file():
        return None
    try:
        table = pd.read_csv(file, dtype={"weights": str})
    except ValueError:
        table = pd.DataFrame()
    if "weights" not in table or set(table.pop("weights")) != {registry.read(folder).sha256[:12]}:
        log.warning("%s was not measured with these weights and is left out; measure again.", name)
        return None
    return table


def write_measured(model: registry.ModelFolder, name: str, table: pd.DataFrame) -> None:
    """Write a table that ``read_measured`` returns until the model's weights change."""
    file = model.folder / name
    signed = table.round(5).assign(weights=model.sha256[:12])
    with atomic_path(file) as partial:
        signed.to_csv(partial, index=False)


def write_corruptions_before(start: registry.ModelFolder | None, folder: Path) -> None:
    """Write ``BEFORE``, the corruptions table of the model that the training started from; remove it if none."""
    table = None if start is None else read_measured(start.folder, CORRUPTIONS)
    (folder / BEFORE).unlink(missing_ok=True)
    if start is not None and table is not None:
        table.assign(weights=start.sha256[:12]).to_csv(folder / BEFORE, index=False)
