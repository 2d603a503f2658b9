"""The segmenter's card and its tables: what was measured with other weights is never shown beside these."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pandas as pd
import pytest

from models import registry
from models.folds import SEEN_BY_ALL, folds_from_split, held_out_by
from models.measured import CORRUPTIONS, EVALUATION, read_measured, write_corruptions_before, write_measured
from models.weights import save_member
from pipeline.training.segmenter import card as segmenter_card
from tests.segmentation.conftest import LABELS, tiny_network, write_model

TABLE = pd.DataFrame(
    {
        "case": ["a", "b"],
        "member": ["fold0", "fold1"],
        "organ": ["liver", "liver"],
        "dice": [0.9123, 0.8017],
        "iou": [0.8, 0.7],
        "hd95_mm": [9.0, float("inf")],
        "assd_mm": [2.0, 3.0],
        "volume_error_percent": [1.0, -2.0],
    }
)
MEAN = "0.857"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = write_model(tmp_path / "tiny", licence="CC0", training={"steps": 7, "hours": 3.04, "parameters": 5e6})
    write_measured(registry.read(folder), EVALUATION, TABLE)
    write_measured(registry.read(folder), CORRUPTIONS, pd.DataFrame({"corruption": ["motion"]}))
    return folder


def card(folder: Path) -> str:
    segmenter_card.write(folder)
    return (folder / "MODEL_CARD.md").read_text()


def test_the_card_shows_what_was_measured_with_these_weights(model):
    pd.testing.assert_frame_equal(read_measured(model, EVALUATION), TABLE)
    text = card(model)
    assert MEAN in text
    assert "| motion |" in text
    assert "7 steps a member, 3.0 hours" in text
    assert "5.0 million parameters" in text
    assert "weights |" not in text
    assert "pools of bright fluid" in text


@pytest.mark.parametrize("given", ["other weights", "no weights", "nothing that can be read"])
def test_an_evaluation_of_other_weights_is_left_out_of_the_card_with_a_sentence(model, caplog, given):
    if given == "other weights":
        save_member(model, "fold1", tiny_network(len(LABELS), seed=9).state_dict())
        registry.write_model_json(model, json.loads((model / "model.json").read_text()))
    elif given == "no weights":
        TABLE.to_csv(model / EVALUATION, index=False)
    else:
        (model / EVALUATION).write_text("")
    with caplog.at_level(logging.WARNING):
        text = card(model)
    assert "evaluation.csv was not measured with these weights and is left out; measure again." in caplog.messages
    assert MEAN not in text
    assert "not been measured yet: run `python -m pipeline evaluate-segmenter DATA --segmenter tiny`" in text
    assert ("| motion |" in text) == (given != "other weights")


def test_weights_whose_hash_looks_like_a_number_are_the_same_weights(model, monkeypatch):
    monkeypatch.setattr(registry.ModelFolder, "sha256", "12345678901e" + "0" * 52)
    write_measured(registry.read(model), EVALUATION, TABLE)
    assert read_measured(model, EVALUATION) is not None


def test_corruptions_are_shown_beside_those_of_the_model_that_the_training_started_from(model, tmp_path):
    tables = {
        folder: pd.DataFrame({"corruption": ["motion"], "predictions": [3], "mean Dice": [dice]})
        for folder, dice in ((tmp_path / "old", 0.5125), (model, 0.8125))
    }
    write_model(tmp_path / "old", licence="CC0")
    for folder, table in tables.items():
        write_measured(registry.read(folder), CORRUPTIONS, table)
    old = registry.read(tmp_path / "old")
    write_corruptions_before(old, model)
    text = card(model)
    assert "| motion | 3 | 0.512 | 0.812 |" in text
    assert f"SHA-256 {old.sha256[:12]}" in text
    write_corruptions_before(None, model)
    assert "| motion | 3 | 0.812 |" in card(model)


def test_folds_name_what_each_member_and_what_every_member_has_seen():
    split = [{"train": ["a", "b", "c"], "val": ["d"]}, {"train": ["a", "c", "d"], "val": ["b"]}]
    assert folds_from_split(split) == {"fold0": ["d"], "fold1": ["b"], SEEN_BY_ALL: ["a", "c"]}
    whole = [{"train": ["a"], "val": ["b"]}, {"train": ["b"], "val": ["a"]}]
    assert folds_from_split(whole) == {"fold0": ["b"], "fold1": ["a"]}


def test_nothing_is_known_to_be_unseen_without_folds(tmp_path):
    assert held_out_by(tmp_path) == {}


def test_the_shipped_segmenters_card_is_what_its_files_give(tmp_path):
    shipped = registry.SHIPPED / "liver_t2"
    assert read_measured(shipped, EVALUATION) is not None
    folder = shutil.copytree(shipped, tmp_path / "liver_t2", ignore=shutil.ignore_patterns("fold?", "MODEL_CARD.md"))
    assert card(folder) == (shipped / "MODEL_CARD.md").read_text()
