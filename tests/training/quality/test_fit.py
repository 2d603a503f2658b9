"""Robustness and the predictor of quality, on boxes and made-up signs."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from unittest.mock import create_autospec

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from models import registry
from models.weights import save_member
from pipeline import __main__ as cli
from pipeline.errors import ManifestError
from pipeline.segmentation import Segmenter, quality_prediction
from pipeline.segmentation.error_network import ErrorNetwork
from pipeline.segmentation.quality_features import MASK_SIGNS
from pipeline.segmentation.quality_prediction import SIGNS
from pipeline.simulation import corruptions
from pipeline.simulation.corruptions import AND, NAMES
from pipeline.training.quality import fit as quality_fit
from pipeline.training.quality import robustness
from pipeline.training.quality import train as quality_training
from pipeline.training.quality.corruption_plan import CorruptionPlan, plan_predictions
from pipeline.training.quality.figures import cross_validate
from pipeline.training.segmenter import card as segmenter_card
from tests.segmentation.conftest import LABELS, BrightIsLiver, write_model
from tests.training.segmenter.boxes import write_case

CASES = [f"case{number}" for number in range(4)]
FEW = ("noise", "inverted", "gamma")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for seed, case in enumerate(CASES):
        write_case(tmp_path / "data", case, seed)
    return tmp_path / "data"


@pytest.fixture
def model(tmp_path: Path, monkeypatch) -> Path:
    """Two members that call what is bright liver; each has not seen two cases."""
    folder = write_model(tmp_path / "tiny", licence="CC0")
    (folder / "folds.json").write_text(json.dumps({"fold0": CASES[:2], "fold1": CASES[2:]}))

    def bright(found: registry.ModelFolder, device: torch.device) -> Segmenter:
        segmenter = Segmenter(found, device)
        segmenter.predictor.network, segmenter.states = BrightIsLiver(len(LABELS)), [{}]
        return segmenter

    monkeypatch.setattr(robustness, "Segmenter", bright)
    return folder


@pytest.fixture
def few_corruptions(monkeypatch) -> None:
    """Three kinds of corruption instead of all, for speed."""
    monkeypatch.setattr(corruptions, "NAMES", FEW)


def test_the_plan_deals_severities_out_over_the_cases(model):
    unseen = registry.find(model / "fold0", "segmenter")
    names = {f"c{n}": unseen for n in range(6)}
    anatomy_of = {case: case for case in names}
    jobs = pd.DataFrame(map(vars, plan_predictions(names, anatomy_of, CorruptionPlan())))
    assert len(jobs) == 6 * (1 + len(NAMES))
    counts = jobs[jobs.corruption != robustness.UNCORRUPTED].groupby(["corruption", "severity"]).size()
    assert set(counts) == {2}
    every = plan_predictions(names, anatomy_of, CorruptionPlan(3))
    assert len({(job.case, job.corruption, job.severity) for job in every}) == 6 * (1 + 3 * len(NAMES))
    paired = plan_predictions(names, anatomy_of, CorruptionPlan(pairs=4))
    two = [job for job in paired if AND in job.corruption]
    assert len({(job.case, job.corruption) for job in two}) == len(paired) - len(jobs) == 6 * 4
    assert {job.severity for job in two} == set(robustness.SEVERITIES[1:])
    assert all(first != second for first, second in (job.corruption.split(AND) for job in two))


@pytest.mark.usefixtures("few_corruptions")
def test_other_data_and_fewer_cases_cost_no_finished_prediction(model, data, tmp_path):
    robustness.measure_corruptions(data, model, device="cpu")
    kept = model.with_name("tiny.work") / robustness.ROWS
    before = pd.read_csv(kept)
    write_case(tmp_path / "more", "another", 9)
    (model / "folds.json").write_text(json.dumps({"fold0": [*CASES[:2], "another"], "fold1": CASES[2:]}))
    alone = robustness.measure_corruptions(tmp_path / "more", model, device="cpu")
    assert set(alone["case"]) == {"another"}
    after = pd.read_csv(kept)
    pd.testing.assert_frame_equal(after[after["case"] != "another"].reset_index(drop=True), before)


@pytest.mark.usefixtures("few_corruptions")
def test_pairs_of_corruptions_are_measured_and_kept_out_of_the_mean_over_single_ones(model, data):
    rows = robustness.measure_corruptions(data, model, CorruptionPlan(pairs=1), device="cpu")
    table = robustness.summarise(rows).set_index("corruption")
    assert table.loc[robustness.PAIRS, "predictions"] == len(CASES)
    assert table.loc[robustness.ALL, "predictions"] == len(CASES) * len(FEW)
    assert robustness.PAIRS not in robustness.summarise(rows[~rows.corruption.str.contains(AND)]).corruption.values


@pytest.mark.usefixtures("few_corruptions")
def test_corruptions_are_measured_once_by_members_that_have_not_seen_the_case(model, data, monkeypatch):
    rows = robustness.measure_corruptions(data, model, device="cpu")
    assert len(rows) == len(CASES) * (1 + len(FEW))
    assert dict(zip(rows.case, rows.member, strict=True)) == dict.fromkeys(CASES[:2], "fold0") | dict.fromkeys(
        CASES[2:], "fold1"
    )
    clean, inverted = (rows[rows.corruption == name] for name in (robustness.UNCORRUPTED, "inverted"))
    assert clean.dice.min() > 0.85
    assert inverted[inverted.severity == 1].dice.max() < 0.5
    assert rows[rows.refused].dice.eq(0).all()
    assert rows[~rows.refused][list(MASK_SIGNS)].notna().all(axis=None)
    for row in rows[~rows.refused].to_dict("records"):
        mask = robustness.read_coarse(model, row)
        assert (mask.member, mask.anatomy) == (row["member"], row["anatomy"])
        overlap = 2 * torch.minimum(mask.channels[2], mask.truth[0]).sum() / (mask.channels[2] + mask.truth[0]).sum()
        assert float(overlap) == pytest.approx(row["dice"], abs=0.1)

    table = pd.read_csv(model / "corruptions.csv").set_index("corruption")
    assert table.loc["inverted", "mean Dice"] == pytest.approx(inverted.dice.mean(), abs=1e-4)
    assert (table.predictions.drop(robustness.ALL) == len(CASES)).all()
    corrupted = rows[rows.corruption != robustness.UNCORRUPTED]
    assert table.loc[robustness.ALL, "mean Dice"] == pytest.approx(corrupted.dice.mean(), abs=1e-5)

    stand_in = create_autospec(robustness.measure, side_effect=AssertionError("measured again"))
    monkeypatch.setattr(robustness, "measure", stand_in)
    again = robustness.measure_corruptions(data, model, device="cpu")
    assert again.dice.mean() == pytest.approx(rows.dice.mean(), abs=1e-4)
    member = model / "fold1" / "model.safetensors"  # other weights: its rows no longer count
    member.write_bytes((model / "fold0" / "model.safetensors").read_bytes())
    registry.write_model_json(model, json.loads((model / "model.json").read_text()))
    with pytest.raises(AssertionError, match="measured again"):
        robustness.measure_corruptions(data, model, device="cpu")
    assert stand_in.call_count == 1


def made_up_rows(*, informative: bool, anatomies: int = 15, seed: int = 0) -> pd.DataFrame:
    """Rows of a segmenter that mostly does well, whose signs tell of the Dice or of nothing."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(anatomies):
        for name in (robustness.UNCORRUPTED, *NAMES):
            dice = rng.uniform(0.9, 0.96) if rng.uniform() < 0.5 or name == "none" else rng.uniform(0.3, 0.93)
            shown = dice if informative else rng.uniform(0.3, 0.96)
            signs = {sign: rng.normal() for sign in SIGNS}
            signs["expected_overlap"] = np.clip(shown + rng.normal(0, 0.012), 0, 1)
            signs["expected_dice"] = np.clip(0.5 + shown / 2 + rng.normal(0, 0.01), 0, 1)
            signs["brightness"] = 2.0 + rng.choice([-1, 1]) * 4 * (0.96 - shown) + rng.normal(0, 0.05)
            place = {
                "case": f"c{number}",
                "anatomy": f"a{number}",
                "corruption": name,
                "located": informative,
                "large_region": False,
            }
            rows.append(place | {"dice": dice, "hd95_mm": 4 + 60 * (0.97 - dice) * rng.lognormal(0, 0.1)} | signs)
    return pd.DataFrame(rows)


