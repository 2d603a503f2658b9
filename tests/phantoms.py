"""Small MR volumes with known corners, and writers that put them into DICOM as a scanner or a PACS would."""

from __future__ import annotations

import itertools
import random
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from tests.abdomen import make_abdomen

CORNERS = {
    corner: 500 + 60 * number
    for number, corner in enumerate("".join(letters) for letters in itertools.product("RL", "AP", "SI"))
}
"""Value of the marker in each anatomical corner: RAS is right anterior superior. All eight differ."""

SECRET = "Geheim^Patientin"
"""The PatientName of every DICOM phantom: a message that holds it leaks."""


def make_volume_image(
    size_xyz: Sequence[int] = (48, 40, 20),
    spacing_mm_xyz: Sequence[float] = (6.5, 6.0, 12.0),
    *,
    orientation: str = "LPS",
    tilt_degrees: float = 0.0,
    seed: int = 0,
) -> sitk.Image:
    """A uint16 image: the fake abdomen, below 500, and in every corner the marker of ``CORNERS``.

    Size and spacing are those of the LPS grid (its default field of view, 312 x 240 x 240 mm, holds an abdomen);
    ``orientation`` then permutes and flips the axes (``PIL`` gives sagittal slices), and ``tilt_degrees`` turns the
    whole grid about the left-right axis.
    """
    voxels = sitk.GetArrayFromImage(make_abdomen(size_xyz, spacing_mm_xyz, seed=seed)[0])
    # x grows to the patient's left, y to posterior, z to superior.
    ends = {"R": 0, "L": -1, "A": 0, "P": -1, "I": 0, "S": -1}
    for corner, value in CORNERS.items():
        voxels[ends[corner[2]], ends[corner[1]], ends[corner[0]]] = value
    image = sitk.GetImageFromArray(voxels.astype(np.uint16))
    image.SetSpacing([float(mm) for mm in spacing_mm_xyz])
    turned = sitk.Euler3DTransform((0.0, 0.0, 0.0), float(np.deg2rad(tilt_degrees)), 0.0, 0.0).GetMatrix()
    image.SetDirection(turned)
    centre = [mm * (n - 1) / 2 for n, mm in zip(size_xyz, spacing_mm_xyz, strict=True)]
    image.SetOrigin([float(v) for v in -np.reshape(turned, (3, 3)) @ centre + (3.0, -11.0, 40.0)])
    return image if orientation == "LPS" else sitk.DICOMOrient(image, orientation)


def corner_values(image: sitk.Image) -> dict[str, float]:
    """The voxel in each anatomical corner, found from the image's own geometry: compare with ``CORNERS``."""
    centre = np.array(image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()]))
    found = {}
    for index in itertools.product(*((0, n - 1) for n in image.GetSize())):
        x, y, z = np.array(image.TransformIndexToPhysicalPoint(index)) - centre
        found[("L" if x > 0 else "R") + ("P" if y > 0 else "A") + ("S" if z > 0 else "I")] = float(image[index])
    return found


def make_datasets(image: sitk.Image, **tags: Any) -> list[Dataset]:
    """One MR data set per slice along the image's third axis, in that order; ``tags`` are set on every slice."""
    shared: dict[str, Any] = _header(MRImageStorage) | _geometry(image) | tags
    voxels = sitk.GetArrayFromImage(image)
    datasets = []
    for z, pixels in enumerate(voxels):
        uid = generate_uid()
        position = _text(image.TransformIndexToPhysicalPoint((0, 0, z)))
        own: dict[str, Any] = {"SOPInstanceUID": uid, "ImagePositionPatient": position, "InstanceNumber": z + 1}
        datasets.append(_dataset(shared | own | {k: v for k, v in tags.items() if k in own}, pixels))
    return datasets


def write_dicom_series(image: sitk.Image, folder: Path, *, shuffled: bool = True, **tags: Any) -> list[Path]:
    """Write ``make_datasets`` into ``folder``, without extensions; returns the files.

    ``shuffled`` makes both file names and InstanceNumber disagree with the position, as they may in an export.
    """
    datasets = make_datasets(image, **tags)
    names = list(range(len(datasets)))
    if shuffled:
        random.Random(1).shuffle(names)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for dataset, name in zip(datasets, names, strict=True):
        dataset.InstanceNumber = name + 1
        files.append(folder / f"IM{name:05d}")
        dataset.save_as(files[-1], enforce_file_format=True)
    return files


