"""The file of a training's settings: what is written is read, and what is wrong is said in one sentence."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from models.network_names import BACKBONES
from pipeline.classification.slices import InputSpec
from pipeline.cohort.cut_offs import CutOffs
from pipeline.errors import ConfigError
from pipeline.training.classifier.config import SECTIONS, TrainingConfig, read_config
from pipeline.training.classifier.recipes import RECIPES, recipe
from pipeline.training.classifier.settings import Augmentation, Settings


def write(folder: Path, text: str) -> Path:
    file = folder / "settings.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_what_is_written_is_read(tmp_path):
    settings = Settings(
        backbone="densenet121",
        mask="background_only",
        patch=0,
        members=2,
        patience=None,
        learning_rate=3e-5,
        cut_offs=CutOffs(9.5, "F2"),
        pretrained="imagenet",
        augmentation=Augmentation(turn_degrees=0.0, coarser=(0.5, 0.8)),
    )
    config = TrainingConfig(settings, InputSpec(spacing_mm=1.2, size_yx=(160, 192), clip=(-1.0, 2.0)))
    assert read_config(write(tmp_path, config.to_toml())) == config


def test_every_setting_is_in_the_file_below_a_comment():
    text = TrainingConfig(Settings(members=1, patience=1)).to_toml()
    written = tomllib.loads(text)
    for kind, content in [(Settings, written), *((kind, written[name]) for name, kind in SECTIONS.items())]:
        assert {field.name for field in fields(kind)} == content.keys() - {"input"}
    lines = text.splitlines()
    keys = [number for number, line in enumerate(lines) if " = " in line and not line.startswith("#")]
    assert all(lines[number - 1].startswith("# ") for number in keys)


def test_what_a_file_leaves_out_is_as_in_the_backbone_s_recipe(tmp_path):
    config = read_config(write(tmp_path, 'backbone = "swin_tiny"\nbatch = 4\n[augmentation]\nnoise = 0\n'))
    assert config.settings == recipe("swin_tiny", batch=4, augmentation=Augmentation(noise=0.0))
    assert config.spec == InputSpec()


def test_recipes_are_of_backbones_and_name_settings():
    assert RECIPES.keys() <= BACKBONES.keys()
    assert recipe() == Settings()
    assert recipe("swin_tiny").learning_rate < recipe("resnet18").learning_rate


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("learning_rat = 1", "The setting learning_rat of the configuration is unknown; known are backbone, mask"),
        (
            "[input]\nspacing = 1",
            r"The setting spacing in \[input\] of the configuration is unknown; known are sp",
        ),
        ('epochs = "many"', "The setting epochs of the configuration should be a valid integer"),
        ("batch = true", "The setting batch of the configuration should be a valid integer"),
        ("learning_rate = -1", "The setting learning_rate of the configuration should be greater than 0"),
        ("smoothing = nan", "The setting smoothing of the configuration should be"),
        ('mask = "liver"', "The setting mask of the configuration should be 'attention', 'pooling'"),
        ("[input]\nsize_yx = [100, 160]", r"The setting size_yx in \[input\] .* should be a multiple of 32"),
        ("[augmentation]\ncoarser = [0.5]", "The setting coarser"),
        ("[augmentation]\ncoarser_probability = 2", "should be less than or equal to 1"),
        ("input = 3", r"input must be a section \[input\]"),
        ("epochs 3", "no TOML file"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(ConfigError, match=sentence) as caught:
        read_config(write(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "settings.toml")


def test_a_network_without_the_mask_takes_no_patches_of_the_liver(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text(read_config(None).to_toml())
    with pytest.raises(ConfigError, match="set patch to 0"):
        read_config(file, {"mask": "none"})
    file.write_text(read_config(None, {"mask": "none"}).to_toml())
    assert read_config(file).settings.patch == 0


def test_whole_crops_survive_the_file(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text(read_config(None, {"patch": 0}).to_toml())
    assert read_config(file).settings == recipe(patch=0)
