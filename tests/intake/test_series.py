"""Which slices belong together, which series comes first, and what is left out with which reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage, generate_uid

from pipeline.errors import SeriesError
from pipeline.intake import open_upload, preselected, read_series
from tests.intake.helpers import read, save
from tests.phantoms import SECRET, make_datasets, make_volume_image


def axial(**tags: Any) -> list[Dataset]:
    return make_datasets(make_volume_image(), **tags)


def one_series(datasets: list[Dataset]) -> list[Dataset]:
    for dataset in datasets:
        dataset.StudyInstanceUID = datasets[0].StudyInstanceUID
        dataset.SeriesInstanceUID = datasets[0].SeriesInstanceUID
        dataset.FrameOfReferenceUID = datasets[0].FrameOfReferenceUID
    return datasets


def move(dataset: Dataset, *, x: float = 0.0, z: float = 0.0) -> None:
    at = [float(v) for v in dataset.ImagePositionPatient]
    dataset.ImagePositionPatient = [at[0] + x, at[1], at[2] + z]


def missing() -> list[Dataset]:
    datasets = axial()
    del datasets[4]
    return datasets


def uneven() -> list[Dataset]:
    datasets = axial()
    move(datasets[4], z=7.0)
    return datasets


def one_position() -> list[Dataset]:
    datasets = axial()
    for dataset in datasets:
        dataset.ImagePositionPatient = datasets[0].ImagePositionPatient
    return datasets


def doubled() -> list[Dataset]:
    datasets = axial()
    return one_series(datasets + axial()[2:6])


def tilted() -> list[Dataset]:
    datasets = axial()
    for number, dataset in enumerate(datasets):
        move(dataset, x=2.0 * number)
    return datasets


def mixed() -> list[Dataset]:
    axial_half, coronal = axial(), make_datasets(make_volume_image(orientation="LIP"))
    return one_series(axial_half[:2] + coronal[:2])


def without_geometry() -> list[Dataset]:
    return axial(ImagePositionPatient=None)


def other_frames() -> list[Dataset]:
    datasets = axial()
    for dataset in datasets[6:]:
        dataset.FrameOfReferenceUID = generate_uid()
    return datasets


FAULTS = {
    "CT, not MR": lambda: axial(Modality="CT", SOPClassUID=CTImageStorage),
    "screen capture": lambda: axial(SOPClassUID=SecondaryCaptureImageStorage),
    "localizer": lambda: axial(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
    "mosaic": lambda: axial(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]),
    "one slice": lambda: axial()[:1],
    "two slices": lambda: axial()[:2],
    "a slice is missing": missing,
    "distance between its slices varies": uneven,
    "one position": one_position,
    "several images at the same position": doubled,
    "tilted gantry": tilted,
    "different directions": mixed,
    "do not say where": without_geometry,
    "one frame of reference": other_frames,
    "too small": lambda: make_datasets(make_volume_image((12, 40, 20))),
}


@pytest.mark.parametrize("reason", FAULTS)
def test_each_fault_has_its_own_reason(reason: str, tmp_path: Path) -> None:
    folder = save(FAULTS[reason](), tmp_path / "series")
    with pytest.raises(SeriesError) as refused:
        open_upload(folder, tmp_path / "case")
    message = str(refused.value)
    assert [other for other in FAULTS if other in message] == [reason]
    assert message.endswith(".")
    assert not any(part in message for part in SECRET.split("^"))


def test_series_without_pixels_is_refused_when_read(tmp_path: Path) -> None:
    datasets = axial()
    for dataset in datasets:
        del dataset.PixelData
    study = open_upload(save(datasets, tmp_path / "series"), tmp_path / "case")
    with pytest.raises(SeriesError, match="pixels"):
        read_series(study, preselected(study).key)


def test_echoes_and_time_points_of_one_series_become_stacks(tmp_path: Path) -> None:
    parts = [
        axial(EchoTime=20.0),
        axial(EchoTime=90.0),
        axial(EchoTime=90.0, TemporalPositionIdentifier=2),
        make_datasets(make_volume_image(orientation="LIP"), EchoTime=90.0),
    ]
    together = one_series([dataset for part in parts for dataset in part])
    study = open_upload(save(together, tmp_path / "series"), tmp_path / "case")
    assert [(s.plane, s.slices, s.echo_time_ms) for s in study.series] == [
        ("axial", 20, 90.0),
        ("axial", 20, 90.0),
        ("axial", 20, 20.0),
        ("coronal", 40, 90.0),
    ]
    assert len({read_series(study, s.key).source.case_id for s in study.series}) == 4


def test_one_stack_in_several_breath_holds_stays_one(tmp_path: Path) -> None:
    datasets = axial()
    for number, dataset in enumerate(datasets):
        dataset.AcquisitionNumber = number % 3
    assert [s.slices for s in open_upload(save(datasets, tmp_path / "s"), tmp_path / "case").series] == [20]


def test_copies_of_a_slice_count_once(tmp_path: Path) -> None:
    datasets = axial()
    save(datasets, tmp_path / "series" / "a")
    save(datasets, tmp_path / "series" / "b")
    assert preselected(open_upload(tmp_path / "series", tmp_path / "case")).slices == 20


def test_axial_t2_is_preselected_and_the_rest_is_explained(tmp_path: Path) -> None:
    parts = {
        "t1": axial(SeriesDescription="t1_vibe_fs_tra", EchoTime=2.0, RepetitionTime=4.0, ScanningSequence="GR"),
        "dwi": axial(SeriesDescription="T2 ep2d_diff_b800", EchoTime=60.0, DiffusionBValue=800.0),
        "cor": make_datasets(make_volume_image(orientation="LIP")),
        "t2": axial(),
        "loc": axial(SeriesDescription="Localizer"),
        "capture": axial(SOPClassUID=SecondaryCaptureImageStorage),
    }
    for name, datasets in parts.items():
        save(datasets, tmp_path / "series" / name)
    study = open_upload(tmp_path / "series", tmp_path / "case")
    best = preselected(study)
    assert (best.plane, best.weighting, best.likely, best.echo_time_ms) == ("axial", "T2", True, 80.0)
    assert "80 ms" in best.why
    assert [s.likely for s in study.series] == [True, False, False, False]
    assert {s.weighting for s in study.series} == {"T2", "T1", "DWI"}
    assert sorted(item.reason for item in study.left_out) == [
        "It is a localizer.",
        "It is a screen capture or other copy, not MR.",
    ]
    assert SECRET.split("^")[0] not in repr((study.series, study.left_out))


def test_what_no_series_needs_is_not_kept(tmp_path: Path) -> None:
    save(axial(), tmp_path / "series" / "t2")
    save(axial(SOPClassUID=SecondaryCaptureImageStorage), tmp_path / "series" / "capture")
    open_upload(tmp_path / "series", tmp_path / "case")
    assert len(list((tmp_path / "case").glob("*.dcm"))) == 20


def test_unknown_key_is_refused(dicom_folder: Path, case_folder: Path) -> None:
    with pytest.raises(SeriesError, match="choose"):
        read_series(open_upload(dicom_folder, case_folder), "s99")


@pytest.mark.parametrize(
    ("tags", "weighting"),
    [
        ({"SeriesDescription": "t2_haste_fs_tra"}, "T2"),
        ({"SeriesDescription": "ADC T2"}, "ADC"),
        ({"SeriesDescription": "MRCP 3D T2"}, "MRCP"),
        ({"SeriesDescription": "T2* map"}, "T2*"),
        ({"SeriesDescription": "Oberbauch", "ProtocolName": "LAVA dyn"}, "T1"),
        ({"SeriesDescription": "Oberbauch"}, "T2"),  # by echo time
        ({"SeriesDescription": "Oberbauch", "EchoTime": 10.0, "RepetitionTime": 500.0}, "T1"),
        ({"SeriesDescription": "Oberbauch", "ScanningSequence": "GR"}, "unknown"),
        ({"SeriesDescription": "Oberbauch", "EchoTime": None}, "unknown"),
    ],
)
def test_weighting_in_allowed_words(tags: dict[str, Any], weighting: str, tmp_path: Path) -> None:
    folder = save(axial(**tags), tmp_path / "series")
    assert preselected(open_upload(folder, tmp_path / "case")).weighting == weighting


def test_case_id_depends_on_the_uids_and_not_on_the_order(tmp_path: Path) -> None:
    datasets = axial()
    first = read(save(datasets, tmp_path / "a"), tmp_path / "case_a").source.case_id
    again = read(save(datasets[::-1], tmp_path / "b"), tmp_path / "case_b").source.case_id
    other = read(save(axial(), tmp_path / "c"), tmp_path / "case_c").source.case_id
    assert first == again != other
    assert len(first) == 16
