from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import SimpleITK as sitk

from tests.page.desk import Desk
from tests.phantoms import make_volume_image


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "case.nii.gz"
    sitk.WriteImage(make_volume_image((48, 40, 12), (6.5, 6.0, 20.0)), str(path))
    return path


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.cases.close()
