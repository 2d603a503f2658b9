"""Label maps of other people's abdomens, made on CT or MRI, with or without the image: shapes to train on.

Values: 1 liver, 2 right kidney, 3 left kidney, 4 spleen, 5 gallbladder, 6 oesophagus, 7 stomach, 8 aorta, 9 inferior
vena cava, 10 portal and splenic vein, 11 pancreas, 12 and 13 adrenal glands (BTCV's, Landman et al. 2015); in dense
maps also 14 duodenum, 15 small bowel, 16 colon, 20 lungs, 21 vertebrae, 22 other bones, 23 muscles, 24 heart and
pulmonary vessels, 25 spinal cord, 26 other tissue. Other values count as background.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from pipeline.case import LIVER, ORGANS, view
from pipeline.cohort.images import read_label_map
from pipeline.errors import ManifestError
from pipeline.simulation.fields import Array

LABELS_SUFFIX, CT_SUFFIX = "_labels.nii.gz", "_ct.nii.gz"
TABLE = "anatomies.csv"
"""Optional table beside the folders: columns ``case`` and ``source``."""
GALLBLADDER, OESOPHAGUS, STOMACH, AORTA, CAVA, PORTAL, PANCREAS, RIGHT_ADRENAL, LEFT_ADRENAL = range(5, 14)
DUODENUM, SMALL_BOWEL, COLON = 14, 15, 16
LUNGS, VERTEBRAE, BONES, MUSCLES, HEART, SPINAL_CORD, OTHER = range(20, 27)
KNOWN = (*range(1, 17), *range(20, 27))
"""Values that have a meaning here."""


@dataclass(frozen=True)
class LabelMap:
    """One labelled abdomen, or liver alone."""

    case: str
    labels: Path
    ct: Path | None
    """CT on the same grid, 8-bit in a soft-tissue window; None: labels alone."""
    source: str
    """Data set and licence, as in ``TABLE``; empty where that does not name the case."""

    def read(self) -> tuple[sitk.Image, sitk.Image | None]:
        """Labels (uint8) and CT (float32) in LPS, on one grid.

        Raises:
            ManifestError: a file cannot be read, there is no liver, or the grids differ.
        """
        labels, ct = read_label_map(self.case, self.labels, self.ct)
        if not (view(labels) == LIVER).any():
            raise ManifestError(f"{self.case}: the label map holds no liver (value {LIVER}).")
        known = sitk.GetImageFromArray(np.where(np.isin(view(labels), KNOWN), view(labels), 0).astype(np.uint8))
        known.CopyInformation(labels)
        return known, ct

    def is_whole_abdomen(self) -> bool:
        """Whether there is enough to paint an image from: every organ that is learned, and a CT or labels of muscle.

        An organ without a label would be learned as background.
        """
        found = set(np.unique(view(self.read()[0])).tolist())
        return set(ORGANS.values()) <= found and (self.ct is not None or MUSCLES in found)


def find_label_maps(folder: Path) -> list[LabelMap]:
    """Every ``CASE_labels.nii.gz`` below a folder, sorted by case, with ``CASE_ct.nii.gz`` where that lies beside it.

    Raises:
        ManifestError: there is none, two have the same name, or ``anatomies.csv`` lacks a column.
    """
    files = sorted(folder.rglob(f"*{LABELS_SUFFIX}"), key=lambda file: file.name)
    if not files:
        raise ManifestError(f"The folder of anatomies has no file whose name ends in {LABELS_SUFFIX}; check the path.")
    names = [file.name.removesuffix(LABELS_SUFFIX) for file in files]
    if len(set(names)) < len(names):
        raise ManifestError("Two label maps of the folder of anatomies have the same name; rename one.")
    sources = _sources(folder / TABLE)
    found = []
    for name, file in zip(names, files, strict=True):
        ct = file.with_name(f"{name}{CT_SUFFIX}")
        found.append(LabelMap(name, file, ct if ct.is_file() else None, sources.get(name, "")))
    return found


def _sources(table: Path) -> dict[str, str]:
    if not table.is_file():
        return {}
    try:
        rows = pd.read_csv(table, dtype=str, keep_default_na=False)
        return dict(zip(rows["case"], rows["source"], strict=True))
    except (OSError, ValueError, KeyError) as error:
        raise ManifestError(f"{TABLE} must be a CSV with the columns case and source.") from error


def organ_labels(labels: Array) -> Array:
    """The organs that the segmenter learns, uint8, same shape; the rest becomes background."""
    return np.where(np.isin(labels, list(ORGANS.values())), labels, 0).astype(np.uint8)
