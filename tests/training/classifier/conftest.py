"""Fixtures of the classifier's trainings."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.network_names import BACKBONES
from pipeline.cohort.manifest import read_manifest
from pipeline.training.classifier.data import CachedCase, cache_case
from pipeline.training.classifier.out_of_fold import OutOfFoldFigures
from tests.training.classifier.cohorts import SPEC, TINY, train, write_cohort


@pytest.fixture
def cases(tmp_path: Path) -> list[CachedCase]:
    """Eight cases of four anatomies; every other one is positive."""
    rows = read_manifest(write_cohort(tmp_path)).rows
    return [cache_case(index, row, tmp_path / "slices", SPEC) for index, row in rows.iterrows()]


@pytest.fixture
def tiny_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ``TINY`` the name of timm's smallest ResNet."""
    monkeypatch.setitem(BACKBONES, TINY, ("test_resnet", (1, 2, 3)))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, OutOfFoldFigures]:
    """The folder of a cohort and of a model with the default backbone trained on it, and what was measured."""
    folder = tmp_path_factory.mktemp("trained")
    figures = train(write_cohort(folder), folder / "model", settings={"epochs": 2})
    assert figures is not None
    return folder, figures
