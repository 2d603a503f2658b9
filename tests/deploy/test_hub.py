"""Deploying to a Hub on loopback: what arrives there, that a second run updates, and its faults in one sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.deploy.files import files_of
from pipeline.deploy.hub import KEY_SECRET, Target, deploy, target_faults
from pipeline.errors import DeployError
from tests.deploy.conftest import CONTENT, SENT
from tests.fake_hub import FakeHub, Repo

TARGET = Target("me/app", "zero-a10g", "me/reviews", reviews_token="only-for-reviews")


def run(folder: Path, target: Target = TARGET, *, answer_s: float = 10.0) -> str:
    return deploy(files_of(folder), target, lambda words: None, answer_s=answer_s)


def test_the_space_holds_the_files_settings_and_hardware(checkout, hub):
    address = run(checkout)
    space = hub.repo("spaces/me/app")
    assert address == f"{hub.address}/spaces/me/app"
    assert sorted(set(space.files) - {".gitattributes"}) == SENT
    assert all(space.files[path] == CONTENT[path].encode() for path in SENT)
    assert space.variables == {"FIBROREVIEW_REVIEWS_DATASET": "me/reviews"}
    assert space.secrets["HF_TOKEN"] == "only-for-reviews"
    assert len(space.secrets[KEY_SECRET]) >= 32
    assert space.hardware == "zero-a10g"
    assert hub.repos["datasets/me/reviews"].private
    assert not space.private


def test_settings_are_there_before_the_files_start_the_space(checkout, hub):
    run(checkout)
    asked = [line for line in hub.asked if line.startswith("POST")]
    assert asked.index("POST /api/spaces/me/app/secrets") < asked.index("POST /api/spaces/me/app/commit/main")


def test_a_second_run_updates_and_keeps_the_key(checkout, hub):
    run(checkout)
    key, commits = hub.repo("spaces/me/app").secrets[KEY_SECRET], hub.repo("spaces/me/app").sha
    hub.asked.clear()
    run(checkout, replace(TARGET, reviews_token=None))
    space = hub.repo("spaces/me/app")
    assert space.sha == commits, "nothing has changed, so nothing is committed"
    assert not [line for line in hub.asked if "/store/" in line or "hardware" in line]
    (checkout / "pipeline" / "page" / "layout.py").write_text("'''Another.'''\n")
    (checkout / "assets" / "style.css").unlink()
    run(checkout, replace(TARGET, reviews_token=None))
    assert space.files["pipeline/page/layout.py"] == b"'''Another.'''\n"
    assert "assets/style.css" not in space.files, "what the app no longer has goes from the Space too"
    assert space.secrets[KEY_SECRET] == key, "another key would change every case id"


def test_a_private_space_is_made_so_and_stays_so(checkout, hub):
    run(checkout, replace(TARGET, private=True))
    assert hub.repo("spaces/me/app").private
    run(checkout)
    assert hub.repo("spaces/me/app").private


def test_a_public_space_can_be_made_private(checkout, hub):
    run(checkout)
    run(checkout, replace(TARGET, private=True))
    assert hub.repo("spaces/me/app").private


def test_a_public_data_set_is_refused_before_anything_is_made(checkout, hub):
    hub.repos["datasets/me/reviews"] = Repo(private=False)
    with pytest.raises(DeployError, match="public"):
        run(checkout)
    assert "spaces/me/app" not in hub.repos


def test_another_app_under_the_name_is_left_alone(checkout, hub):
    there = {".gitattributes": b"", "README.md": b"", "app.py": b"another"}
    hub.repos["spaces/me/app"] = Repo(files=dict(there))
    with pytest.raises(DeployError, match="name is taken"):
        run(checkout)
    assert hub.repo("spaces/me/app").files == there
    assert hub.repo("spaces/me/app").secrets == {}


def test_reviews_need_a_token_of_their_own(checkout, hub):
    with pytest.raises(DeployError, match="FIBROREVIEW_REVIEWS_TOKEN"):
        run(checkout, replace(TARGET, reviews_token=None))
    assert "app.py" not in hub.repo("spaces/me/app").files


def test_without_reviews_no_token_is_stored(checkout, hub):
    run(checkout, Target("me/app", reviews_token="only-for-reviews"))
    assert set(hub.repo("spaces/me/app").secrets) == {KEY_SECRET}
    assert hub.repo("spaces/me/app").hardware == "cpu-basic"


@pytest.mark.parametrize(
    ("pattern", "status", "said"),
    [
        ("whoami", 401, "does not accept your token"),
        ("whoami", 500, "has a fault"),
        ("whoami", "stall", "in time"),
        ("repos/create", 401, "does not accept your token"),
        ("repos/create", 403, "does not let you create"),
        ("repos/create", 409, "taken"),
        ("repos/create", 500, "has a fault"),
        ("repos/create", "stall", "in time"),
        ("POST .*secrets", 403, "does not let you set"),
        ("POST .*variables", 500, "has a fault"),
        ("preupload", 403, "does not let you take"),
        ("preupload", 500, "has a fault"),
        ("validate-yaml", 400, "header of README.md"),
        ("objects/batch", 413, "refuses"),
        ("PUT /store", 403, "does not let you"),
        ("PUT /store", 503, "has a fault"),
        ("PUT /store", "stall", "in time"),
        ("commit/main", 401, "does not accept your token"),
        ("commit/main", 409, "taken|changes it"),
        ("commit/main", 412, "changes it"),
        ("commit/main", 422, "refuses"),
        ("commit/main", 429, "asks you to wait"),
        ("commit/main", 500, "has a fault"),
        ("commit/main", "stall", "in time"),
        ("hardware", 402, "plan"),
    ],
)
def test_every_fault_of_the_hub_is_one_sentence_and_the_next_run_goes_on(checkout, hub, pattern, status, said):
    hub.faults[pattern] = status
    with pytest.raises(DeployError, match=said) as raised:
        run(checkout, answer_s=0.2)
    words = str(raised.value)
    assert "\n" not in words
    assert "only-for-reviews" not in words
    assert not {"Traceback", "Error:"} & set(words.split())
    hub.faults.clear()
    run(checkout)
    assert sorted(set(hub.repo("spaces/me/app").files) - {".gitattributes"}) == SENT


def test_a_hub_that_is_not_there_is_one_sentence(checkout, hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DeployError, match="could not be reached"):
        run(checkout)


def test_who_is_not_logged_in_is_told_how(checkout, hub, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(DeployError, match="hf auth login"):
        run(checkout)


@pytest.mark.parametrize("name", ["app", "me/app/x", "me/../x", "me/a b", "", "me/", "https://huggingface.co/me/app"])
def test_names_that_are_none_are_refused(name):
    assert len(target_faults(Target(name or " "))) == 1
    assert not target_faults(Target("me/app", reviews="me/reviews", hardware="zero-a10g"))


def test_unknown_hardware_is_refused():
    assert "cpu-basic" in target_faults(Target("me/app", "zero-a100"))[0]


def test_tokens_are_not_shown(hub: FakeHub):
    assert "only-for-reviews" not in repr(TARGET)
