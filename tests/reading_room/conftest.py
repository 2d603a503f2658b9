"""Studies are prepared once for all tests of a module, and copied."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from pipeline.reader_study import accounts
from pipeline.reader_study.prepare import Prepared
from pipeline.reader_study.study_folder import StudyFolder
from tests.reader_study.prepared import make_study
from tests.reading_room.clients import Trial

Made = dict[str, tuple[StudyFolder, Prepared]]


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords of tests are worth no second of memory-hard work."""
    monkeypatch.setattr(accounts, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A study of each design: two readers, a practice case and three others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIBROREVIEW_SITE_KEY", "key of the tests")
        designs = ("sequential", "crossover")
        return {design: make_study(tmp_path_factory.mktemp(design), design=design, cases=3) for design in designs}


@pytest.fixture
def open_trial(made: Made, tmp_path: Path) -> Callable[[str], Trial]:
    def copy(design: str) -> Trial:
        folder, prepared = made[design]
        shutil.copytree(folder.root, tmp_path / design)
        return Trial.reopen(StudyFolder(tmp_path / design), prepared)

    return copy


@pytest.fixture
def trial(open_trial: Callable[[str], Trial]) -> Trial:
    """The sequential one."""
    return open_trial("sequential")


@pytest.fixture
def crossover(open_trial: Callable[[str], Trial]) -> Trial:
    return open_trial("crossover")
