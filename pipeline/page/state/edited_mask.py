"""A liver mask that was corrected in the browser, as the page sends it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import InputError

LONGEST_TEXT = 700_000
"""Characters of the run lengths: an event takes 1 MiB, and a liver of 100 slices of 512 x 512 about 150,000."""
LONGEST_RUN_BYTES = 5
"""Bytes of one run's length, 7 bits each: up to 2^35 voxels."""
NOT_READ = "The corrected outline did not arrive as it was drawn: reload the page and try again."
TOO_ROUGH = "The corrected outline has too many small parts: remove loose specks and try again."
ANOTHER_GRID = "The corrected outline does not fit these images: open the case again and correct it anew."

Side = Annotated[int, Field(ge=1, le=100_000)]


class EditedMask(BaseModel):
    """A mask of 0 and 1 as run lengths: of 0, of 1, of 0 and so on, x fastest, then y, then z; the first may be empty.

    ``runs`` is the base64 of the lengths as LEB128: 7 bits a byte, the lowest first, the highest bit set in all but the
    last byte of a length.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    size_xyz: Annotated[list[Side], Field(min_length=3, max_length=3)]
    runs: str

    @classmethod
    def from_page(cls, text: str | None) -> EditedMask:
        """The page's JSON.

        Raises:
            InputError: it is not what the page sends, or larger than any that can be classified.
        """
        if len(text or "") > LONGEST_TEXT:
            raise InputError(TOO_ROUGH)
        try:
            return cls.model_validate_json(text or "")
        except ValueError as error:
            raise InputError(NOT_READ) from error

    def voxels(self, size_xyz: Sequence[int]) -> np.ndarray:
        """(z, y, x) bool, of ``size_xyz`` voxels: the grid of the images that the server shows.

        Raises:
            InputError: the mask has another grid, its runs do not fill it, or nothing is outlined.
        """
        if list(size_xyz) != self.size_xyz:
            raise InputError(ANOTHER_GRID)
        lengths = _lengths(self.runs)
        voxels = int(np.prod(self.size_xyz, dtype=np.int64))
        if int(lengths.sum()) != voxels or (lengths[1:] == 0).any():
            raise InputError(NOT_READ)
        if not lengths[1::2].sum():
            raise InputError("Nothing is outlined: outline the liver and try again.")
        values = np.arange(lengths.size) % 2 == 1
        return np.repeat(values, lengths).reshape(self.size_xyz[::-1])


def _lengths(runs: str) -> np.ndarray:
    """Run lengths, (runs,) int64. Raises InputError where the text is none."""
    try:
        coded = np.frombuffer(base64.b64decode(runs, validate=True), np.uint8)
    except (binascii.Error, ValueError) as error:
        raise InputError(NOT_READ) from error
    ends = np.flatnonzero(coded < 128)
    if not coded.size or not ends.size or ends[-1] != coded.size - 1:
        raise InputError(NOT_READ)
    starts = np.concatenate(([0], ends[:-1] + 1))
    if (ends - starts).max() >= LONGEST_RUN_BYTES:
        raise InputError(NOT_READ)
    place = np.arange(coded.size) - np.repeat(starts, ends - starts + 1)
    return np.add.reduceat((coded & 127).astype(np.int64) << (7 * place), starts)
