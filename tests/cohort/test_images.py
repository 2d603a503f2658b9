"""Labels that do not lie where their image lies are refused, wherever they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.cohort.images import read_labelled
from pipeline.errors import ManifestError
from pipeline.training.quality.robustness import read_from_zero


def write(file: Path, *, size=(8, 6, 4), spacing=(2.0, 2.0, 5.0), origin=(0.0, 0.0, 0.0), flip=False, kind=np.uint8):
    voxels = np.ones(size[::-1], kind)
    voxels[0] = 0 if kind == np.uint8 else -4
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    if flip:  # the same voxels, running to the other side of the patient
        image.SetDirection((-1, 0, 0, 0, 1, 0, 0, 0, 1))
    sitk.WriteImage(image, file)
    return file


@pytest.fixture
def image(tmp_path) -> Path:
    return write(tmp_path / "image.nii.gz", kind=np.float32)


def test_labels_may_be_stored_the_other_way_round(image, tmp_path):
    turned = sitk.DICOMOrient(sitk.ReadImage(write(tmp_path / "labels.nii.gz")), "RAI")
    sitk.WriteImage(turned, tmp_path / "turned.nii.gz")
    volume, labels = read_labelled("p1", image, tmp_path / "turned.nii.gz")
    assert labels.GetSize() == volume.image.GetSize()
    assert not sitk.GetArrayViewFromImage(labels)[0].any()


@pytest.mark.parametrize(
    "placed", [{"flip": True}, {"spacing": (2.0, 2.0, 6.0)}, {"origin": (0.0, 4.0, 0.0)}], ids=["flip", "step", "place"]
)
def test_labels_that_lie_elsewhere_are_refused_with_the_case(image, tmp_path, placed):
    labels = write(tmp_path / "labels.nii.gz", **placed)
    with pytest.raises(ManifestError, match="p1: image and mask lie at different places"):
        read_labelled("p1", image, labels)


def test_labels_of_another_size_and_files_that_are_no_image_are_refused(image, tmp_path):
    with pytest.raises(ManifestError, match="p1: image and mask have different sizes"):
        read_labelled("p1", image, write(tmp_path / "labels.nii.gz", size=(8, 6, 5)))
    (tmp_path / "junk.nii.gz").write_bytes(b"junk")
    for files in ((image, tmp_path / "junk.nii.gz"), (tmp_path / "junk.nii.gz", image)):
        with pytest.raises(ManifestError, match="p1: the image or mask cannot be read as a 3-D image") as caught:
            read_labelled("p1", *files)
        assert "junk" not in str(caught.value)


def test_voxels_below_zero_are_raised_for_the_corruptions(image, tmp_path):
    voxels, _ = read_from_zero("p1", image, write(tmp_path / "labels.nii.gz"))
    assert sitk.GetArrayViewFromImage(voxels).min() == 0
    assert sitk.GetArrayViewFromImage(voxels).max() == 5
