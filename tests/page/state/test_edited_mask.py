"""A corrected mask as the page sends it: read exactly, or refused in one sentence."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.page.state.edited_mask import LONGEST_TEXT, EditedMask
from tests.page.masks import leb128, sent_mask

SIZE_XYZ = (5, 4, 3)


def read(text: str | None) -> np.ndarray:
    return EditedMask.from_page(text).voxels(SIZE_XYZ)


@pytest.mark.parametrize("seed", range(5))
def test_every_voxel_comes_back_where_it_was_sent_from(seed: int) -> None:
    mask = np.random.default_rng(seed).random(SIZE_XYZ[::-1]) < 0.4
    np.testing.assert_array_equal(read(sent_mask(mask)), mask)


def test_x_runs_fastest() -> None:
    found = read(json.dumps({"size_xyz": SIZE_XYZ, "runs": base64.b64encode(bytes([1, 2, 57])).decode()}))
    assert np.argwhere(found).tolist() == [[0, 0, 1], [0, 0, 2]]


def test_long_runs_take_several_bytes() -> None:
    mask = np.zeros((2, 300, 300), bool)
    mask[1, 299, 299] = True
    sent = sent_mask(mask)
    assert len(sent) < 80
    np.testing.assert_array_equal(EditedMask.from_page(sent).voxels((300, 300, 2)), mask)


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ([60], "Nothing is outlined"),
        ([0, 61], "did not arrive"),
        ([0, 59], "did not arrive"),
        ([10, 0, 50], "did not arrive"),
        ([1 << 34, 1], "did not arrive"),
        ([], "did not arrive"),
    ],
)
def test_runs_must_fill_the_grid(lengths: list[int], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(json.dumps({"size_xyz": SIZE_XYZ, "runs": base64.b64encode(leb128(lengths)).decode()}))


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "[]",
        "{",
        '{"size_xyz": [5, 4, 3]}',
        '{"size_xyz": [5, 4], "runs": "PA=="}',
        '{"size_xyz": [5, 4, -3], "runs": "PA=="}',
        '{"size_xyz": [5, 4, 3.0], "runs": "PA=="}',
        '{"size_xyz": ["5", 4, 3], "runs": "PA=="}',
        '{"size_xyz": [5, 4, 3], "runs": 7}',
        '{"size_xyz": [5, 4, 3], "runs": "no base64"}',
        '{"size_xyz": [5, 4, 3], "runs": "gICAgICAgICAAQ=="}',
        '{"size_xyz": [5, 4, 3], "runs": "gA=="}',
        '{"size_xyz": [5, 4, 3], "runs": "PA==", "more": 1}',
    ],
)
def test_what_the_page_does_not_send_is_refused(text: Any) -> None:
    with pytest.raises(InputError, match="did not arrive"):
        read(text)


def test_another_grid_and_too_much_are_refused() -> None:
    with pytest.raises(InputError, match="does not fit these images"):
        read(sent_mask(np.ones((3, 5, 4), bool)))
    with pytest.raises(InputError, match="too many small parts"):
        read(" " * (LONGEST_TEXT + 1))
