"""Files of one case of a study: the images that every read shows, and apart from them what the models found.

images.json         what the viewer needs for the images alone; nothing in it comes from a model
overlays.json       what the viewer needs for mask, outline, heat map and doubts
analysis.json       the models' result, schema 1
liver_mask.nii.gz   liver (0 or 1) on the grid of volume.nii.gz
organs.nii.gz       all organs that the segmenter knows, on that grid; values of ``pipeline.case``
prepared.json       what the files were made of; written last, so where it exists the others are complete
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from models.files import file_sha256, write_json
from pipeline.case import Analysis, view
from pipeline.errors import StudyError
from pipeline.exports.analysis_json import analysis_json
from pipeline.exports.viewer_files import VOLUME_FILE, write_viewer_overlays, write_viewer_volume

IMAGES, OVERLAYS, ANALYSIS, MASK, ORGANS, PREPARED = (
    "images.json",
    "overlays.json",
    "analysis.json",
    "liver_mask.nii.gz",
    "organs.nii.gz",
    "prepared.json",
)


@dataclass(frozen=True)
class CaseFiles:
    """The folder of one case."""

    folder: Path

    @property
    def volume(self) -> Path:
        return self.folder / VOLUME_FILE

    @property
    def mask(self) -> Path:
        return self.folder / MASK

    def images(self) -> dict[str, Any]:
        """``images.json``. Raises: StudyError: it is missing or damaged."""
        return self._json(IMAGES)

    def overlays(self) -> dict[str, Any]:
        """``overlays.json``. Raises: StudyError: it is missing or damaged."""
        return self._json(OVERLAYS)

    def analysis(self) -> dict[str, Any]:
        """``analysis.json``. Raises: StudyError: it is missing or damaged."""
        return self._json(ANALYSIS)

    def is_prepared(self, input_sha256: str, models: dict[str, str]) -> bool:
        """Whether the files are complete and were made of this input by these models."""
        try:
            return self._json(PREPARED) == {"input_sha256": input_sha256, "models": models}
        except StudyError:
            return False

    def models(self) -> dict[str, dict[str, Any]]:
        """``segmenter`` and ``classifier`` as ``analysis.json`` names them. Raises as ``analysis``."""
        return self.analysis()["models"]

    def image_sha256(self) -> str:
        """Hash of voxels and geometry of the stored images.

        Raises:
            StudyError: they cannot be read.
        """
        try:
            image = sitk.ReadImage(str(self.volume))
        except RuntimeError as error:  # SimpleITK's own text holds the path
            raise StudyError("The images of a case cannot be read.") from error
        voxels = view(image)
        digest = hashlib.sha256(np.ascontiguousarray(voxels).tobytes())
        digest.update(json.dumps([voxels.dtype.str, voxels.shape]).encode())
        geometry = [*image.GetSpacing(), *image.GetOrigin(), *image.GetDirection()]
        digest.update(json.dumps([float(f"{value:.5g}") for value in geometry]).encode())
        return digest.hexdigest()

    def analysis_sha256(self) -> str:
        """Raises: OSError: there is no such file."""
        return file_sha256(self.folder / ANALYSIS)

    def files_sha256(self) -> str:
        """One hash over names and contents of all files."""
        files = sorted(file for file in self.folder.iterdir() if file.is_file() and not file.name.startswith("."))
        return hashlib.sha256("".join(f"{file.name} {file_sha256(file)}\n" for file in files).encode()).hexdigest()

    def _json(self, name: str) -> dict[str, Any]:
        try:
            content = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StudyError(f"A case's {name} is missing or damaged; prepare the study again.") from error
        if not isinstance(content, dict):
            raise StudyError(f"A case's {name} is damaged; prepare the study again.")
        return content


def write_case(analysis: Analysis, case_id: str, folder: Path, input_sha256: str) -> CaseFiles:
    """Write all files of a case under its pseudonym; those of an earlier analysis are replaced.

    Raises:
        StudyError: the folder cannot be written.
    """
    source = replace(analysis.volume.source, case_id=case_id)
    analysis = replace(analysis, volume=replace(analysis.volume, source=source))
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        _write_files(analysis, folder)
        models = {"segmenter": analysis.segmenter.sha256, "classifier": analysis.classifier.sha256}
        write_json(folder / PREPARED, {"input_sha256": input_sha256, "models": models})
    except (OSError, RuntimeError) as error:  # SimpleITK raises RuntimeError where it cannot write
        raise StudyError("A case cannot be stored: check the rights and the room of the study's folder.") from error
    return CaseFiles(folder)


def _write_files(analysis: Analysis, folder: Path) -> None:
    about = write_viewer_volume(analysis.volume, folder)
    size_xyz = analysis.volume.image.GetSize()
    write_json(
        folder / IMAGES,
        {
            "volume": about["file"],
            "size_xyz": about["size_xyz"],
            "spacing_mm_xyz": about["spacing_mm_xyz"],
            # From the image's own percentiles, and the middle slices: neither depends on a mask.
            "windows": {"full": about["window"]},
            "start_xyz": [n // 2 for n in size_xyz],
        },
    )
    write_json(folder / OVERLAYS, write_viewer_overlays(analysis, folder))
    liver = sitk.GetImageFromArray(analysis.organs.liver.astype(np.uint8))
    liver.CopyInformation(analysis.volume.image)
    sitk.WriteImage(liver, str(folder / MASK), useCompression=True)
    sitk.WriteImage(sitk.Cast(analysis.organs.labels, sitk.sitkUInt8), str(folder / ORGANS), useCompression=True)
    write_json(folder / ANALYSIS, analysis_json(analysis))
