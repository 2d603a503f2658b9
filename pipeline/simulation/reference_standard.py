"""What a simulated case's manifest row says of the person: elastography, biopsy, and what has no bearing on either."""

from __future__ import annotations

import numpy as np

from pipeline.simulation.parameters import Parameters
from pipeline.simulation.plan import CasePlan
from pipeline.simulation.truth import CaseTruth

READINGS = 10
"""Valid readings that one examination by transient elastography needs."""


def draw_elastography(stage: int, rng: np.random.Generator, p: Parameters) -> tuple[float, float]:
    """LSM in kPa and its interquartile range over median, from ten readings of one patient.

    Patients of one stage are log-normal about its median; readings are log-normal about the patient's own stiffness,
    some patients' more widely than others', and stay within the device's range.
    """
    stiffness = p.lsm_median_kpa[stage] * rng.lognormal(0, np.log(p.lsm_spread))
    spread = p.reading_sd * rng.lognormal(0, 0.4)
    readings = np.clip(stiffness * rng.lognormal(0, spread, READINGS), 1.5, 75.0)
    low, median, high = np.percentile(readings, (25, 50, 75))
    return float(median), float((high - low) / median)


def draw_biopsy(stage: int, rng: np.random.Generator, p: Parameters) -> int:
    """The METAVIR stage that a reader gives a biopsy, since one core is a small sample of the liver."""
    if rng.uniform() < p.biopsy_agreement:
        return stage
    return int(rng.choice([near for near in (stage - 1, stage + 1) if 0 <= near <= 4]))


def manifest_row(plan: CasePlan, truth: CaseTruth, p: Parameters) -> dict[str, object]:
    """One row of the manifest. Only stiffness and histology look at the stage; histology is the test split's alone."""
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
