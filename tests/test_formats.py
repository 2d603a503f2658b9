"""One volume as NIfTI and as DICOM gives one answer; ``test_analysis.py`` repeats it with the shipped models."""

from __future__ import annotations

import pytest
import SimpleITK as sitk
import torch

from pipeline.classification import Classifier, classify
from pipeline.intake import open_upload, preselected, read_series
from pipeline.segmentation import segment
from tests.classification.conftest import write_classifier
from tests.phantoms import write_dicom_series, zip_folder
from tests.segmentation.conftest import bright_segmenter, make_volume, model_folder  # noqa: F401 - fixtures

BOX = (slice(3, 9), slice(5, 20), slice(4, 24))


def test_nifti_and_dicom_of_one_volume_give_one_answer(bright_segmenter, tmp_path):  # noqa: F811
    classifier = Classifier(write_classifier(tmp_path / "classifier"), torch.device("cpu"))
    image = sitk.Cast(make_volume(BOX).image, sitk.sitkUInt16)
    sitk.WriteImage(image, str(tmp_path / "volume.nii.gz"))
    write_dicom_series(image, tmp_path / "series")
    found = []
    for number, upload in enumerate((tmp_path / "volume.nii.gz", zip_folder(tmp_path / "series"))):
        study = open_upload(upload, tmp_path / str(number))
        volume = read_series(study, preselected(study).key)
        organs = segment(volume, bright_segmenter)
        found.append((organs, classify(volume, organs, classifier)))
    (nifti_organs, nifti), (dicom_organs, dicom) = found
    assert nifti_organs.liver_ml > 200
    assert (nifti_organs.liver == dicom_organs.liver).all()
    assert nifti.probability == pytest.approx(dicom.probability, abs=1e-6)
