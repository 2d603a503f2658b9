"""The label rule: which cases of a cohort count as advanced fibrosis."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pipeline.cohort.manifest_row import METAVIR, PLAUSIBLE, ManifestRow
from pipeline.errors import ManifestError
from pipeline.thresholds import ADVANCED_LSM_ABOVE_KPA, ADVANCED_METAVIR_FROM


@dataclass(frozen=True)
class CutOffs:
    """Lower limits of advanced fibrosis.

    Raises:
        ManifestError: a limit is outside the range of its measurement.
    """

    lsm_kpa: float = ADVANCED_LSM_ABOVE_KPA
    """Liver stiffness, kPa; advanced above it."""
    metavir: str = ADVANCED_METAVIR_FROM
    """METAVIR stage; advanced from it on."""

    def __post_init__(self) -> None:
        low, high = PLAUSIBLE["lsm_kpa"]
        if not low < self.lsm_kpa < high:
            raise ManifestError(f"The LSM cut-off must lie between {low:g} and {high:g} kPa (transient elastography).")
        if self.metavir not in METAVIR[1:]:
            raise ManifestError("The METAVIR cut-off must be F1, F2, F3 or F4.")

    def is_advanced(self, row: ManifestRow) -> bool:
        """Label a case: by METAVIR if its label comes from histology, else by stiffness; healthy is negative."""
        if row.label_source == "histology":
            return row.metavir >= self.metavir
        return row.label_source == "lsm" and row.lsm_kpa is not None and row.lsm_kpa > self.lsm_kpa

    def describe(self, sources: Collection[str]) -> str:
        """Describe the positive class of a cohort whose labels come from ``sources`` (``label_source`` values)."""
        lsm, metavir = f"LSM > {self.lsm_kpa:g} kPa", f"METAVIR >= {self.metavir}"
        if "histology" not in sources:
            return lsm
        return f"{metavir} or, without histology, {lsm}" if "lsm" in sources else metavir


DEFAULT_CUT_OFFS = CutOffs()
