"""Where the page keeps reviews, by the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.page.server import settings
from pipeline.page.server.settings import ROOT, settings_from

SPACE = {"SPACE_ID": "me/app"}


def test_a_spaces_own_storage_is_used_where_it_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "STORAGE", tmp_path)
    assert settings_from(SPACE).reviews == tmp_path / "reviews"
    assert settings_from({}).reviews == ROOT / "reviews"
    assert settings_from(SPACE | {"FIBROREVIEW_REVIEWS": "/x"}).reviews == Path("/x")
    monkeypatch.setattr(settings, "STORAGE", tmp_path / "none")
    assert settings_from(SPACE).reviews == ROOT / "reviews"


def test_the_data_set_its_token_and_interval_are_read() -> None:
    environment = {"FIBROREVIEW_REVIEWS_DATASET": "hf://datasets/me/my-reviews", "HF_TOKEN": "hf_secret"}
    read = settings_from(environment | {"FIBROREVIEW_REVIEWS_PUSH_S": "5", "FIBROREVIEW_REVIEWS_PUBLIC": "yes"})
    assert (read.reviews_dataset, read.hub_token, read.reviews_push_s) == ("me/my-reviews", "hf_secret", 5)
    assert read.reviews_public
    assert "hf_secret" not in repr(read)
    default = settings_from({})
    assert (default.reviews_dataset, default.hub_token, default.reviews_public) == ("", None, False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("FIBROREVIEW_REVIEWS_DATASET", value) for value in ("reviews", "a/b/c", "a b/c", "../x", "https://x/y")),
        *(("FIBROREVIEW_REVIEWS_PUSH_S", value) for value in ("0", "x", "nan", "inf", "1e9", "-5")),
        ("FIBROREVIEW_REVIEWS_PUBLIC", "perhaps"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_its_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} must [^.]*\\.$"):
        settings_from({name: value})
