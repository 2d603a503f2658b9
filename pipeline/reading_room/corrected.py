"""The liver outline as a reader corrected it in an aided read, stored beside the row that it belongs to."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from models.files import atomic_path, file_sha256
from pipeline.errors import InputError, StudyError
from pipeline.page.state.edited_mask import EditedMask
from pipeline.reader_study.corrected_masks import MASK_FILE
from pipeline.reading_room.errors import Refused
from pipeline.reading_room.room import Room


def corrected_liver(room: Room, case_id: str, sent: str) -> np.ndarray | None:
    """(z, y, x) bool, on the grid of the case's images; None where it is the model's own mask.

    Args:
        sent: what the viewer sends, empty where nothing was corrected.

    Raises:
        Refused: it does not fit these images.
        StudyError: the model's mask cannot be read.
    """
    if not sent:
        return None
    files = room.files(case_id)
    try:
        liver = EditedMask.from_page(sent).voxels(files.images()["size_xyz"])
        model = sitk.GetArrayFromImage(sitk.ReadImage(str(files.mask))) > 0
    except InputError as error:
        raise Refused(422, str(error)) from error
    except RuntimeError as error:  # SimpleITK's own text holds the path
        raise StudyError("The model's mask of this case cannot be read; tell your coordinator.") from error
    return None if np.array_equal(liver, model) else liver


def store_liver(room: Room, case_id: str, review_id: str, liver: np.ndarray) -> str:
    """Write a corrected mask, 0 and 1, on the grid of the case's images; returns the file's SHA-256.

    Raises:
        StudyError: it cannot be written.
    """
    file = room.folder.corrected(review_id) / MASK_FILE
    try:
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(room.files(case_id).volume))
        reader.ReadImageInformation()
        mask = sitk.GetImageFromArray(liver.astype(np.uint8))
        mask.SetSpacing(reader.GetSpacing())
        mask.SetOrigin(reader.GetOrigin())
        mask.SetDirection(reader.GetDirection())
        with atomic_path(file) as partial:
            sitk.WriteImage(mask, str(partial), useCompression=True)
    except (OSError, RuntimeError) as error:
        raise StudyError("The corrected outline could not be stored; tell your coordinator.") from error
    return file_sha256(file)