def test_telling_signs_meet_the_aims_on_anatomies_left_out():
    figures = cross_validate(made_up_rows(informative=True), refused=3)
    assert figures.rank_correlation.value > 0.9
    assert figures.mean_absolute_error.value < 0.04
    assert figures.poor_flagged.value > 0.95
    assert figures.good_flagged.value < 0.1
    assert figures.poor + figures.good < figures.masks == 15 * (1 + len(NAMES))
    assert not any("NOT met" in line for line in figures.lines())
    assert figures.far > 10
    assert figures.far_flagged.value > 0.9
    assert figures.usable > 10
    assert figures.usable_flagged.value < 0.1
    assert (figures.flagged > figures.poor, figures.located.value) == (True, 1.0)
    assert figures.rank_correlation.low < figures.rank_correlation.value < figures.rank_correlation.high


def test_signs_that_tell_nothing_do_not_meet_them():
    figures = cross_validate(made_up_rows(informative=False), refused=0)
    assert abs(figures.rank_correlation.value) < 0.4
    assert sum("NOT met" in line for line in figures.lines()) >= 3


def test_lines_go_only_their_signs_way_and_take_nothing_from_a_faultless_mask():
    model = quality_fit.fit(made_up_rows(informative=True))
    for part in (model.overlap, model.closeness):
        assert {"expected_overlap", "expected_dice"} <= {term.sign for term in part.terms}
    for term in (*model.overlap.terms, *model.closeness.terms):
        slopes = np.diff(term.adds)
        assert (slopes >= 0).all() if SIGNS[term.sign].goes == "up" else (slopes <= 0).all()
        assert max(term.adds) == pytest.approx(0, abs=1e-6)
        assert (term.reference is not None) == (SIGNS[term.sign].goes == "near")


