"""Whatever a NIfTI header says, it opens as a study of plausible size or is refused in one sentence."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as some

from pipeline.errors import PipelineError
from pipeline.intake.study import open_upload, preselected, read_series
from tests.intake.helpers import write_nifti
from tests.phantoms import make_volume_image

FIELDS = nib.Nifti1Header.template_dtype
CHANGES = some.dictionaries(
    some.sampled_from(FIELDS.names), some.binary(min_size=1, max_size=32), min_size=1, max_size=5
)


def intact() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write_nifti(make_volume_image((20, 18, 8)), Path(folder) / "a.nii").read_bytes()


INTACT = intact()


@settings(max_examples=200)
@given(CHANGES)
def test_any_header_opens_or_is_refused(changes: dict[str, bytes]) -> None:
    content = bytearray(INTACT)
    for name, value in changes.items():
        dtype, offset = FIELDS.fields[name][:2]
        value = (value * dtype.itemsize)[: dtype.itemsize]
        content[offset : offset + dtype.itemsize] = value
    with tempfile.TemporaryDirectory() as folder:
        file, into = Path(folder) / "a.nii", Path(folder) / "case"
        file.write_bytes(content)
        into.mkdir()
        said = ""
        try:
            study = open_upload(file, into)
            volume = read_series(study, preselected(study).key)
        except PipelineError as error:
            said = str(error)
        assert "\n" not in said
        assert folder not in said
        if not said:
            assert np.isfinite(volume.voxels).all()
            assert volume.voxels.size <= 4 * 20 * 18 * 8
