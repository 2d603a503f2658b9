"""Expected time of a study's steps, and what the clock keeps."""

from __future__ import annotations

import json

import pytest

from pipeline.paper_study.clock import StepClock
from pipeline.paper_study.schedule import REFERENCE_SECONDS, expected_seconds


def test_a_step_takes_what_it_took_at_other_seeds():
    seconds = {"train resnet_seed1": 100.0, "train resnet_seed2": 200.0}
    assert expected_seconds(["train resnet_seed3"], seconds) == 150


def test_a_new_step_takes_its_reference_at_the_pace_of_this_machine():
    slow = {"train resnet_seed1": 3 * REFERENCE_SECONDS["train resnet"]}
    assert expected_seconds(["train swin_tiny_seed1"], slow) == pytest.approx(3 * REFERENCE_SECONDS["train swin_tiny"])
    assert expected_seconds(["evaluate test_500_seed1"], {}) == REFERENCE_SECONDS["evaluate"]
    assert expected_seconds(["train mask_only_seed1"], {}) == REFERENCE_SECONDS["train resnet"]


def test_an_interrupted_step_is_still_to_be_done_and_its_time_is_kept(tmp_path):
    clock = StepClock(tmp_path / "seconds.json", lambda line: None)
    clock.steps = ["train resnet_seed1", "train resnet_seed2"]
    with pytest.raises(KeyboardInterrupt), clock.step("train resnet_seed1"):
        raise KeyboardInterrupt
    again = StepClock(tmp_path / "seconds.json", lambda line: None)
    again.steps = clock.steps
    assert again.remaining_seconds("train resnet_seed1") == 2 * REFERENCE_SECONDS["train resnet"]
    with again.step("train resnet_seed1"):
        pass
    assert json.loads((tmp_path / "seconds.json").read_text()).keys() == {"train resnet_seed1"}
