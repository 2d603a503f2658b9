"""The order of the picker and its sentences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.case import Series
from pipeline.intake import open_upload, preselected
from pipeline.intake.ranking import order
from tests.intake.helpers import save, write_nifti
from tests.phantoms import make_datasets, make_volume_image

LIKELY = Series(
    key="s01",
    kind="dicom",
    plane="axial",
    slices=24,
    pixel_mm=(1.25, 1.25),
    slice_step_mm=7.7,
    echo_time_ms=80.0,
    weighting="T2",
)
BEST_FIRST = (
    LIKELY,
    replace(LIKELY, slices=20),
    replace(LIKELY, weighting="unknown", slices=40),
    replace(LIKELY, plane="coronal", slices=40),
    replace(LIKELY, doubts=("only 8 slices",), slices=8),
    replace(LIKELY, doubts=("T1, not T2-weighted",), weighting="T1"),
    replace(LIKELY, doubts=("coronal, not axial",), plane="coronal"),
    replace(LIKELY, doubts=("coronal, not axial", "T1, not T2-weighted"), plane="coronal", weighting="T1"),
    replace(LIKELY, doubts=("another part of the body by its header", "computed from other images", "only 3 slices")),
)
"""Each pair of neighbours differs in one thing that decides, and what counts less speaks the other way."""


@pytest.mark.parametrize("given", [BEST_FIRST, BEST_FIRST[::-1]], ids=["in order", "reversed"])
def test_fewer_doubts_then_axial_then_t2_then_more_slices(given: tuple[Series, ...]) -> None:
    assert order(given) == BEST_FIRST


def test_equals_keep_their_order() -> None:
    equals = tuple(replace(LIKELY, key=key) for key in ("s02", "s01", "s03"))
    assert order(equals) == equals


def test_a_semicolon_within_a_doubt_does_not_count() -> None:
    two = replace(LIKELY, doubts=("coronal, not axial", "only 8 slices"))
    wordy = replace(LIKELY, doubts=("echo time 20 ms; 30 ms; 40 ms; 50 ms is unusual for T2 of the liver",))
    assert order([two, wordy]) == (wordy, two)


def offered(tmp_path: Path, *, orientation: str = "LPS", slices: int = 20, **tags: object) -> Series:
    datasets = make_datasets(make_volume_image(orientation=orientation), **tags)[:slices]
    return preselected(open_upload(save(datasets, tmp_path / "series"), tmp_path / "case"))


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ({}, "Likely the axial T2: axial slices, T2-weighted by its header, echo time 80 ms, 20 slices."),
        (
            {"EchoTime": None, "SeriesDescription": "t2_haste"},
            "Likely the axial T2: axial slices, T2-weighted by its header, 20 slices.",
        ),
        (
            {"SeriesDescription": "t2_haste", "EchoTime": 20.0},
            "Less likely: echo time 20 ms is unusual for T2 of the liver.",
        ),
        (
            {"EchoTime": None, "SeriesDescription": "", "slices": 8, "BodyPartExamined": "KNEE"},
            "Less likely: the header does not say that it is T2-weighted; only 8 slices; "
            "another part of the body by its header.",
        ),
        (
            {"orientation": "LIP", "SeriesDescription": "t1_vibe", "ImageType": ["DERIVED", "SECONDARY", "MPR"]},
            "Less likely: coronal, not axial; T1, not T2-weighted; computed from other images.",
        ),
    ],
    ids=["likely", "no echo time", "short echo", "bare", "coronal T1"],
)
def test_the_sentence_names_every_doubt(made: dict[str, object], why: str, tmp_path: Path) -> None:
    series = offered(tmp_path, **made)  # type: ignore[arg-type]
    assert series.why == why
    assert series.likely is why.startswith("Likely")


@pytest.mark.parametrize("orientation", ["LPS", "LIP", "PIL"])
@pytest.mark.parametrize(
    ("size_xyz", "spacing_mm_xyz", "plane"),
    [((48, 40, 20), (6.5, 6.0, 12.0), "axial"), ((48, 20, 40), (6.5, 12.0, 6.0), "coronal")],
)
def test_nifti_says_that_it_holds_no_weighting(
    orientation: str, size_xyz: tuple[int, ...], spacing_mm_xyz: tuple[float, ...], plane: str, tmp_path: Path
) -> None:
    image = make_volume_image(size_xyz, spacing_mm_xyz, orientation=orientation)
    file = write_nifti(image, tmp_path / "volume.nii.gz")
    series = preselected(open_upload(file, tmp_path / "case"))
    assert series.why == f"The only image of the file: {plane} slices; NIfTI does not say how it is weighted."
    assert series.likely is (plane == "axial")
