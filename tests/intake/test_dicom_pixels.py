"""DICOM whose pixel header contradicts its pixels, or makes no numbers of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless, RLELossless

from pipeline.errors import InputError, SeriesError
from tests.intake.helpers import read, save
from tests.phantoms import CORNERS, corner_values, make_datasets, make_volume_image, write_enhanced


def opened(change: Callable[[Dataset], object], tmp_path: Path, *, which: slice = slice(None), **tags: object) -> None:
    datasets = make_datasets(make_volume_image(), **tags)
    for dataset in datasets[which]:
        change(dataset)
    read(save(datasets, tmp_path / "series"), tmp_path / "case")


def set_raw(keyword: str, text: str) -> Callable[[Dataset], object]:
    """Set a decimal string to what pydicom itself would not write."""

    def change(dataset: Dataset) -> None:
        dataset[keyword] = pydicom.DataElement(keyword, "LO", text)
        dataset[keyword].VR = "DS"

    return change


@pytest.mark.parametrize("which", [slice(None), slice(3, 4)], ids=["all slices", "one slice"])
@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
@pytest.mark.parametrize("text", ["NaN", "inf", "-Infinity", "1e999"])
def test_rescale_that_is_no_number(keyword: str, text: str, which: slice, tmp_path: Path) -> None:
    others = {"RescaleSlope": "1", "RescaleIntercept": "0"}
    with pytest.raises(SeriesError, match="damaged"):
        opened(set_raw(keyword, text), tmp_path, which=which, **others)


@pytest.mark.parametrize(
    ("slope", "intercept", "says"),
    [("0", "0", "damaged"), ("1e30", "0", "no intensities"), ("1", "1e30", "no intensities"), ("1e-30", "0", "no int")],
)
def test_rescale_out_of_range(slope: str, intercept: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        opened(lambda _: None, tmp_path, RescaleSlope=slope, RescaleIntercept=intercept)


@pytest.mark.parametrize("keyword", ["Columns", "Rows"])
@pytest.mark.parametrize("off", [-1, 1, 20])
def test_declared_size_is_not_that_of_the_pixels(keyword: str, off: int, tmp_path: Path) -> None:
    with pytest.raises(SeriesError, match="damaged"):
        opened(lambda dataset: setattr(dataset, keyword, dataset[keyword].value + off), tmp_path)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless], ids=["RLE", "JPEG-LS"])
@pytest.mark.parametrize("keyword", ["Columns", "Rows"])
def test_declared_size_is_not_that_of_the_compressed_frame(keyword: str, syntax: str, tmp_path: Path) -> None:
    def change(dataset: Dataset) -> None:
        dataset.compress(syntax, generate_instance_uid=False)
        setattr(dataset, keyword, dataset[keyword].value - 1)

    with pytest.raises(SeriesError, match="damaged"):
        opened(change, tmp_path)


@pytest.mark.parametrize("tags", [{"BitsStored": 17}, {"BitsStored": 40}, {"BitsAllocated": 12}, {"BitsAllocated": 0}])
def test_bits_that_cannot_be(tags: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(SeriesError):
        opened(lambda dataset: [setattr(dataset, keyword, bits) for keyword, bits in tags.items()], tmp_path)


@pytest.mark.parametrize("change", ["63 columns", "nan slope"])
def test_enhanced_is_held_to_the_same(change: str, tmp_path: Path) -> None:
    file = write_enhanced(make_volume_image(), tmp_path / "a.dcm")
    dataset = pydicom.dcmread(file)
    if change == "63 columns":
        dataset.Columns -= 1
    else:
        for group in dataset.PerFrameFunctionalGroupsSequence:
            item = Dataset()
            item.RescaleSlope, item.RescaleIntercept, item.RescaleType = "1", "0", "US"
            set_raw("RescaleSlope", "NaN")(item)
            group.PixelValueTransformationSequence = [item]
    dataset.save_as(file)
    with pytest.raises(SeriesError, match="damaged"):
        read(file, tmp_path / "case")


def test_an_odd_window_does_not_matter(tmp_path: Path) -> None:
    datasets = make_datasets(make_volume_image(), WindowCenter="1e300", WindowWidth="-5")
    volume = read(save(datasets, tmp_path / "series"), tmp_path / "case")
    assert corner_values(volume.image) == CORNERS
    assert np.isfinite(volume.voxels).all()
