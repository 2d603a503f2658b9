"""Settings of the page come from the environment; wrong ones are named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.errors import ConfigError
from pipeline.page.server.settings import settings_from
from pipeline.page.state.open_cases import DISK_BUDGET


@pytest.mark.parametrize(
    ("variable", "good", "bad"),
    [
        ("KEEP_HOURS", "0.5", "-1"),
        ("MAX_DISK_GB", "5", "many"),
        ("FREE_DISK_GB", "0", "nan"),
        ("MAX_CASES", "3", "0"),
        ("MAX_WAITING", "0", "31"),
        ("MAX_SECONDS", "60", "inf"),
        ("MAX_UNPACKED_GB", "1", "0"),
        ("MAX_FILES", "5", "x"),
        ("MAX_RATIO", "50", "-3"),
        ("INTAKE_MEMORY_MB", "600", "nan"),
        ("INTAKE_SECONDS", "10", "0"),
        ("MAX_VOXELS", "1000000", "none"),
    ],
)
def test_limits_come_from_the_environment(variable: str, good: str, bad: str) -> None:
    name = f"FIBROREVIEW_{variable}"
    settings_from({name: good})
    with pytest.raises(ConfigError, match=name):
        settings_from({name: bad})


def test_limits_are_used() -> None:
    named = {"KEEP_HOURS": "0.5", "MAX_DISK_GB": "5", "MAX_CASES": "3", "MAX_WAITING": "0", "MAX_SECONDS": "60"}
    settings = settings_from({f"FIBROREVIEW_{name}": value for name, value in named.items()})
    assert settings.keep_case_s == 1800
    assert settings.disk == replace(DISK_BUDGET, total_bytes=5 << 30, cases_per_visitor=3)
    assert (settings.runs.waiting, settings.runs.seconds) == (0, 60)


def test_the_style_of_the_log_comes_from_the_environment() -> None:
    assert settings_from({}).log == "plain"
    assert settings_from({"FIBROREVIEW_LOG": "json"}).log == "json"
    with pytest.raises(ConfigError, match="FIBROREVIEW_LOG"):
        settings_from({"FIBROREVIEW_LOG": "xml"})


def test_names_of_the_server_come_from_the_environment() -> None:
    environment = {"FIBROREVIEW_HOSTS": "Liver.Example.org, other.org ", "SPACE_HOST": "owner-name.hf.space"}
    assert settings_from(environment).hosts == {"liver.example.org", "other.org", "owner-name.hf.space"}
    assert settings_from({}).hosts == frozenset()
