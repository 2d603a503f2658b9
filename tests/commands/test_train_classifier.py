"""``train-classifier``: its options are those of a training, with a training's defaults."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from models.network_names import BACKBONES, MaskUse
from pipeline import __main__ as cli
from pipeline.classification.slices import InputSpec
from pipeline.cohort.manifest import CutOffs
from pipeline.statistics import Estimate
from pipeline.training.classifier.recipes import recipe
from pipeline.training.classifier.settings import TrainingOptions

OPTIONS = """
    --backbone swin_tiny --mask mask-only --folds 4 --fold 2 --members 3 --epochs 5 --patience 2 --seed 7 --device cpu
    --no-resume --work w --pretrained imagenet --labels site --workers 3 --sensitivity 0.9 --licence "CC BY 4.0"
    --lsm-cut 10 --metavir-cut f2
"""


@pytest.fixture
def given(monkeypatch) -> list[tuple]:
    """What the command hands to a training, which then is a single fold."""
    calls: list[tuple] = []
    monkeypatch.setattr(
        "pipeline.training.classifier.train.train_classifier",
        lambda manifest, out, options, *, fold: calls.append((manifest, out, options, fold)),
    )
    return calls


def run(*arguments: str):
    return CliRunner().invoke(cli.app, ["train-classifier", "cohort.csv", "-o", "out", *arguments])


def test_without_options_a_training_has_its_own_defaults(given):
    assert run().exit_code == 0
    assert given == [(Path("cohort.csv"), Path("out"), TrainingOptions(spec=InputSpec(), workers=1), None)]


def test_an_option_goes_before_the_file_and_the_file_before_the_recipe(given, tmp_path):
    file = tmp_path / "settings.toml"
    general = 'backbone = "swin_tiny"\nepochs = 7\nseed = 3\n'
    file.write_text(general + '[cut_offs]\nmetavir = "F2"\n[input]\nspacing_mm = 1.2\n')
    result = run("--config", str(file), "--seed", "4", "--lsm-cut", "10")
    assert result.exit_code == 0, result.stderr
    options = given[0][2]
    assert options.settings == recipe("swin_tiny", epochs=7, seed=4, cut_offs=CutOffs(10.0, "F2"))
    assert options.spec == InputSpec(spacing_mm=1.2)


def test_the_printed_settings_are_those_of_a_training_without_options(given, tmp_path):
    printed = CliRunner().invoke(cli.app, ["training-config", "--backbone", "swin_tiny"])
    (tmp_path / "settings.toml").write_text(printed.stdout)
    assert run("--config", str(tmp_path / "settings.toml")).exit_code == 0
    assert run("--backbone", "swin_tiny").exit_code == 0
    assert given[0] == given[1]


def test_a_wrong_setting_is_one_line(given, tmp_path):
    (tmp_path / "settings.toml").write_text("epochs = 0\n")
    result = run("--config", str(tmp_path / "settings.toml"))
    assert (result.exit_code, given) == (2, [])
    assert result.stderr == "The setting epochs of the configuration should be greater than or equal to 1.\n"


def test_every_option_reaches_the_training(given):
    result = run(*shlex.split(OPTIONS))
    assert result.exit_code == 0, result.stderr
    settings = recipe(
        "swin_tiny",
        mask="mask_only",
        folds=4,
        members=3,
        epochs=5,
        patience=2,
        seed=7,
        pretrained="imagenet",
        cut_offs=CutOffs(10.0, "F2"),
        labels="site",
    )
    options = TrainingOptions(
        settings,
        InputSpec(),
        workers=3,
        device="cpu",
        resume=False,
        work=Path("w"),
        licence="CC BY 4.0",
        pretrained="imagenet",
        target_sensitivity=0.9,
    )
    assert given == [(Path("cohort.csv"), Path("out"), options, 2)]
    assert result.stdout == "Fold 2 is trained. When all 4 are, run the command without --fold.\n"


@pytest.mark.parametrize(
    ("option", "names"), [("--backbone", list(BACKBONES)), ("--mask", [n.replace("_", "-") for n in get_args(MaskUse)])]
)
def test_every_network_can_be_chosen_and_no_other(given, option, names):
    assert all(run(option, name).exit_code == 0 for name in names)
    assert run(option, "vgg").exit_code == 2
    assert len(given) == len(names)


def test_the_auc_is_printed_with_its_interval(monkeypatch):
    class Figures:
        auc = Estimate(0.7251, 0.6514, 0.7949)

    monkeypatch.setattr("pipeline.training.classifier.train.train_classifier", lambda *given, **named: Figures)
    assert run().stdout == "Out-of-fold AUC 0.725 (95 % interval 0.651 to 0.795)\n"
