"""Folders of label maps: what is found, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.case import view
from pipeline.errors import ManifestError
from pipeline.simulation.label_maps import find_label_maps, organ_labels
from tests.simulation.abdomens import image_of, labels_of, write_label_map


def test_label_maps_are_found_below_the_folder_with_ct_and_source(tmp_path):
    write_label_map(tmp_path / "b", "b1", labels_of(), ct=True)
    write_label_map(tmp_path / "a", "a1", labels_of(), ct=False)
    (tmp_path / "anatomies.csv").write_text('case,source\nb1,"Atlas, CC BY 4.0"\n')
    first, second = find_label_maps(tmp_path)
    assert (first.case, first.ct, first.source) == ("a1", None, "")
    assert (second.case, second.ct.name, second.source) == ("b1", "b1_ct.nii.gz", "Atlas, CC BY 4.0")


def test_a_painting_needs_every_organ_and_a_ct_or_labels_of_muscle(tmp_path):
    """A spleen without a label would be learned as background."""
    write_label_map(tmp_path, "ct", labels_of(), ct=True)
    write_label_map(tmp_path, "liver_ct", (labels_of() == 1).astype(np.uint8), ct=True)
    write_label_map(tmp_path, "dense", labels_of(dense=True), ct=False)
    write_label_map(tmp_path, "liver", (labels_of() == 1).astype(np.uint8), ct=False)
    assert {one.case: one.is_whole_abdomen() for one in find_label_maps(tmp_path)} == {
        "ct": True,
        "dense": True,
        "liver": False,
        "liver_ct": False,
    }


def test_a_folder_without_label_maps_is_refused(tmp_path):
    with pytest.raises(ManifestError, match="no file whose name ends in _labels"):
        find_label_maps(tmp_path)


def test_two_label_maps_of_one_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        write_label_map(tmp_path / folder, "same", labels_of(), ct=False)
    with pytest.raises(ManifestError, match="same name"):
        find_label_maps(tmp_path)


def test_a_table_without_its_columns_is_refused(tmp_path):
    write_label_map(tmp_path, "a1", labels_of(), ct=False)
    (tmp_path / "anatomies.csv").write_text("name\na1\n")
    with pytest.raises(ManifestError, match="columns case and source"):
        find_label_maps(tmp_path)


def test_a_label_map_without_a_liver_is_refused(tmp_path):
    write_label_map(tmp_path, "a1", np.zeros_like(labels_of()), ct=False)
    with pytest.raises(ManifestError, match="a1: the label map holds no liver"):
        find_label_maps(tmp_path)[0].read()


def test_a_ct_on_another_grid_is_refused(tmp_path):
    write_label_map(tmp_path, "a1", labels_of(), ct=False)
    sitk.WriteImage(image_of(np.zeros((9, 9, 9), np.float32)), tmp_path / "a1_ct.nii.gz")
    with pytest.raises(ManifestError, match=r"a1: .*grid"):
        find_label_maps(tmp_path)[0].read()


def test_other_organs_become_background():
    assert organ_labels(np.array([0, 1, 2, 3, 4, 5, 26], np.uint8)).tolist() == [0, 1, 2, 3, 4, 0, 0]


def test_values_without_a_meaning_count_as_background(tmp_path):
    labels = labels_of()
    labels[0, 0, :4] = (17, 27, 101, 255)
    write_label_map(tmp_path, "a1", labels, ct=False)
    read, _ = find_label_maps(tmp_path)[0].read()
    assert set(np.unique(view(read))) == set(np.unique(labels_of()))
