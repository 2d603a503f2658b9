"""Ground truth of a simulated case, as truth.csv records it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from pipeline.simulation.fibrosis_signs import FibrosisSigns
from pipeline.simulation.scanner import Background, Scan
from pipeline.thresholds import segmentation_score

TRUE_MASKS = "true_masks"
"""Folder of the true masks of the cases whose mask is degraded."""

SIGN_MAPS = "signs"
"""Folder of the maps of texture signs, one file per case, named as its image."""


@dataclass(frozen=True)
class CaseTruth:
    """Everything that was drawn for one case, and how far its mask is from the true one."""

    patient_id: str
    stage: int
    """METAVIR stage, 0-4."""
    severity: float
    """Severity of the parenchymal signs, 0-1."""
    signs: FibrosisSigns
    background: Background
    scan: Scan
    shape_donor: str
    """Label map whose liver lent the anatomy its shape; empty where it has its own."""
    mask_fault: str
    """Names of the faults put into the mask, joined by +; empty for the true mask."""
    liver_dice: float
    """Dice of the liver in the mask and in the true one."""
    liver_hd95_mm: float
    """95th percentile Hausdorff distance of the two, mm."""
    poor_mask: bool
    """Whether the true mask is kept in ``TRUE_MASKS``, since masks/ holds a degraded one."""

    @property
    def segmentation_score(self) -> int:
        """1 excellent, 2 acceptable, 3 poor."""
        return segmentation_score(self.liver_dice, self.liver_hd95_mm)

    def to_row(self) -> dict[str, object]:
        """A row of truth.csv, columns in the order of the file."""
        drawn = {
            **dataclasses.asdict(self.signs),
            **dataclasses.asdict(self.background),
            **dataclasses.asdict(self.scan),
        }
        return {
            "patient_id": self.patient_id,
            "stage": f"F{self.stage}",
            "severity": round(self.severity, 4),
            **{name: round(value, 4) for name, value in drawn.items()},
            "shape_donor": self.shape_donor,
            "mask_fault": self.mask_fault,
            "liver_dice": round(self.liver_dice, 4),
            "liver_hd95_mm": round(self.liver_hd95_mm, 1),
            "segmentation_score": self.segmentation_score,
            "true_mask": f"{TRUE_MASKS if self.poor_mask else 'masks'}/{self.patient_id}.nii.gz",
        }
