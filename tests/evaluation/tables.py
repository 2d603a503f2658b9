"""Small tables of predictions, made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.evaluation.predictions import CohortPredictions, Prediction


def predictions_of(labels, probabilities, **columns) -> CohortPredictions:
    """One model ``m`` with the threshold 0.5; cases of different anatomies, unless ``columns`` says otherwise."""
    names = [f"case{i}" for i in range(len(labels))]
    cases = pd.DataFrame({"patient_id": names, "label": labels, "anatomy": names})
    plain = {"segmentation_score": "", "site": "", "sex": "", "metavir": "", "dice": np.nan}
    return CohortPredictions.from_records(
        cases.assign(**(plain | columns)).to_dict("records"),
        [prediction(name, "m", value) for name, value in zip(names, probabilities, strict=True)],
    )


def prediction(case: str, model: str, value: float) -> Prediction:
    return (
        Prediction(case, model, problem="No liver.")
        if np.isnan(value)
        else Prediction(case, model, value, value >= 0.5)
    )
