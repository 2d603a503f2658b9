"""From nnU-Net's result folder to a model: nothing of an earlier model is touched before everything was found good."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models import registry
from models.folds import SEEN_BY_ALL, folds_from_split
from models.replacement import atomic_model_folder
from models.weights import save_member
from pipeline.errors import ModelError
from pipeline.segmentation import Segmenter
from pipeline.training.segmenter import export as segmenter_export
from pipeline.training.segmenter.options import ExportOptions
from tests.segmentation.conftest import LABELS, tiny_network, write_model

CONFIGURATION = "3d_fullres"


def write_fold(result: Path, fold: str, labels: int = len(LABELS), **other: object) -> None:
    """A checkpoint as nnU-Net leaves it, with what ``other`` says in its place."""
    content = {
        "network_weights": tiny_network(labels, seed=len(fold)).state_dict(),
        "init_args": {"configuration": CONFIGURATION},
        "_best_ema": np.float64(0.9),
    }
    (result / fold).mkdir()
    torch.save(content | other, result / fold / "checkpoint_final.pth")


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """A result folder of two folds."""
    result = tmp_path / "nnunet" / f"nnUNetTrainer__nnUNetPlans__{CONFIGURATION}"
    model = write_model(tmp_path / "plan")
    result.mkdir(parents=True)
    for name in ("plans.json", "dataset.json"):
        (result / name).write_bytes((model / name).read_bytes())
    write_fold(result, "fold_0")
    write_fold(result, "fold_all")
    return result


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """Another model in the place to write to, measured and described, and a file that is no part of a model."""
    folder = write_model(tmp_path / "out" / "model", members=3)
    save_member(folder, "foldall", tiny_network(len(LABELS)).state_dict())
    registry.write_model_json(folder, registry.read(folder).info)
    for name in ("folds.json", "evaluation.csv", "corruptions.csv", "quality.json", "MODEL_CARD.md", "notes.txt"):
        (folder / name).write_text("of the earlier model")
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_result_folder_of_nnunet_becomes_a_model(result, tmp_path):
    segmenter_export.convert(result, tmp_path / "new" / "model", ExportOptions("elsewhere", orientation="RAS"))
    loaded = Segmenter(registry.find(tmp_path / "new" / "model", "segmenter"), torch.device("cpu"))
    assert loaded.orientation == "RAS"
    assert loaded.model.members == ("fold0", "foldall")
    given = tiny_network(len(LABELS), seed=len("fold_all")).state_dict()
    assert all(torch.allclose(loaded.states[1][name], value, atol=1e-3) for name, value in given.items())


def test_an_earlier_model_is_replaced_as_a_whole(result, earlier):
    (result / "fold_all" / "checkpoint_final.pth").unlink()
    segmenter_export.convert(result, earlier, ExportOptions("elsewhere"))
    assert registry.read(earlier).members == ("fold0",)
    assert sorted(content(earlier)) == [
        "MODEL_CARD.md",
        "dataset.json",
        "fold0/model.safetensors",
        "model.json",
        "notes.txt",
        "plans.json",
    ]
    assert "Trained on elsewhere." in (earlier / "MODEL_CARD.md").read_text()
    assert [folder.name for folder in earlier.parent.iterdir()] == ["model"]


class Evil:
    def __reduce__(self):
        return (print, ("code from a checkpoint runs",))


def change_plan(result: Path, old: str, new: str) -> None:
    text = (result / "plans.json").read_text()
    assert old in text
    (result / "plans.json").write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: write_fold(r, "fold_1", logging=Evil()), "more than weights"),
        (lambda r: write_fold(r, "fold_1", network_weights=None), "fold_1 is not one of nnU-Net v2"),
        (lambda r: write_fold(r, "fold_1", init_args={}), "fold_1 is not one of nnU-Net v2"),
        (lambda r: write_fold(r, "fold_1", init_args={"configuration": "2d"}), "different configurations"),
        (lambda r: write_fold(r, "fold_1", labels=3), "fold1 cannot be used.*wrong shapes"),
        (lambda r: write_fold(r, "fold_best"), r"foldbest/model\.safetensors does not belong"),
        (lambda r: (r / "fold_all" / "checkpoint_final.pth").write_bytes(b"cut off"), "more than weights"),
        (lambda r: (r / "dataset.json").unlink(), r"dataset\.json is missing"),
        (lambda r: (r / "plans.json").write_text("{"), r"plans\.json is damaged"),
        (lambda r: change_plan(r, CONFIGURATION, "2d"), "does not fit the checkpoints"),
        (lambda r: change_plan(r, "DefaultPreprocessor", "shutil"), "'shutil' as preprocessor_name"),
    ],
)
def test_a_faulty_result_leaves_what_was_there_as_it_was(result, earlier, capsys, spoil, message):
    before = content(earlier)
    spoil(result)
    with pytest.raises(ModelError, match=message):
        segmenter_export.convert(result, earlier, ExportOptions("elsewhere"))
    assert content(earlier) == before
    assert [folder.name for folder in earlier.parent.iterdir()] == ["model"]
    with pytest.raises(ModelError, match=message):
        segmenter_export.convert(result, earlier.parent / "new", ExportOptions("elsewhere"))
    assert [folder.name for folder in earlier.parent.iterdir()] == ["model"]
    assert "code from a checkpoint runs" not in capsys.readouterr().out


def test_a_file_to_write_into_is_refused(result, tmp_path):
    (tmp_path / "taken").write_text("mine")
    for place in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(ModelError, match=r"name a folder|make room or rights"):
            segmenter_export.convert(result, place, ExportOptions("elsewhere"))
    assert (tmp_path / "taken").read_text() == "mine"


def test_an_anatomy_of_which_a_member_has_seen_a_relative_is_not_unseen():
    folds = {"fold0": ["a1", "b1"], "fold1": ["a2", "c1"], SEEN_BY_ALL: ["d1"]}
    found = segmenter_export.unseen_anatomies(folds, {case: case[0] for case in ("a1", "b1", "a2", "c1", "d1")})
    assert found == {"fold0": ["b"], "fold1": ["c"], SEEN_BY_ALL: ["a", "d"]}


def test_a_new_model_takes_the_place_of_an_earlier_one_as_a_whole_or_not_at_all(earlier):
    (earlier / "notes.txt").write_text("mine")
    before = content(earlier)
    with pytest.raises(OSError, match="disk"), atomic_model_folder(earlier) as draft:
        raise OSError(f"the disk of {draft.name} is full")
    assert content(earlier) == before
    with atomic_model_folder(earlier) as draft:
        (draft / "fold0").mkdir()
        (draft / "model.json").write_text("new")
    assert sorted(part.name for part in earlier.iterdir()) == ["fold0", "model.json", "notes.txt"]
    assert (earlier / "model.json").read_text() == "new"
    assert [folder.name for folder in earlier.parent.iterdir()] == ["model"]


def test_a_case_that_several_members_hold_out_is_unseen_by_each_of_them():
    split = [{"train": ["t", "h2"], "val": ["v", "h1"]}, {"train": ["t", "h1"], "val": ["v", "h2"]}]
    folds = folds_from_split(split)
    found = segmenter_export.unseen_anatomies(folds, {case: case for case in ("t", "v", "h1", "h2")})
    assert found == {"fold0": ["h1", "v"], "fold1": ["h2", "v"], SEEN_BY_ALL: ["t"]}
