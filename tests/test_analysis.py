from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
import SimpleITK as sitk
import torch

from models.registry import SHIPPED
from pipeline import analysis as analysis_module
from pipeline.analysis import Models, analyze, analyze_steps, load_models
from pipeline.case import POOR_MASK_CODES, UNSUITABLE_CODES, CaseWarning, Study, Volume
from pipeline.classification import Classifier
from pipeline.errors import Cancelled, SegmentationError, SeriesError
from pipeline.exports.analysis_json import analysis_json
from pipeline.exports.wording import mask_quality
from pipeline.intake import open_upload, preselected
from tests.classification.conftest import write_classifier, write_feature_classifier
from tests.phantoms import write_dicom_series, zip_folder
from tests.segmentation.conftest import bright_segmenter, make_volume, model_folder  # noqa: F401 - fixtures
from tests.shared import shared_path

KEY = "nifti"
BOX = (slice(3, 9), slice(5, 20), slice(4, 24))


@pytest.fixture
def models(bright_segmenter, tmp_path) -> Models:  # noqa: F811
    classifier = Classifier(write_classifier(tmp_path / "classifier"), torch.device("cpu"))
    return Models(bright_segmenter, classifier)


@pytest.fixture
def study(tmp_path) -> Study:
    return study_of(make_volume(BOX), tmp_path / "upload")


def study_of(volume: Volume, folder: Path) -> Study:
    """The volume as an upload of one NIfTI file; its series is ``nifti``."""
    folder.mkdir()
    sitk.WriteImage(volume.image, str(folder / "upload.nii.gz"))
    return open_upload(folder / "upload.nii.gz", folder / "case")


def test_steps_name_the_stages_and_end_with_the_analysis(models, study):
    steps = list(analyze_steps(study, KEY, models, any_input=True))
    shares = [step.share for step in steps]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert [step.analysis is not None for step in steps] == [False] * (len(steps) - 1) + [True]
    names = " ".join(step.name for step in steps)
    assert all(word in names for word in ("Reading", "Segmenting", "Estimating fibrosis", "Explaining"))


def test_an_analysis_holds_grids_timings_and_models(models, study):
    found = analyze(study, KEY, models, any_input=True)
    assert found.heatmap.image.GetSize() == found.volume.image.GetSize() == found.organs.labels.GetSize()
    assert found.volume.image.GetSize() == make_volume(BOX).image.GetSize()
    *stages, total = found.timings_s
    assert (stages, total) == (["read", "segment", "classify", "explain"], "total")
    assert found.timings_s["total"] == pytest.approx(sum(found.timings_s[stage] for stage in stages))
    assert 0 <= found.fibrosis.probability <= 1
    assert found.segmenter.name == "tiny"
    assert found.classifier.note == "random"


def test_the_same_series_gives_the_same_answer(models, study):
    first, second = analyze(study, KEY, models, any_input=True), analyze(study, KEY, models, any_input=True)
    assert first.fibrosis == second.fibrosis


def test_cancelling_ends_the_run_and_frees_the_device(models, study):
    asked = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 2

    with pytest.raises(Cancelled):
        list(analyze_steps(study, KEY, models, cancelled, any_input=True))
    assert analyze(study, KEY, models, any_input=True).fibrosis is not None


def test_closing_the_steps_frees_the_device(models, study):
    steps = analyze_steps(study, KEY, models, any_input=True)
    next(steps)
    next(steps)
    steps.close()
    assert analyze(study, KEY, models, any_input=True).fibrosis is not None


def test_two_analyses_take_turns(models, study, monkeypatch):
    at_work, most = [], []
    original = analysis_module.classify_steps

    def watched(*arguments):
        at_work.append(1)
        most.append(len(at_work))
        result = yield from original(*arguments)
        at_work.pop()
        return result

    monkeypatch.setattr(analysis_module, "classify_steps", watched)
    threads = [
        threading.Thread(target=analyze, args=(study, KEY, models), kwargs={"any_input": True}) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1]


def test_a_series_without_a_liver_is_refused_and_frees_the_device(models, study, tmp_path):
    empty = study_of(make_volume((slice(0, 0), slice(0, 0), slice(0, 0))), tmp_path / "empty")
    with pytest.raises(SegmentationError):
        analyze(empty, KEY, models, any_input=True)
    assert analyze(study, KEY, models, any_input=True).organs.liver_ml > 200


def test_a_series_that_is_not_there_is_refused(models, study):
    with pytest.raises(SeriesError):
        analyze(study, "s99", models, any_input=True)


def test_a_liver_at_the_edge_is_said(models, tmp_path):
    study = study_of(make_volume((slice(0, 9), slice(0, 20), slice(0, 24))), tmp_path / "edge")
    found = analyze(study, KEY, models, any_input=True)
    assert "liver_at_edge" in {warning.code for warning in found.warnings}


