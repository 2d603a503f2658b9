"""Reference standard of a simulated case: elastography, biopsy and the row of the manifest."""

from __future__ import annotations

import numpy as np

from pipeline.simulation.parameters import Parameters
from pipeline.simulation.plan import CasePlan
from pipeline.simulation.truth import CaseTruth

READINGS = 10
"""Valid readings of one examination by transient elastography."""


def draw_elastography(stage: int, rng: np.random.Generator, p: Parameters) -> tuple[float, float]:
    """LSM in kPa and its interquartile range over median, from ten readings of one patient.

    Patients of one stage are log-normal about its median; readings are log-normal about the patient's own stiffness,
    with a spread that differs between patients, and are clipped to the device's range of 1.5 to 75 kPa.
    """
    stiffness = p.lsm_median_kpa[stage] * rng.lognormal(0, np.log(p.lsm_spread))
    spread = p.reading_sd * rng.lognormal(0, 0.4)
    readings = np.clip(stiffness * rng.lognormal(0, spread, READINGS), 1.5, 75.0)
    low, median, high = np.percentile(readings, (25, 50, 75))
    return float(median), float((high - low) / median)


def draw_biopsy(stage: int, rng: np.random.Generator, p: Parameters) -> int:
    """METAVIR stage (0-4) read from a biopsy, at most one off the true stage: a core is a small sample."""
    if rng.uniform() < p.biopsy_agreement:
        return stage
    return int(rng.choice([near for near in (stage - 1, stage + 1) if 0 <= near <= 4]))


def manifest_row(plan: CasePlan, truth: CaseTruth, p: Parameters) -> dict[str, object]:
    """Row of the manifest. Only stiffness and histology depend on the stage; the test split alone has histology."""
    rng = plan.stream("person")
    lsm, iqr_median = draw_elastography(plan.stage, rng, p)
    biopsy = draw_biopsy(plan.stage, rng, p)
    test = plan.split == "test"
    return {
        "patient_id": plan.patient_id,
        "image": f"images/{plan.patient_id}.nii.gz",
        "mask": f"masks/{plan.patient_id}.nii.gz",
        "site": p.sites[plan.site].name,
        "sex": rng.choice(["female", "male"]),
        "age": int(rng.integers(22, 80)),
        "aetiology": rng.choice(["MASLD", "ALD", "HBV", "HCV"], p=[0.5, 0.2, 0.15, 0.15]),
        "lsm_kpa": f"{lsm:.1f}",
        "lsm_method": "TE",
        "lsm_iqr_median": f"{iqr_median:.2f}",
        "metavir": f"F{biopsy}" if test else "",
        "days_to_reference": int(rng.integers(0, 91)),
        "label_source": "histology" if test else "lsm",
        "split": plan.split,
        "segmentation_score": truth.segmentation_score,
        "source_anatomy": plan.source_anatomy,
    }
