"""Fixtures of the HTTP tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.page.state.open_cases import OpenCases


@pytest.fixture
def cases() -> Iterator[OpenCases]:
    made = OpenCases(keep_s=100)
    yield made
    made.close()