def test_the_margin_catches_poor_masks_and_never_lowers_the_flag():
    rows = made_up_rows(informative=True)
    assert 0.80 <= quality_fit.fit_with_flags(rows).flag_below <= 0.90
    assert quality_fit.LOWEST_FAR_FLAG_MM <= quality_fit.fit_with_flags(rows).flag_above_mm <= 20.0
    assert quality_fit.fit_with_flags(rows[rows.dice > 0.85]).flag_below == 0.80


def test_what_is_written_is_what_the_app_reads_and_the_card_tells(model):
    rows = made_up_rows(informative=True)
    networks = {"fold0": ErrorNetwork(), "fold1": ErrorNetwork()}
    fitted = replace(quality_fit.fit_with_flags(rows), networks=networks)
    figures = cross_validate(rows, refused=2)
    weights = json.loads((model / "model.json").read_text())["sha256"]
    quality_training.write(model, fitted, weights, figures, 2)
    read = quality_prediction.load(model, weights)
    assert read is not None
    assert np.allclose(quality_fit.predict(read, rows), quality_fit.predict(fitted, rows), atol=1e-3)
    for member, network in read.networks.items():
        assert torch.equal(network.layers[0].weight, networks[member].layers[0].weight.half().float())
    segmenter_card.write(model)
    card = (model / "MODEL_CARD.md").read_text()
    assert figures.lines()[2] in card
    assert "--severities 2" in card
    save_member(model, "fold0", {"other": torch.ones(3)})
    registry.write_model_json(model, json.loads((model / "model.json").read_text()))
    segmenter_card.write(model)
    assert "Predicted quality" not in (model / "MODEL_CARD.md").read_text()


def test_too_few_anatomies_are_refused(model, monkeypatch):
    rows = made_up_rows(informative=True, anatomies=3).assign(refused=False)
    monkeypatch.setattr(quality_training, "measure_corruptions", lambda *given, **options: rows)
    with pytest.raises(ManifestError, match="4 anatomies"):
        quality_training.train_quality(Path("data"), model)


@pytest.mark.usefixtures("few_corruptions")
def test_a_test_split_takes_no_part_in_the_fit(model, data, monkeypatch):
    lines = [f"{c},imagesTr/{c}_0000.nii.gz,labelsTr/{c}.nii.gz,{'test' if c == CASES[0] else ''}" for c in CASES]
    (data / "m.csv").write_text("\n".join(["patient_id,image,mask,split", *lines]) + "\n")
    monkeypatch.setattr(quality_training, "PAIRS_PER_CASE", 0)
    with pytest.raises(ManifestError, match="4 anatomies"):  # three are left
        quality_training.train_quality(data / "m.csv", model, device="cpu")
    kept = pd.read_csv(model.with_name("tiny.work") / robustness.ROWS)
    assert set(kept["case"]) == set(CASES[1:])


def test_data_that_every_member_has_seen_are_refused(model, data):
    (model / "folds.json").write_text(json.dumps({"fold0": ["other"], "fold1": CASES}))
    with pytest.raises(ManifestError, match="has seen every case"):
        robustness.measure_corruptions(data, model / "fold0", device="cpu")


@pytest.mark.parametrize(
    ("command", "function", "given"),
    [
        ("train-quality", "train.train_quality", {"per_corruption": 2}),
        ("evaluate-corruptions", "robustness.measure_corruptions", {"plan": CorruptionPlan(2)}),
    ],
)
def test_commands_pass_their_options_on(monkeypatch, command, function, given):
    module, name = f"pipeline.training.quality.{function}".rsplit(".", 1)
    stand_in = create_autospec(getattr(import_module(module), name), side_effect=ManifestError("No such data."))
    monkeypatch.setattr(f"{module}.{name}", stand_in)
    result = CliRunner().invoke(cli.app, [command, "data", "--severities", "2", "--device", "cpu", "--no-resume"])
    assert (result.exit_code, result.stderr) == (2, "No such data.\n")
    assert (given | {"device": "cpu", "resume": False}).items() <= stand_in.call_args.kwargs.items()
