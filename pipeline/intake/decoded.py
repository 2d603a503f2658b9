"""Cache of decoded series: a series is decoded once per case, however often it is read.

Beside the study's own files, in the case's private folder and deleted with it: voxels as ``.npy``, all else as JSON.
"""

from __future__ import annotations

import json
import logging
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from models.files import atomic_sibling
from pipeline.case import CaseWarning, Source, Volume
from pipeline.intake.limits import grid_limits

log = logging.getLogger(__name__)


def load(folder: Path, key: str) -> Volume | None:
    """The volume that ``store`` wrote for the series ``key``; None where there is none, or none that can be read."""
    voxels_file, facts_file = _files(folder, key)
    if not facts_file.exists():
        return None
    try:
        facts = json.loads(facts_file.read_text(encoding="utf-8"))
        voxels = np.load(voxels_file, mmap_mode="r", allow_pickle=False)
        return _volume(voxels, facts)
    except (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile) as error:
        log.warning("A decoded series cannot be read (%s): it is decoded again.", type(error).__name__)
        return None


def store(volume: Volume, folder: Path, key: str) -> None:
    """Keep a decoded series for ``load``. Where the disk is full or the case's folder is gone, nothing is kept."""
    voxels_file, facts_file = _files(folder, key)
    try:
        # Blocks end inside out: once the facts are there, the voxels are. No folder is made: a case that was discarded
        # meanwhile does not come back to the disk.
        with atomic_sibling(facts_file) as facts, atomic_sibling(voxels_file) as voxels:
            np.save(voxels, volume.voxels, allow_pickle=False)
            facts.write_text(json.dumps(_facts(volume)), encoding="utf-8")
    except OSError as error:
        log.warning(
            "A decoded series cannot be kept (%s): it is decoded again when it is next read.", type(error).__name__
        )


def _files(folder: Path, key: str) -> tuple[Path, Path]:
    """Voxels and facts of a series; ``key`` is one of the study's own keys."""
    return folder / f"decoded-{key}.npy", folder / f"decoded-{key}.json"


def _facts(volume: Volume) -> dict[str, Any]:
    return {
        "spacing_mm_xyz": volume.image.GetSpacing(),
        "origin_mm_xyz": volume.image.GetOrigin(),
        "direction": volume.image.GetDirection(),
        "source": asdict(volume.source),
        "warnings": [asdict(warning) for warning in volume.warnings],
    }


def _volume(voxels: np.ndarray, facts: dict[str, Any]) -> Volume:
    if voxels.dtype != np.float32 or voxels.ndim != 3 or voxels.size > grid_limits().max_voxels:
        raise ValueError("no decoded series")  # the process that wrote it had read a stranger's bytes
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(facts["spacing_mm_xyz"])
    image.SetOrigin(facts["origin_mm_xyz"])
    image.SetDirection(facts["direction"])
    return Volume(image, Source(**facts["source"]), tuple(CaseWarning(**warning) for warning in facts["warnings"]))
