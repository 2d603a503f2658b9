"""Few bootstrap draws: their number is not what these tests are about."""

from __future__ import annotations

import pytest

from pipeline.evaluation import figures, measures


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(measures, "DRAWS", 40)
    monkeypatch.setattr(figures, "BAND_DRAWS", 40)
