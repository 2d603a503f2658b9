"""The fake hub answers huggingface_hub as the Hub does."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub import errors as hub_errors

from tests.fake_hub import TOKEN, fake_hub

NAME, KIND = "me/data", "dataset"


def test_what_is_committed_is_listed_and_read_back(tmp_path: Path) -> None:
    with fake_hub() as hub:
        api = HfApi(endpoint=hub.address, token=TOKEN)
        assert api.whoami()["name"] == "me"
        api.create_repo(NAME, repo_type=KIND, private=True)
        api.create_repo(NAME, repo_type=KIND, private=True, exist_ok=True)
        assert api.dataset_info(NAME).private
        api.create_commit(NAME, [CommitOperationAdd("a.csv", b"one\r\n")], commit_message="m", repo_type=KIND)
        first = api.dataset_info(NAME).sha
        api.create_commit(NAME, [CommitOperationAdd("a.csv", b"two\r\n")], commit_message="m", repo_type=KIND)
        assert "a.csv" in api.list_repo_files(NAME, repo_type=KIND)
        (info,) = api.get_paths_info(NAME, ["a.csv", "none"], repo_type=KIND)
        assert info.size == 5  # type: ignore[union-attr]
        for revision, content in ((first, b"one\r\n"), ("main", b"two\r\n")):
            folder = api.snapshot_download(NAME, repo_type=KIND, revision=revision, local_dir=tmp_path / revision)
            assert (Path(folder) / "a.csv").read_bytes() == content
        add = [CommitOperationAdd("b.csv", b"x")]
        with pytest.raises(hub_errors.HfHubHTTPError, match="412"):
            api.create_commit(NAME, add, commit_message="m", repo_type=KIND, parent_commit=first)


def test_without_the_token_nothing_private_is_told() -> None:
    with fake_hub() as hub:
        HfApi(endpoint=hub.address, token=TOKEN).create_repo(NAME, repo_type=KIND, private=True)
        stranger = HfApi(endpoint=hub.address, token=False)
        with pytest.raises(hub_errors.HfHubHTTPError):
            stranger.dataset_info(NAME)
        with pytest.raises(hub_errors.HfHubHTTPError):
            stranger.create_repo("me/other")