def write_enhanced(image: sitk.Image, file: Path, **tags: Any) -> Path:
    """Write the image as one enhanced multi-frame MR file, frames shuffled."""
    order = list(range(image.GetSize()[2]))
    random.Random(2).shuffle(order)
    geometry = _geometry(image)
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = geometry.pop("PixelSpacing"), geometry.pop("SliceThickness")
    measures.SpacingBetweenSlices = geometry.pop("SpacingBetweenSlices")
    orientation.ImageOrientationPatient = geometry.pop("ImageOrientationPatient")
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    frames = []
    for z in order:
        frame, position, content, echo = Dataset(), Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = _text(image.TransformIndexToPhysicalPoint((0, 0, z)))
        content.StackID, content.InStackPositionNumber, content.DimensionIndexValues = "1", z + 1, [1, z + 1]
        echo.EffectiveEchoTime = 80.0
        frame.PlanePositionSequence, frame.FrameContentSequence = [position], [content]
        frame.MREchoSequence = [echo]
        frames.append(frame)
    multi: dict[str, Any] = {
        "SharedFunctionalGroupsSequence": [shared],
        "PerFrameFunctionalGroupsSequence": frames,
        "NumberOfFrames": len(order),
        "SOPInstanceUID": generate_uid(),
    }
    pixels = sitk.GetArrayFromImage(image)[order]
    header = {k: v for k, v in _header(EnhancedMRImageStorage).items() if k not in ("EchoTime", "RepetitionTime")}
    _dataset(header | geometry | multi | tags, pixels).save_as(file, enforce_file_format=True)
    return file


def zip_folder(folder: Path) -> Path:
    """Zip a folder beside itself, keeping its sub-folders; returns the zip."""
    file = folder.with_name(folder.name + ".zip")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(path, path.relative_to(folder))
    return file


def _header(sop_class: str) -> dict[str, Any]:
    """What is equal in all slices of a phantom series; the patient's data are there to be leaked."""
    return {
        "SOPClassUID": sop_class,
        "Modality": "MR",
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"],
        "PatientName": SECRET,
        "PatientID": "4711",
        "PatientBirthDate": "19510203",
        "PatientSex": "F",
        "StudyDate": "20240102",
        "StudyTime": "101112",
        "StudyID": "1",
        "AccessionNumber": "A1",
        "ReferringPhysicianName": "",
        "Manufacturer": "Phantom",
        "SeriesDescription": f"T2 TSE axial {SECRET}",
        "SeriesNumber": 3,
        "StudyInstanceUID": generate_uid(),
        "SeriesInstanceUID": generate_uid(),
        "FrameOfReferenceUID": generate_uid(),
        "PositionReferenceIndicator": "",
        "PatientPosition": "HFS",
        "EchoTime": 80.0,
        "RepetitionTime": 3000.0,
        "ScanningSequence": "SE",
        "SequenceVariant": "SK",
        "PhotometricInterpretation": "MONOCHROME2",
        "SamplesPerPixel": 1,
        "PixelRepresentation": 0,
    }


def _geometry(image: sitk.Image) -> dict[str, Any]:
    """DICOM's words for the image's grid: columns run along x, so PixelSpacing is (y, x)."""
    x, y, z = image.GetSpacing()
    axes = np.reshape(image.GetDirection(), (3, 3)).T
    return {
        "ImageOrientationPatient": _text(np.concatenate([axes[0], axes[1]])),
        "PixelSpacing": _text([y, x]),
        "SliceThickness": _text([z])[0],
        "SpacingBetweenSlices": _text([z])[0],
    }


def _text(values: Iterable[float]) -> list[str]:
    """Decimal strings of at most 16 characters."""
    return [f"{float(value):.10f}"[:16] for value in values]


def _dataset(tags: dict[str, Any], pixels: np.ndarray) -> Dataset:
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword, value in tags.items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    bits = 8 * pixels.dtype.itemsize
    dataset.Rows, dataset.Columns = pixels.shape[-2:] if dataset.SamplesPerPixel == 1 else pixels.shape[-3:-1]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelData = pixels.tobytes()
    return dataset
