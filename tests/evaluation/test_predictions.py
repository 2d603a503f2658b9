"""Tables of predictions: written and loaded again, from this version and from 0.1.0."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import ManifestError
from pipeline.evaluation.predictions import CohortPredictions, Prediction
from pipeline.statistics.overlap import MEASURES

OLD = """\
patient_id,source_anatomy,site,sex,label_source,metavir,split,segmentation_score,label,dice,iou,hd95_mm,assd_mm,\
volume_error_percent,probability:m,advanced:m,read_by:m,problem:m,probability:a:b,advanced:a:b,read_by:a:b,problem:a:b
001,x,B,male,histology,F3,test,2,True,0.902109,0.821675,inf,3.061221,-6.603826,,,,seen,0.395497,False,ensemble,
002,,A,,histology,F0,test,1,False,,,,,,0.25,True,fold1,,0.5,True,ensemble,
"""


@pytest.fixture
def predictions() -> CohortPredictions:
    texts = {"site": "A", "sex": "", "label_source": "histology", "metavir": "F3", "split": "test"}
    common = texts | {"segmentation_score": "1", "label": True}
    cases = [
        {"patient_id": "001", "source_anatomy": "x", "anatomy": "x"} | common | dict.fromkeys(MEASURES, 0.12345678),
        {"patient_id": "002", "source_anatomy": "", "anatomy": "002"} | common | dict.fromkeys(MEASURES, np.nan),
    ]
    found = [
        Prediction("001", "m", 0.25, False, "fold1"),
        Prediction("001", "n", problem="No liver."),
        Prediction("002", "n", 0.75, True, "ensemble"),
        Prediction("002", "m", problem="seen"),
    ]
    return CohortPredictions.from_records(cases, found)


def test_what_is_written_is_loaded_again(predictions, tmp_path):
    predictions.write(tmp_path)
    loaded = CohortPredictions.read(tmp_path)
    assert set(loaded.cases) == set(predictions.cases)
    cases = loaded.cases[list(predictions.cases)]
    pd.testing.assert_frame_equal(cases, predictions.cases.round(6), check_dtype=False)
    pd.testing.assert_frame_equal(loaded.predictions, predictions.predictions, check_dtype=False)
    assert list(pd.read_csv(tmp_path / "predictions.csv", nrows=0)) == [
        "patient_id",
        "model",
        "probability",
        "advanced",
        "predicted_by",
        "problem",
    ]
    assert not [column for column in pd.read_csv(tmp_path / "cases.csv", nrows=0) if ":" in column]


def test_a_models_arrays_hold_the_cases_that_it_predicted(predictions):
    found = predictions.of("n")
    assert found.probabilities.tolist() == [0.75]
    assert found.anatomies.tolist() == ["002"]
    assert predictions.predicted("n").tolist() == [False, True]
    assert predictions.by_case("m")["problem"].tolist() == ["", "seen"]
    assert predictions.subset(np.array([True, False])).of("n").labels.size == 0


def test_the_wide_table_of_version_0_1_0_is_loaded(tmp_path):
    (tmp_path / "cases.csv").write_text(OLD)
    loaded = CohortPredictions.read(tmp_path)
    assert loaded.cases["anatomy"].tolist() == ["x", "002"]
    assert loaded.cases["label"].tolist() == [True, False]
    assert loaded.cases.loc[0, "hd95_mm"] == np.inf
    assert np.isnan(loaded.cases.loc[1, "dice"])
    assert loaded.predictions[["patient_id", "model", "predicted_by", "problem"]].to_numpy().tolist() == [
        ["001", "m", "", "seen"],
        ["002", "m", "fold1", ""],
        ["001", "a:b", "ensemble", ""],
        ["002", "a:b", "ensemble", ""],
    ]
    assert loaded.of("m").probabilities.tolist() == [0.25]
    assert loaded.of("a:b").called.tolist() == [False, True]


@pytest.mark.parametrize(
    ("old", "new"),
    [("read_by:m", "other:m"), ("label,", "other,"), ("0.395497", "much"), ("0.5,True", "0.5,Maybe")],
)
def test_a_damaged_table_is_refused_in_one_sentence(tmp_path, old, new):
    assert old in OLD
    (tmp_path / "cases.csv").write_text(OLD.replace(old, new))
    with pytest.raises(ManifestError, match="evaluate again") as refused:
        CohortPredictions.read(tmp_path)
    assert str(refused.value).count("\n") == 0


def test_a_case_that_a_model_predicts_twice_is_refused(predictions, tmp_path):
    predictions.write(tmp_path)
    file = tmp_path / "predictions.csv"
    file.write_text(file.read_text() + file.read_text().splitlines()[1] + "\n")
    with pytest.raises(ManifestError):
        CohortPredictions.read(tmp_path)
