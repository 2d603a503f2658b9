"""The example cases as they are shipped: small, readable, and with their true labels beside them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from pipeline.case import LIVER
from pipeline.simulation.examples import make_slice, zipped_series

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"


@pytest.mark.parametrize("name", ["abdomen_t2", "abdomen_t2_dicom"])
def test_labels_hold_a_whole_liver(name):
    labels = sitk.ReadImage(str(EXAMPLES / "labels" / f"{name}.nii.gz"))
    array = sitk.GetArrayFromImage(labels)
    millilitres = np.count_nonzero(array == LIVER) * np.prod(labels.GetSpacing()) / 1000
    assert 900 < millilitres < 2150
    assert set(np.unique(array)) == {0, 1, 2, 3, 4}


def test_examples_are_small():
    assert (EXAMPLES / "abdomen_t2.nii.gz").stat().st_size < 2_500_000
    assert (EXAMPLES / "abdomen_t2_dicom.zip").stat().st_size < 3_000_000


def test_dicom_example_lies_on_the_grid_of_its_labels():
    labels = sitk.ReadImage(str(EXAMPLES / "labels" / "abdomen_t2_dicom.nii.gz"))
    with zipfile.ZipFile(EXAMPLES / "abdomen_t2_dicom.zip") as archive:
        slices = [pydicom.dcmread(io.BytesIO(archive.read(n))) for n in archive.namelist()]
    assert (slices[0].Columns, slices[0].Rows, len(slices)) == labels.GetSize()
    assert {str(ds.PatientName) for ds in slices} == {"PHANTOM"}
    for z, ds in enumerate(slices):
        expected = labels.TransformIndexToPhysicalPoint((0, 0, z))
        assert [float(p) for p in ds.ImagePositionPatient] == pytest.approx(expected, abs=1e-3)


def test_a_series_is_written_the_same_way_twice_and_reads_back():
    image = sitk.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    image.SetSpacing((2.0, 3.0, 7.0))
    assert zipped_series(image) == zipped_series(image)
    ds = make_slice(image, 1)
    assert [float(s) for s in ds.PixelSpacing] == [3.0, 2.0]
    assert np.array_equal(ds.pixel_array, np.arange(20, 40).reshape(4, 5))
