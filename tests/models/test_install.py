"""Installing a model: what is refused, by name and without a trace, and what is installed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from models import install as install_module
from models import registry
from models.weights import save_member
from pipeline.errors import ModelError
from pipeline.trial_run import try_out
from tests.classification.conftest import write_classifier
from tests.segmentation.conftest import PLANS, tiny_network, write_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"

install = partial(install_module.install, try_out=try_out)


@pytest.fixture
def segmenter(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny")


def content(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def change(file: Path, **facts: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | facts))


def store(folder: Path, member: str, state: dict[str, torch.Tensor]) -> None:
    """Other weights with hashes to match, as a careful forger leaves them."""
    save_member(folder, member, state)
    registry.write_model_json(folder, json.loads((folder / "model.json").read_text()))


def flip_a_byte(folder: Path) -> None:
    file = folder / "fold1" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + bytes([file.read_bytes()[-1] ^ 1]))


def other_shape(folder: Path) -> None:
    store(folder, "fold1", tiny_network(labels=3).state_dict())


def not_finite(folder: Path) -> None:
    store(folder, "fold1", {k: v * torch.nan for k, v in tiny_network(labels=5).state_dict().items()})


def pickle_called_safetensors(folder: Path) -> None:
    torch.save({}, folder / "fold0" / "model.safetensors")
    registry.write_model_json(folder, json.loads((folder / "model.json").read_text()))


def member_that_leads_out(folder: Path) -> None:
    change(folder / "model.json", members=["fold0", "../fold1"])


def file_that_leads_out(folder: Path) -> None:
    change(folder / "model.json", sha256={"../fold0/model.safetensors": "0" * 64})


def weights_not_named(folder: Path) -> None:
    shutil.copytree(folder / "fold0", folder / "fold2")


def two_channels(folder: Path) -> None:
    change(folder / "dataset.json", channel_names={"0": "T2", "1": "T1"})


def foreign_class(folder: Path) -> None:
    text = (folder / "plans.json").read_text()
    (folder / "plans.json").write_text(text.replace("torch.nn.LeakyReLU", "os.system"))


def plan_without_spacing(folder: Path) -> None:
    plan = {k: v for k, v in PLANS["configurations"]["3d_fullres"].items() if k != "spacing"}
    change(folder / "plans.json", configurations={"3d_fullres": plan})


FAULTS: list[tuple[Callable[[Path], Any], str]] = [
    (flip_a_byte, r"fold1/model\.safetensors of ours/fold1 are missing or damaged"),
    (other_shape, r"fold1 .*wrong shapes"),
    (not_finite, r"fold1 .* not finite"),
    (pickle_called_safetensors, r"fold0/model\.safetensors of ours/fold0 are no safetensors"),
    (lambda folder: (folder / "fold0" / "optimizer.pth").touch(), r"fold0/optimizer\.pth may be a pickle"),
    (lambda folder: (folder / "fold1" / "pytorch_model.BIN").touch(), r"pytorch_model\.BIN may be a pickle"),
    (lambda folder: (folder / "setup.py").touch(), r"setup\.py does not belong"),
    (lambda folder: (folder / "evaluation.csv").symlink_to(folder / "plans.json"), r"evaluation\.csv is a link"),
    (lambda folder: (folder / "fold7").symlink_to(folder / "fold0"), "fold7 is a link"),
    (member_that_leads_out, r"'\.\./fold1', which is no member"),
    (file_that_leads_out, r"'\.\./fold0/model\.safetensors', which is no member or weight file"),
    (lambda folder: change(folder / "model.json", kind="oracle"), "unknown kind 'oracle'"),
    (lambda folder: shutil.rmtree(folder / "fold1"), r"fold1/model\.safetensors is missing"),
    (lambda folder: change(folder / "model.json", members=["fold0"]), "members and the weight files"),
    (weights_not_named, r"fold2/model\.safetensors is not named"),
    (lambda folder: (folder / "model.json").unlink(), r"model\.json is damaged"),
    (lambda folder: (folder / "plans.json").unlink(), r"plans\.json is missing"),
    (two_channels, "fold0 cannot be used"),
    (foreign_class, "does not allow"),
    (plan_without_spacing, "fold0 cannot be built or run"),
]


@pytest.mark.parametrize(("spoil", "message"), FAULTS)
def test_a_faulty_model_is_refused_by_name_and_changes_nothing(segmenter, spoil, message):
    shutil.copytree(segmenter, registry.site_folder() / "ours")
    before = content(registry.site_folder())
    spoil(segmenter)
    with pytest.raises(ModelError, match=message) as refused:
        install(str(segmenter), name="ours", replace=True)
    assert str(segmenter.parent) not in str(refused.value)
    assert content(registry.site_folder()) == before
    assert [folder.name for folder in registry.site_folder().iterdir()] == ["ours"]


def test_a_good_segmenter_is_installed_listed_and_chosen(segmenter):
    expected = content(segmenter)
    given = registry.read(segmenter)
    model = install(str(segmenter), name="ours", sha256=given.whole_sha256)
    shutil.rmtree(segmenter)
    assert (model.name, model.sha256) == ("ours", given.sha256)
    assert content(registry.site_folder() / "ours") == expected
    assert "ours" in registry.names("segmenter")
    assert "ours" not in registry.names("classifier")
    assert registry.find("ours", "segmenter").members == ("fold0", "fold1")
    assert registry.find("ours/fold1", "segmenter").state("fold1")


def test_the_whole_models_hash_tells_a_changed_threshold_and_a_removed_note(tmp_path):
    folder = write_classifier(tmp_path / "net", members=1).folder
    weights, pinned = registry.read(folder).sha256, registry.read(folder).whole_sha256
    change(folder / "model.json", threshold=0.95, note="")
    assert registry.read(folder).sha256 == weights
    with pytest.raises(ModelError, match="not the one that was asked for"):
        install(str(folder), sha256=pinned)
    assert install(str(folder), sha256=registry.read(folder).whole_sha256).info["threshold"] == 0.95


def test_a_good_classifier_is_installed_and_a_faulty_one_is_not(tmp_path):
    folder = write_classifier(tmp_path / "net", members=1).folder
    assert install(str(folder)).info["kind"] == "classifier"
    assert "net" in registry.names("classifier")
    change(folder / "model.json", network={"backbone": "resnet18", "mask": "attention", "stages": [1, 99]})
    with pytest.raises(ModelError, match="fold0 cannot be built or run"):
        install(str(folder), name="other")
    change(folder / "model.json", network={"backbone": "resnet18", "mask": "attention", "stages": [1]})
    with pytest.raises(ModelError, match=r"fold0 .* do not fit"):
        install(str(folder), name="other")
    change(folder / "model.json", network={"backbone": "resnet18", "mask": "attention", "stages": [1, 2]}, threshold=7)
    with pytest.raises(ModelError, match="threshold"):
        install(str(folder), name="other")


def test_an_installed_name_is_kept_unless_it_is_to_be_replaced(segmenter, tmp_path):
    install(str(segmenter))
    other = write_model(tmp_path / "other", members=1)
    with pytest.raises(ModelError, match="tiny is installed"):
        install(str(other), name="tiny")
    assert content(registry.site_folder() / "tiny") == content(segmenter)
    install(str(other), name="tiny", replace=True)
    assert content(registry.site_folder() / "tiny") == content(other)
    assert [folder.name for folder in registry.site_folder().iterdir()] == ["tiny"]


def test_the_model_before_comes_back_where_the_new_one_cannot_be_put(segmenter, tmp_path):
    before = content(segmenter)
    with pytest.raises(OSError, match="nowhere"):
        install_module._put(tmp_path / "nowhere", segmenter)
    assert content(segmenter) == before


@pytest.mark.parametrize("name", ["../up", ".hidden", "a/b", "x" * 65, "with space"])
def test_a_name_that_is_no_folder_name_is_refused(segmenter, name):
    with pytest.raises(ModelError, match="no name for a model"):
        install(str(segmenter), name=name)


def test_what_ships_is_not_replaced(segmenter):
    with pytest.raises(ModelError, match="ships with the app"):
        install(str(segmenter), name="liver_t2", replace=True)


def test_another_hash_than_asked_for_is_refused(segmenter):
    with pytest.raises(ModelError, match="hash"):
        install(str(segmenter), sha256="0" * 64)
    assert list(registry.site_folder().iterdir()) == []


def test_a_damaged_installed_model_hides_no_other(segmenter, caplog):
    install(str(segmenter))
    (registry.site_folder() / "half").mkdir()
    (registry.site_folder() / "half" / "model.json").write_text("{")
    assert "tiny" in registry.names("segmenter")
    assert "half is left out" in caplog.text


@pytest.fixture
def hub(segmenter, monkeypatch) -> list[tuple[str, str]]:
    """A Hub whose one repository holds the segmenter, a README and a pickle; remembers what was asked for."""
    (segmenter / "README.md").write_text("hello")
    (segmenter / "fold0" / "checkpoint_final.pth").write_bytes(b"pickle")
    asked: list[tuple[str, str]] = []

    def snapshot_download(repo_id: str, *, revision: str, local_dir: Path, allow_patterns: list[str]) -> str:
        asked.append((repo_id, revision))
        for name, data in content(segmenter).items():
            if any(fnmatch(name, pattern) for pattern in allow_patterns):
                (local_dir / name).parent.mkdir(parents=True, exist_ok=True)
                (local_dir / name).write_bytes(data)
        (local_dir / ".cache" / "huggingface").mkdir(parents=True)
        (local_dir / ".cache" / "huggingface" / "CACHEDIR.TAG").touch()
        return str(local_dir)

    monkeypatch.setattr(install_module, "snapshot_download", snapshot_download)
    return asked


def test_a_commit_of_the_hub_is_installed_without_its_pickles(hub, segmenter):
    model = install(f"someone/liver@{COMMIT}")
    assert hub == [("someone/liver", COMMIT)]
    assert model.name == "liver"
    expected = {k: v for k, v in content(segmenter).items() if k not in ("README.md", "fold0/checkpoint_final.pth")}
    assert content(model.folder) == expected


@pytest.mark.parametrize("revision", ["", "@main", "@v1.0", f"@{COMMIT[:-1]}", f"@{COMMIT}0", f"@{COMMIT.upper()}"])
def test_a_revision_that_is_no_commit_is_refused(hub, revision):
    with pytest.raises(ModelError, match="40 hex digits"):
        install(f"someone/liver{revision}", name="ours")
    assert hub == []


def test_a_hub_that_does_not_answer_is_one_sentence(monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise FileNotFoundError("offline")

    monkeypatch.setattr(install_module, "snapshot_download", fail)
    with pytest.raises(ModelError, match="cannot be fetched"):
        install(f"someone/liver@{COMMIT}")
    assert list(registry.site_folder().iterdir()) == []