@pytest.mark.slow
@pytest.mark.skipif(
    not all((SHIPPED / name / "model.json").exists() for name in ("liver_t2", "fibrosis_t2")),
    reason="the shipped models are not here",
)
def test_nifti_and_dicom_of_one_volume_give_one_answer(tmp_path):
    file = shared_path("chaos_t2/images/chaos01_0000.nii.gz")
    image = sitk.DICOMOrient(sitk.ReadImage(file), "LPS")
    write_dicom_series(image, tmp_path / "series")
    models = load_models("liver_t2/fold0", "fibrosis_t2", "cpu")
    found = []
    for number, upload in enumerate((file, zip_folder(tmp_path / "series"))):
        study = open_upload(upload, tmp_path / str(number))
        found.append(analyze(study, preselected(study).key, models, any_input=True))
    nifti, dicom = found
    assert (nifti.organs.liver == dicom.organs.liver).all()
    assert nifti.fibrosis.probability == pytest.approx(dicom.fibrosis.probability, abs=1e-4)


@pytest.mark.parametrize("code", sorted(analysis_module.DISTRUST_CODES))
def test_images_unlike_the_training_data_give_a_poor_mask_with_their_words(models, study, monkeypatch, code):
    warned = replace(make_volume(BOX), warnings=(CaseWarning(code, "Values far below zero, as in CT."),))
    monkeypatch.setattr(analysis_module, "read_series", lambda study, key: warned)
    found = analyze(study, KEY, models, any_input=True)
    assert (found.organs.score, found.organs.reasons) == (3, ("values far below zero, as in CT",))
    assert found.organs.predicted_dice is None
    assert found.unreliable
    poor = next(warning for warning in found.warnings if warning.code == "poor_segmentation")
    assert poor.message == "The liver outline is probably poor: values far below zero, as in CT."
    assert analysis_json(found)["segmentation_quality"]["score"] == 3
    assert analysis_json(found)["fibrosis"]["unreliable"] is True
    assert "score 3" in mask_quality(found.organs)


def test_no_figures_are_predicted_for_images_unlike_the_training_data(models, study, monkeypatch):
    warned = replace(make_volume(BOX), warnings=(CaseWarning("noise", "This looks like noise."),))
    monkeypatch.setattr(analysis_module, "read_series", lambda study, key: warned)
    original = analysis_module.segment_steps

    def judged(*arguments):
        organs = yield from original(*arguments)
        return replace(organs, score=2, predicted_dice=0.88, predicted_hd95_mm=12.0, reasons=("blurred outline",))

    monkeypatch.setattr(analysis_module, "segment_steps", judged)
    organs = analyze(study, KEY, models, any_input=True).organs
    assert (organs.score, organs.predicted_dice, organs.predicted_hd95_mm) == (3, None, None)
    assert organs.reasons == ("this looks like noise",)


@pytest.mark.parametrize("codes", [[], ["thick_slices", "echo_time", "few_slices"]])
def test_an_ordinary_t2_series_keeps_its_score(models, study, monkeypatch, codes):
    ordinary = replace(make_volume(BOX), warnings=tuple(CaseWarning(code, "Words.") for code in codes))
    monkeypatch.setattr(analysis_module, "read_series", lambda study, key: ordinary)
    found = analyze(study, KEY, models, any_input=True)
    assert (found.organs.score, found.organs.reasons) == (None, ())
    assert "poor_segmentation" not in found.warning_codes
    assert "score" not in analysis_json(found)["segmentation_quality"]
    assert found.unreliable == bool(found.warning_codes & (POOR_MASK_CODES | UNSUITABLE_CODES))


def test_a_classifier_without_networks_gives_a_probability_and_no_heat_map(models, study, tmp_path):
    features = Classifier(write_feature_classifier(tmp_path / "features", "texture"), torch.device("cpu"))
    found = analyze(study, KEY, replace(models, classifier=features), any_input=True)
    assert 0 < found.fibrosis.probability < 1
    assert found.heatmap is None


def test_what_is_no_abdomen_is_segmented_but_not_classified(models, study, monkeypatch):
    monkeypatch.setattr(analysis_module, "classify_steps", lambda *_: pytest.fail("classified"))
    found = analyze(study, KEY, models)
    assert (found.fibrosis, found.heatmap) == (None, None)
    assert [warning.code for warning in found.not_classified] == ["not_suitable_anatomy"]
    assert found.organs.liver_ml > 200
    said = analysis_json(found)
    assert said["fibrosis"] is None
    assert said["not_classified"][0]["reason"].startswith("Not classified: ")


def test_other_input_is_classified_for_research_and_is_unreliable(models, study):
    found = analyze(study, KEY, models, any_input=True)
    assert found.fibrosis is not None
    assert found.not_classified == ()
    assert found.unreliable
    assert analysis_json(found)["fibrosis"]["unreliable"]
    assert "not_classified" not in analysis_json(found)
