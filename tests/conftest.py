"""What all rooms' tests share: a site key of their own, and the shared data where a checkout has them."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

from tests.phantoms import make_volume_image, write_dicom_series

# The same inputs in every run: what a longer search finds becomes a test of its own.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def own_site(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test writes into the developer's own data folder, or finds the developer's own models."""
    monkeypatch.setenv("FIBROREVIEW_SITE_KEY", "key of the tests")
    site = tmp_path_factory.mktemp("site")
    monkeypatch.setenv("FIBROREVIEW_DATA", str(site / "data"))
    monkeypatch.setenv("FIBROREVIEW_MODELS", str(site / "models"))


@pytest.fixture
def case_folder(tmp_path: Path) -> Path:
    """Where a case's copies go; not made yet."""
    return tmp_path / "case"


@pytest.fixture
def dicom_folder(tmp_path: Path) -> Path:
    """An axial T2 phantom series, shuffled, in a sub-folder as a PACS exports it."""
    write_dicom_series(make_volume_image(), tmp_path / "export" / "DICOM" / "SE00001")
    return tmp_path / "export"
