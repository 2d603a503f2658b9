"""Cases of a training: cached by content."""

from __future__ import annotations

import shutil

from pipeline.cohort.manifest import read_manifest
from pipeline.training.classifier.data import cache_case
from tests.training.classifier.cohorts import SPEC


def test_prepared_slices_are_known_by_what_the_files_hold_not_by_where_they_lie(cases, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in tmp_path.glob("*.*"):
        shutil.copy2(file, moved)
    rows = read_manifest(moved / "manifest.csv").rows
    again = [cache_case(index, row, tmp_path / "slices", SPEC) for index, row in rows.iterrows()]
    assert [case.file for case in again] == [case.file for case in cases]
