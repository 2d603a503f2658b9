"""The page's two example cases: phantoms, one as NIfTI, one as the zip of a DICOM series with signs of cirrhosis.

Seeds are fixed, so that a second run writes the same bytes.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from pipeline.simulation.deformation import deform_anatomy
from pipeline.simulation.fibrosis_signs import FibrosisSigns
from pipeline.simulation.parameters import Parameters
from pipeline.simulation.phantom.phantom import make_phantom
from pipeline.simulation.scanner import Scan, acquire
from pipeline.simulation.simulated_case import image_on_grid
from pipeline.simulation.texture_signs import add_texture

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"
"""Folder of the page's example cases."""
NIFTI_SEED, DICOM_SEED = 3, 11
SIZE_XYZ = (192, 192, 30)
SPACING_MM_XYZ = (1.7, 1.7, 7.0)
CIRRHOSIS = FibrosisSigns(
    septa=0.24, septa_complete=0.85, nodules=0.1, nodule_mm=7.0, surface_mm=1.8, lobar=0.5, spleen=1.4, confluent=0.0
)
SCAN = Scan(in_plane_mm=1.7, slice_mm=7.0, gamma=1.0, noise=0.015, shading=0.08, blur_mm=0.4, ghosts=0.0, bright=800.0)


def make_examples(folder: Path) -> list[Path]:
    """Write abdomen_t2.nii.gz, abdomen_t2_dicom.zip and, in labels/, the true organ labels of both.

    Returns:
        The two cases; their labels are labels/abdomen_t2.nii.gz and labels/abdomen_t2_dicom.nii.gz.
    """
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    plain, labels = make_phantom(NIFTI_SEED, size_xyz=SIZE_XYZ, spacing_mm_xyz=SPACING_MM_XYZ)
    cases = [folder / "abdomen_t2.nii.gz", folder / "abdomen_t2_dicom.zip"]
    _write(sitk.Cast(plain, sitk.sitkInt16), cases[0])
    _write(labels, folder / "labels" / "abdomen_t2.nii.gz")
    ill, labels = make_cirrhotic(DICOM_SEED)
    cases[1].write_bytes(zipped_series(ill))
    _write(labels, folder / "labels" / "abdomen_t2_dicom.nii.gz")
    return cases


def _write(image: sitk.Image, path: Path) -> None:
    sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=9)


def make_cirrhotic(seed: int) -> tuple[sitk.Image, sitk.Image]:
    """A phantom with the signs of cirrhosis: int16 image and uint8 labels (0-4), LPS."""
    # Finer than the result, since the deformation interpolates once.
    image, labels = make_phantom(seed, size_xyz=(248, 248, 30), spacing_mm_xyz=(1.3, 1.3, 7.0))
    steady = Parameters(warp_mm=2.0, size_sd=0.0, tilt_deg=0.0)
    shape_seed, texture_seed, scan_seed = np.random.SeedSequence(seed).spawn(3)
    voxels, organs, spacing_mm_zyx = deform_anatomy(
        image, labels, CIRRHOSIS, SCAN, np.random.default_rng(shape_seed), steady
    )
    add_texture(voxels, organs, CIRRHOSIS, spacing_mm_zyx, np.random.default_rng(texture_seed))
    measured = acquire(voxels, SCAN, spacing_mm_zyx, np.random.default_rng(scan_seed))
    measured_image, organ_image = (image_on_grid(a, spacing_mm_zyx, image.GetOrigin()) for a in (measured, organs))
    return measured_image, organ_image


def zipped_series(image: sitk.Image) -> bytes:
    """Zip of one DICOM file per axial slice, with names and order as scanners write them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for z in range(image.GetDepth()):
            content = io.BytesIO()
            make_slice(image, z).save_as(content, enforce_file_format=True)
            entry = zipfile.ZipInfo(f"PHANTOM/SE000001/IM{z + 1:06d}", date_time=(2000, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content.getvalue())
    return buffer.getvalue()


def make_slice(image: sitk.Image, z: int) -> pydicom.FileDataset:
    """Slice ``z`` of an LPS image as a classic MR Image Storage object; voxels are clipped to 0-4095."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = _uid(f"slice {z}")
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID = _uid("study"), _uid("series")
    ds.FrameOfReferenceUID = _uid("frame of reference")
    _describe(ds)
    ds.SeriesNumber, ds.InstanceNumber = 1, z + 1
    x, y, thickness = image.GetSpacing()
    ds.PixelSpacing = [f"{y:.4f}", f"{x:.4f}"]  # rows lie y apart, columns x
    ds.SliceThickness = ds.SpacingBetweenSlices = f"{thickness:.4f}"
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    position = image.TransformIndexToPhysicalPoint((0, 0, z))
    ds.ImagePositionPatient = [f"{p:.4f}" for p in position]
    ds.SliceLocation = f"{position[2]:.4f}"
    pixels = np.clip(sitk.GetArrayFromImage(image)[z], 0, 4095).astype("<u2")
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelData = pixels.tobytes()
    return ds


def _describe(ds: FileDataset) -> None:
    """Set the attributes of an axial, fat-suppressed T2 series of a phantom."""
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
    ds.PatientName, ds.PatientID = "PHANTOM", "PHANTOM-2"
    ds.PatientBirthDate, ds.PatientSex, ds.PatientIdentityRemoved = "", "O", "YES"
    ds.DeidentificationMethod = "Phantom, made by software"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20000101"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "120000"
    ds.AccessionNumber, ds.ReferringPhysicianName, ds.StudyID = "", "", "1"
    ds.Modality, ds.Manufacturer = "MR", "FibroReview phantom"
    ds.StudyDescription, ds.SeriesDescription = "Phantom abdomen", "T2 SPIR AX"
    ds.ProtocolName, ds.BodyPartExamined, ds.PatientPosition = "T2_SPIR_TRA", "ABDOMEN", "HFS"
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions = "SE", "SK", "FS"
    ds.MRAcquisitionType, ds.MagneticFieldStrength = "2D", "1.5"
    ds.RepetitionTime, ds.EchoTime, ds.EchoTrainLength, ds.FlipAngle = "2000", "80", 20, "90"
    ds.PositionReferenceIndicator = ""


def _uid(name: str) -> UID:
    """A UID that depends on ``name`` only, so that the examples' bytes are reproducible."""
    return generate_uid(entropy_srcs=["FibroReview phantom example", name])


if __name__ == "__main__":
    make_examples(EXAMPLES)
