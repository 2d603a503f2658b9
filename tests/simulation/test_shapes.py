"""Anatomies from label maps: painted ones, and real ones in the shape of donors that no other split sees."""

from __future__ import annotations

import csv
import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.case import LIVER
from pipeline.errors import ManifestError
from pipeline.simulation import shapes
from pipeline.simulation.label_maps import LabelMap
from pipeline.simulation.options import SimulationOptions
from pipeline.simulation.shapes import split_donors
from pipeline.simulation.simulate import prepare_anatomies, simulate
from tests.simulation.abdomens import ct_of, image_of, labels_of, write_label_map
from tests.simulation.test_simulate import InProcess

OPTIONS = SimulationOptions(cases=8, test=4, seed=3, workers=1)


def write_data(folder: Path) -> tuple[Path, Path]:
    """Three real cases with livers of their own, four whole abdomens and nine livers alone."""
    data, maps = folder / "data", folder / "maps"
    for name in ("imagesTr", "labelsTr"):
        (data / name).mkdir(parents=True)
    for k in range(3):
        labels = labels_of((45, 50 - 3 * k, 45 + 3 * k))
        kept = np.where(labels <= 4, labels, 0).astype(np.uint8)
        sitk.WriteImage(image_of(ct_of(labels)), data / "imagesTr" / f"real{k}_0000.nii.gz")
        sitk.WriteImage(image_of(kept), data / "labelsTr" / f"real{k}.nii.gz")
    for k in range(4):
        write_label_map(maps, f"whole{k}", labels_of((45, 46 + k, 44)), ct=True)
    for k in range(9):
        write_label_map(maps, f"donor{k}", (labels_of((45, 40 + 2 * k, 50)) == LIVER).astype(np.uint8), ct=False)
    return data, maps


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def sides(tmp_path, monkeypatch) -> tuple[list[shapes.Anatomy], list[shapes.Anatomy]]:
    """Anatomies of the training and the test cases, painted and warped in name only; donor0's warp is refused."""
    monkeypatch.setattr(shapes, "_write_painted", lambda *_: None)
    monkeypatch.setattr(shapes, "_write_warped", lambda subject, donor, seed, warped: donor.case != "donor0")
    return prepare_anatomies(InProcess(), tmp_path, OPTIONS, *write_data(tmp_path))


def test_splits_share_neither_anatomy_nor_donor(sides):
    train, test = ({anatomy.name for anatomy in side} for side in sides)
    assert not train & test
    assert train | test == {"real0", "real1", "real2", *(f"whole{k}" for k in range(4))}
    train, test = ({anatomy.donor for anatomy in side} - {""} for side in sides)
    assert train
    assert test
    assert not train & test
    assert train | test <= {f"donor{k}" for k in range(1, 9)}


def test_a_donor_lends_its_shape_to_one_real_subject_which_keeps_its_name(sides):
    warped = [anatomy for side in sides for anatomy in side if anatomy.donor]
    assert {anatomy.name for anatomy in warped} == {"real0", "real1", "real2"}
    assert len({anatomy.donor for anatomy in warped}) == len(warped)
    assert all(anatomy.image.name == f"{anatomy.name}-as-{anatomy.donor}_0000.nii" for anatomy in warped)


def test_donors_are_split_by_share_and_the_seed_decides():
    maps = [LabelMap(f"d{k}", Path(), None, "") for k in range(12)]
    train, test = split_donors(maps, 0.25, np.random.SeedSequence(0))
    assert (len(train), len(test)) == (9, 3)
    assert {one.case for one in train + test} == {one.case for one in maps}
    assert split_donors(maps, 0.25, np.random.SeedSequence(0)) == (train, test)
    assert split_donors(maps, 0.0, np.random.SeedSequence(0)) == (maps, [])


def test_a_label_map_named_as_a_real_case_is_refused(tmp_path):
    data, maps = write_data(tmp_path)
    write_label_map(maps, "real1", labels_of(), ct=False)
    with pytest.raises(ManifestError, match="real1; leave them out of one"):
        shapes.find_shapes(InProcess(), maps, shapes_real(data))


def shapes_real(data: Path) -> list[shapes.Anatomy]:
    return [shapes.Anatomy(f"real{k}", data, data) for k in range(3)]


def test_livers_alone_are_no_anatomies(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.simulation.simulate.worker_pool", lambda workers: nullcontext(InProcess()))
    write_label_map(tmp_path / "maps", "liver", (labels_of() == LIVER).astype(np.uint8), ct=False)
    with pytest.raises(ManifestError, match="whole abdomen"):
        simulate(tmp_path / "out", replace(OPTIONS, phantoms=0), shapes=tmp_path / "maps")


@pytest.mark.slow
def test_the_seed_decides_painted_and_warped_anatomies_whatever_the_workers(tmp_path):
    data, maps = write_data(tmp_path)
    first, again = (
        simulate(tmp_path / f"out{workers}", replace(OPTIONS, workers=workers), anatomies=data, shapes=maps)
        for workers in (1, 2)
    )
    assert first.read_text() == again.read_text()
    truth, facts = rows(first.parent / "truth.csv"), json.loads((first.parent / "cohort.json").read_text())
    for row, case in zip(rows(first), truth, strict=True):
        voxels = [sitk.GetArrayFromImage(sitk.ReadImage(str(m.parent / row["image"]))) for m in (first, again)]
        np.testing.assert_array_equal(*voxels)
        assert facts["donors"].get(case["shape_donor"], row["source_anatomy"]) == row["source_anatomy"]
    assert any(case["shape_donor"] for case in truth)
