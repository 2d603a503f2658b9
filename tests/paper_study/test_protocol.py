"""The paper's study in miniature: one run that leaves the table, a second that finds all of it done."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from pipeline import __main__ as cli
from pipeline.case import LIVER, SPLEEN, OrganMask
from pipeline.classification.slices import InputSpec
from pipeline.cohort import cohort_segmenter
from pipeline.cohort.manifest import DEFAULT_CUT_OFFS
from pipeline.cohort.predicted_masks import PredictedMasks
from pipeline.errors import ManifestError
from pipeline.evaluation import figures as evaluation_figures
from pipeline.evaluation import measures as evaluation_measures
from pipeline.paper_study import plan, protocol, scores, steps
from pipeline.paper_study.clock import StepClock
from pipeline.paper_study.names import PAPER
from pipeline.paper_study.plan import (
    SIZES,
    SimulatedCases,
    Size,
    StudyOptions,
    TrainingPlan,
    leak_tests,
    networks,
    trainings,
)
from pipeline.paper_study.protocol import run_protocol
from pipeline.paper_study.steps import split_tests
from pipeline.training.classifier import out_of_fold
from pipeline.training.classifier.feature_settings import FeatureSettings
from pipeline.training.classifier.recipes import recipe
from tests.processes import compute_in_this_process

TINY = Size(
    seeds=2,
    epochs=1,
    folds=2,
    simulated=SimulatedCases(
        cases=16, phantoms=6, phantom_size_xyz=(48, 48, 10), phantom_spacing_mm_xyz=(7.0, 7.0, 20.0)
    ),
    small_test=(2, 2),
    large_test=8,
    slices=2,
    patch=32,
    input=InputSpec(spacing_mm=8.0, size_yx=(32, 32), max_slices=3),
)
TRAIN = ("train_classifier", "train_features")
"""Functions of ``steps`` that train."""
OPTIONS = StudyOptions(size=TINY, device="cpu")


def segment_a_box(volume, model) -> OrganMask:
    """The middle of every volume is liver."""
    labels = np.zeros(volume.voxels.shape, np.uint8)
    z, y, x = (slice(size // 4, 3 * size // 4) for size in labels.shape)
    labels[z, y, x] = LIVER
    labels[0, 0, 0] = SPLEEN
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(volume.image)
    return OrganMask(image, 1000.0, 10.0, 1, 1.0, False)


@pytest.fixture(scope="module")
def patched():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cohort_segmenter, "segment", segment_a_box)
        patch.setattr(cohort_segmenter, "Segmenter", lambda model, device, exact: model)
        patch.setattr(evaluation_measures, "DRAWS", 20)
        patch.setattr(scores, "DRAWS", 20)
        patch.setattr(out_of_fold, "auc_with_interval", partial(out_of_fold.auc_with_interval, draws=20))
        patch.setattr(evaluation_figures, "BAND_DRAWS", 20)
        patch.setattr(Figure, "savefig", lambda *given, **named: None)  # drawings are tested where they are made
        compute_in_this_process(patch)
        yield patch


@dataclass(frozen=True)
class Runs:
    """A study that was interrupted in its second seed, and then finished."""

    out: Path
    said: list[str]
    """Progress lines of both runs."""
    trained: tuple[list[str], list[str]]
    """Names of the trainings of each run."""
    after_one_seed: Path
    """Copies of the tables and the page as the first run left them."""


def few_networks(size: Size, seed: int) -> list[TrainingPlan]:
    """Two of the table, and the baseline: the others differ in backbone or mask only."""
    return [each for each in networks(size, seed) if each.network in ("resnet", "unmasked", "texture")]


def few_leak_tests(size: Size, seed: int, sites: int) -> list[TrainingPlan]:
    chosen = ("mask_only", "shuffled", "site", "texture_outline")
    return [each for each in leak_tests(size, seed, sites) if each.network in chosen]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, patched) -> Runs:
    folder = tmp_path_factory.mktemp("runs")
    out, said, trained = folder / "study", [], ([], [])
    interrupted_at = ["resnet_seed2"]

    def recorded(train: Callable[..., object]) -> Callable[[Path, Path, object], None]:
        def call(manifest: Path, model: Path, options: object) -> None:
            if model.name in interrupted_at:
                interrupted_at.clear()
                raise KeyboardInterrupt
            trained[not interrupted_at].append(model.name)
            train(manifest, model, options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in TRAIN:
            patch.setattr(steps, name, recorded(getattr(steps, name)))
        patch.setattr(plan, "leak_tests", few_leak_tests)
        for module in (plan, protocol):
            patch.setattr(module, "networks", few_networks)
        with pytest.raises(KeyboardInterrupt):
            run_protocol(out, OPTIONS, progress=said.append)
        (folder / "one").mkdir()
        for name in ("table.csv", "report.html"):
            shutil.copy(out / name, folder / "one" / name)
        patch.setattr(steps, "simulate", lambda *arguments, **named: pytest.fail("done before"))
        patch.setattr(cohort_segmenter, "segment", lambda *arguments: pytest.fail("done before"))
        run_protocol(out, OPTIONS, progress=said.append)
    return Runs(out, said, trained, folder / "one")


@pytest.fixture
def study(runs) -> Path:
    return runs.out


def masked_cohort(study: Path) -> PredictedMasks:
    manifest = study / "masked" / "manifest.csv"
    nothing = pd.DataFrame({"reason": []})
    return PredictedMasks(manifest, 0, 0, pd.Series(dtype=float), nothing, True)


def test_leaves_a_table_with_every_network_and_test(study):
    out = study
    table = pd.read_csv(out / "table.csv")
    names = [each.network for each in few_networks(TINY, 1)]
    assert list(table["network"].unique()) == [*names, "severity"]
    assert table.groupby("network", sort=False)["cases"].agg(list).tolist() == [[4, 8]] * (len(names) + 1)
    assert table.groupby("network", sort=False)["seeds"].agg(set).tolist() == [{2}] * len(names) + [{1}]
    assert (table["auc_low"].isna() | (table["auc_low"] <= table["auc"])).all()
    severity = table[table["network"] == "severity"].set_index("cases")
    cases = pd.read_csv(out / "seed1" / "test_8" / "cases.csv").merge(
        pd.read_csv(out / "cohort" / "truth.csv"), on="patient_id"
    )
    assert severity.loc[8, "auc"] == pytest.approx(roc_auc_score(cases["label"], cases["severity"]), abs=1e-4)


def test_a_row_is_the_mean_of_the_seeds_evaluations(study):
    out = study
    table = json.loads((out / "protocol.json").read_text(encoding="utf-8"))["table"]
    (row,) = (row for row in table if row["network"] == "unmasked" and row["cases"] == 8)
    by_seed = [json.loads((out / f"seed{seed}" / "test_8" / "evaluation.json").read_text()) for seed in (1, 2)]
    measures = [content["models"][f"unmasked_seed{seed}"]["measures"] for seed, content in enumerate(by_seed, 1)]
    for figure in ("auc", "accuracy"):
        values = [measure[figure]["value"] for measure in measures]
        assert row[figure] == pytest.approx(np.mean(values))
        assert row[f"{figure}_sd"] == pytest.approx(np.std(values, ddof=1))
        assert row[f"{figure}_by_seed"] == pytest.approx(values, abs=1e-4)


def test_the_study_goes_seed_by_seed_and_resumes_without_doing_anything_again(runs):
    first, second = ([*few_networks(TINY, seed), *few_leak_tests(TINY, seed, sites=2)] for seed in (1, 2))
    assert runs.trained == ([each.name for each in first], [each.name for each in second])


def test_each_seed_is_a_training_of_its_own(study):
    seeds = [json.loads((study / "models" / f"resnet_seed{seed}" / "model.json").read_text()) for seed in (1, 2)]
    assert [content["training"]["seed"] for content in seeds] == [1, 2]
    weights = [(study / "work" / f"resnet_seed{seed}" / "fold0.pt").read_bytes() for seed in (1, 2)]
    assert weights[0] != weights[1]


def test_the_time_that_is_left_is_said_and_falls(runs):
    hours = [float(re.search(r"about ([\d.]+) hours left", line)[1]) for line in runs.said if "hours left" in line]
    assert hours[0] > 1, "by the reference of a real study"
    assert hours[-1] == 0


def test_an_interrupted_study_has_a_whole_table_of_the_seed_that_is_done(runs):
    table = pd.read_csv(runs.after_one_seed / "table.csv")
    assert set(table["seeds"]) == {1}
    assert len(table) == len(pd.read_csv(runs.out / "table.csv"))
    page = html.unescape((runs.after_one_seed / "report.html").read_text(encoding="utf-8"))
    assert "1 of 2 seeds are done" in page
    assert "trained once" in page


def test_paper_figures_are_beside_ours(study):
    table = pd.read_csv(study / "table.csv")
    assert set(table.loc[table["network"] == "resnet", "sensitivity_paper"]) == {0.778}


def test_the_report_says_that_it_is_simulation_and_whose_the_other_figures_are(study):
    page = html.unescape((study / "report.html").read_text(encoding="utf-8"))
    assert "The cohort is simulated" in page
    assert "0.811" in page
    assert "the paper's own, n = 23" in page
    for test in ("seed1/test_4", "seed1/test_8", "seed2/test_4", "seed2/test_8"):
        assert (study / test / "report.html").is_file()
        assert f'href="{test}/report.html"' in page
    for sentence in json.loads((study / "protocol.json").read_text(encoding="utf-8"))["conclusions"]:
        assert sentence in page


def test_the_papers_rows_on_masks_and_scores_are_shown_beside_ours(study):
    out = study
    written, page = (out / "table.md").read_text(), (out / "report.html").read_text(encoding="utf-8")
    overlap = json.loads((out / "protocol.json").read_text())["segmentation"]["dice"]
    assert overlap["low"] <= overlap["mean"] <= overlap["high"]
    for line in (
        f"| Dice | n = 8 ({overlap['anatomies']} anatomies) | {overlap['mean']:.3f} (",
        "| IoU |",
        "| 0.923 |",
    ):
        assert line in written
    assert "<h2>Liver masks</h2>" in page
    assert "Segmentation score" in written


def test_leak_tests_are_evaluated_on_the_larger_test_and_the_site_against_the_site(study):
    content = json.loads((study / "protocol.json").read_text(encoding="utf-8"))
    rows = {row["test"]: row for row in content["leaks"]}
    assert rows.keys() == {"mask_only", "shuffled", "site"}
    assert rows["mask_only"]["controls"].keys() == {"texture_outline"}
    assert all(row["cases"] == 8 for row in rows.values())
    by_seed = []
    for seed in (1, 2):
        folder = study / f"seed{seed}" / "test_8"
        cases, predictions = (pd.read_csv(folder / name) for name in ("cases.csv", "predictions.csv"))
        table = cases.merge(predictions[predictions["model"] == f"site_seed{seed}"], on="patient_id")
        by_seed.append(roc_auc_score(table["site"] == "A", table["probability"]))
    assert rows["site"]["auc_by_seed"] == pytest.approx(by_seed, abs=1e-3)


def test_the_parameters_of_the_simulation_are_noted_before_anything_is_trained(study):
    note = json.loads((study / "study.json").read_text(encoding="utf-8"))
    cohort = json.loads((study / "cohort" / "cohort.json").read_text(encoding="utf-8"))
    assert note["parameters"] == cohort["parameters_sha256"]
    assert (study / "study.json").stat().st_mtime <= (study / "models/resnet_seed1/model.json").stat().st_mtime


def test_a_network_is_trained_anew_where_its_cases_have_changed(study, tmp_path):
    copy = tmp_path / "study"
    shutil.copytree(study, copy)
    mask = next((copy / "masked" / "masks").glob("*.nii.gz"))
    image = sitk.ReadImage(mask)
    sitk.WriteImage(image * 0 + LIVER, mask)
    called = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "train_classifier", lambda *given: called.append((given[1].name, given[2].resume)))
        patch.setattr(steps, "train_features", lambda *given: called.append((given[1].name, False)))
        patch.setattr(protocol, "evaluate", lambda *given, **named: None)
        patch.setattr(protocol.StudyRun, "finished_seeds", lambda study: None)
        patch.setattr(protocol, "write_report", lambda found: copy)
        run_protocol(copy, OPTIONS)
    assert [name for name, _ in called] == [each.name for seed in (1, 2) for each in trainings(TINY, seed, sites=2)]
    assert not any(resumed for _, resumed in called), "checkpoints of the old masks are not resumed"


def test_no_site_network_is_trained_where_sites_are_not_named(study, tmp_path):
    masked = tmp_path / "cohort" / "manifest.csv"
    shutil.copytree(study / "cohort", masked.parent)
    rows = pd.read_csv(masked, dtype=str, keep_default_na=False)
    rows.loc[rows.index % 2 == 0, "site"] = ""
    rows.to_csv(masked, index=False)
    called = []
    with pytest.MonkeyPatch.context() as patch:
        for name in TRAIN:
            patch.setattr(steps, name, lambda *given: called.append(given[1].name))
        patch.setattr(protocol, "evaluate", lambda *given, **named: None)
        patch.setattr(protocol.StudyRun, "finished_seeds", lambda study: None)
        patch.setattr(protocol, "write_report", lambda found: tmp_path)
        run_protocol(tmp_path / "out", replace(OPTIONS, manifest=masked))
    assert "shuffled_seed2" in called
    assert "site_seed1" not in called


def test_a_given_cohort_that_cannot_be_used_leaves_nothing_behind(study, tmp_path):
    manifest = tmp_path / "manifest.csv"
    rows = pd.read_csv(study / "masked" / "manifest.csv", dtype=str, keep_default_na=False)
    for column in ("image", "mask"):
        rows[column] = [str(study / "masked" / file) for file in rows[column]]
    rows[rows["split"] == "test"].to_csv(manifest, index=False)
    with pytest.raises(ManifestError, match="others to learn from"):
        run_protocol(tmp_path / "out", replace(OPTIONS, manifest=manifest))
    with pytest.raises(ManifestError, match="no such manifest"):
        run_protocol(tmp_path / "out", replace(OPTIONS, manifest=tmp_path / "missing.csv"))
    with pytest.raises(ManifestError, match="leave them out"):
        run_protocol(tmp_path / "out", replace(OPTIONS, manifest=manifest, anatomies=tmp_path))
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_study_is_refused_and_kept(study, tmp_path):
    before = (study / "study.json").read_bytes()
    with pytest.raises(ManifestError, match="another size"):
        run_protocol(study, replace(OPTIONS, size=SIZES["full"]))
    assert (study / "study.json").read_bytes() == before
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ManifestError, match="other files"):
        run_protocol(tmp_path, OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_small_test_has_the_given_share_of_advanced_cases_and_no_case_is_in_both(study):
    small, large = (pd.read_csv(study / "masked" / f"test_{count}.csv") for count in (4, 8))
    assert (small["metavir"] >= "F3").sum() == 2
    assert not set(small["patient_id"]) & set(large["patient_id"])


def test_a_given_cohort_is_tested_on_all_of_its_test_rows(study):
    tests = split_tests(study / "masked" / "manifest.csv", None, DEFAULT_CUT_OFFS)
    assert list(tests) == ["test_12"]
    assert len(pd.read_csv(tests["test_12"])) == 12
    tests["test_12"].unlink()


def test_too_few_cases_for_the_small_test_are_refused(study):
    with pytest.raises(ManifestError, match="needs 99 advanced"):
        split_tests(study / "masked" / "manifest.csv", (99, 2), DEFAULT_CUT_OFFS)


def test_every_network_of_the_table_and_of_the_leak_tests_is_trained_alike():
    """Also where the labels are shuffled, by each seed anew."""
    for size in SIZES.values():
        assert size.seeds >= 3
        plans = trainings(size, 1, sites=2)
        for each in plans:
            settings = each.settings(size, DEFAULT_CUT_OFFS)
            if isinstance(settings, FeatureSettings):
                assert (settings.folds, settings.seed) == (size.folds, 1), "the folds are those of the networks"
                continue
            assert (settings.members, settings.folds, settings.seed) == (size.members, size.folds, 1)
            same = replace(settings, labels="cohort")
            assert same == recipe(each.backbone, each.mask, members=size.members, folds=size.folds, seed=1)
        assert set(PAPER) < {each.network for each in plans}
        assert [replace(each, seed=2) for each in plans] == trainings(size, 2, sites=2)
    assert "site" not in {each.network for each in leak_tests(TINY, 1, sites=1)}


def test_a_positive_control_that_the_masks_do_not_allow_is_left_out_and_a_network_is_not(study, tmp_path):
    copy, said = tmp_path / "study", []
    shutil.copytree(study, copy)
    shutil.rmtree(copy / "models" / "texture_outline_seed1")

    def refuse(*given: object) -> None:
        raise ManifestError("Line 3: no spleen.\nLine 4: no spleen.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "train_features", refuse)
        patch.setattr(protocol, "split_tests", lambda *given: {})
        found = protocol.StudyRun(copy, OPTIONS, {}, StepClock(copy / "seconds.json", said.append), masked_cohort(copy))
        control, texture = (TrainingPlan(name, 1, features=("outline",)) for name in ("texture_outline", "texture"))
        assert not found.train(control)
        assert said[-1] == "texture_outline_seed1 is left out: Line 3: no spleen."
        with pytest.raises(ManifestError):
            found.train(texture)


def test_the_command_refuses_what_a_study_chooses_itself(tmp_path):
    answer = CliRunner().invoke(cli.app, ["evaluate", "--protocol", "paper", "-o", str(tmp_path), "--seed", "3"])
    assert answer.exit_code == 2
    assert "its own seed" in answer.output
    answer = CliRunner().invoke(cli.app, ["evaluate", "m.csv", "-o", str(tmp_path), "--size", "full"])
    assert answer.exit_code == 2
    assert "Only a study takes size" in answer.output
    answer = CliRunner().invoke(cli.app, ["evaluate", "-o", str(tmp_path)])
    assert answer.exit_code == 2
    assert "Name a cohort manifest" in answer.output
