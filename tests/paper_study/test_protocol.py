"""The paper's study in miniature: one run that leaves the table, a second that finds all of it done."""

from __future__ import annotations

import html
import json
import shutil
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from matplotlib.figure import Figure
from typer.testing import CliRunner

from pipeline import __main__ as cli
from pipeline.case import LIVER, SPLEEN, OrganMask
from pipeline.classification.slices import InputSpec
from pipeline.cohort import cohort_segmenter
from pipeline.cohort.manifest import DEFAULT_CUT_OFFS
from pipeline.errors import ManifestError
from pipeline.evaluation import figures as evaluation_figures
from pipeline.evaluation import measures as evaluation_measures
from pipeline.evaluation.predictions import CohortPredictions, Prediction
from pipeline.paper_study import protocol, steps
from pipeline.paper_study.names import PAPER
from pipeline.paper_study.note import size_note
from pipeline.paper_study.plan import SIZES, SimulatedCases, Size, StudyOptions, leak_tests, networks
from pipeline.paper_study.protocol import run_protocol
from pipeline.paper_study.steps import split_tests
from pipeline.paper_study.tables import mean_of_runs, site_area
from pipeline.training.classifier import out_of_fold
from tests.processes import compute_in_this_process

TINY = Size(
    epochs=1,
    folds=2,
    shuffles=2,
    simulated=SimulatedCases(
        cases=16, phantoms=6, phantom_size_xyz=(48, 48, 10), phantom_spacing_mm_xyz=(7.0, 7.0, 20.0)
    ),
    small_test=(2, 2),
    large_test=8,
    slices=2,
    input=InputSpec(spacing_mm=8.0, size_yx=(32, 32), max_slices=3),
)
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
        patch.setattr(out_of_fold, "auc_with_interval", partial(out_of_fold.auc_with_interval, draws=20))
        patch.setattr(evaluation_figures, "BAND_DRAWS", 20)
        patch.setattr(Figure, "savefig", lambda *given, **named: None)  # drawings are tested where they are made
        compute_in_this_process(patch)
        yield patch


@pytest.fixture(scope="module")
def study(tmp_path_factory, patched) -> tuple[Path, list[str]]:
    out, said = tmp_path_factory.mktemp("runs") / "study", []
    run_protocol(out, OPTIONS, progress=said.append)
    return out, said


def test_leaves_a_table_with_every_network_and_test(study):
    out, _ = study
    table = pd.read_csv(out / "table.csv")
    assert list(table["network"].unique()) == [network.name for network in networks(TINY)]
    assert table.groupby("network", sort=False)["cases"].agg(list).tolist() == [[4, 8]] * 5
    assert (table["auc_low"] <= table["auc"]).all()
    assert (table["auc"] <= table["auc_high"]).all()
    assert set(table.loc[table["network"] == "resnet", "sensitivity_paper"]) == {0.778}


def test_the_report_says_that_it_is_simulation_and_whose_the_other_figures_are(study):
    page = html.unescape((study[0] / "report.html").read_text(encoding="utf-8"))
    assert "The cohort is simulated" in page
    assert "0.811" in page
    assert "the paper's own, n = 23" in page
    for test in ("test_4", "test_8", "leaks"):
        assert (study[0] / test / "report.html").is_file()
        assert f'href="{test}/report.html"' in page


def test_the_papers_rows_on_masks_and_scores_are_shown_beside_ours(study):
    out, _ = study
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
    content = json.loads((study[0] / "protocol.json").read_text(encoding="utf-8"))
    rows = {row["test"]: row for row in content["leaks"]}
    assert {"Shuffled labels, training 1", "Shuffled labels, training 2", "Shuffled labels, mean"} < rows.keys()
    assert len(rows) == 7
    assert all(row["cases"] == 8 for row in rows.values())
    cases, predictions = (pd.read_csv(study[0] / "leaks" / name) for name in ("cases.csv", "predictions.csv"))
    table = cases.merge(predictions[predictions["model"] == "site"], on="patient_id")
    first = table["probability"][table["site"] == "A"].to_numpy()[:, None]
    second = table["probability"][table["site"] == "B"].to_numpy()[None]
    by_pairs = ((first > second) + 0.5 * (first == second)).mean()
    (site,) = (row for words, row in rows.items() if "site" in words)
    assert site["auc"] == pytest.approx(by_pairs, abs=1e-6)


def test_the_parameters_of_the_simulation_are_noted_before_anything_is_trained(study):
    note = json.loads((study[0] / "study.json").read_text(encoding="utf-8"))
    cohort = json.loads((study[0] / "cohort" / "cohort.json").read_text(encoding="utf-8"))
    assert note["parameters"] == cohort["parameters_sha256"]
    assert (study[0] / "study.json").stat().st_mtime <= (study[0] / "models/resnet/model.json").stat().st_mtime


def test_the_ensemble_takes_the_main_networks_member_and_adds_the_others(study):
    models = [json.loads((study[0] / "models" / name / "model.json").read_text()) for name in ("resnet", "ensemble")]
    assert [model["members"] for model in models] == [["fold0"], ["fold0", "fold1"]]
    assert sorted(path.name for path in (study[0] / "work" / "resnet").glob("*.pt")) == ["fold0.pt", "fold1.pt"]


def test_a_second_run_trains_and_segments_nothing(study, patched):
    out, _ = study
    table = (out / "table.csv").read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("train_classifier", "simulate"):
            patch.setattr(steps, name, lambda *arguments, **named: pytest.fail("done before"))
        patch.setattr(cohort_segmenter, "segment", lambda *arguments: pytest.fail("done before"))
        run_protocol(out, OPTIONS)
    assert (out / "table.csv").read_bytes() == table


def test_a_network_is_trained_anew_where_its_cases_have_changed(study, tmp_path):
    copy = tmp_path / "study"
    shutil.copytree(study[0], copy)
    mask = next((copy / "masked" / "masks").glob("*.nii.gz"))
    image = sitk.ReadImage(mask)
    sitk.WriteImage(image * 0 + LIVER, mask)
    called = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "train_classifier", lambda *given: called.append((given[1].name, given[2].resume)))
        patch.setattr(protocol, "evaluate", lambda *given, **named: {})
        patch.setattr(protocol, "write_report", lambda found: copy)
        run_protocol(copy, OPTIONS)
    trained = [*networks(TINY), *leak_tests(TINY, sites=2)]
    assert [name for name, _ in called] == [network.name for network in trained]
    assert not called[0][1], "checkpoints of the old masks are not resumed"


def test_no_site_network_is_trained_where_sites_are_not_named(study, tmp_path):
    masked = tmp_path / "cohort" / "manifest.csv"
    shutil.copytree(study[0] / "cohort", masked.parent)
    rows = pd.read_csv(masked, dtype=str, keep_default_na=False)
    rows.loc[rows.index % 2 == 0, "site"] = ""
    rows.to_csv(masked, index=False)
    called = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "train_classifier", lambda *given, **named: called.append(given[1].name))
        patch.setattr(protocol, "evaluate", lambda *given, **named: {})
        patch.setattr(protocol, "write_report", lambda found: tmp_path)
        run_protocol(tmp_path / "out", replace(OPTIONS, manifest=masked))
    assert called[-1] == "shuffled_2"


def test_the_first_site_is_the_trainings_also_where_cases_were_not_predicted():
    names, sites = list("abcde"), ["A", "B", "B", "C", "C"]
    cases = [{"patient_id": name, "anatomy": name, "site": site} for name, site in zip(names, sites, strict=True)]
    values = [Prediction(name, "site", value, False) for name, value in zip("abcd", (0.5, 0.9, 0.8, 0.1), strict=True)]
    predictions = CohortPredictions.from_records(cases, [*values, Prediction("e", "site", problem="No liver.")])
    assert site_area(predictions, "B")[0].value == 1.0


def test_a_given_cohort_that_cannot_be_used_leaves_nothing_behind(study, tmp_path):
    manifest = tmp_path / "manifest.csv"
    rows = pd.read_csv(study[0] / "masked" / "manifest.csv", dtype=str, keep_default_na=False)
    for column in ("image", "mask"):
        rows[column] = [str(study[0] / "masked" / file) for file in rows[column]]
    rows[rows["split"] == "test"].to_csv(manifest, index=False)
    with pytest.raises(ManifestError, match="others to learn from"):
        run_protocol(tmp_path / "out", replace(OPTIONS, manifest=manifest))
    with pytest.raises(ManifestError, match="no such manifest"):
        run_protocol(tmp_path / "out", replace(OPTIONS, manifest=tmp_path / "missing.csv"))
    with pytest.raises(ManifestError, match="leave them out"):
        run_protocol(tmp_path / "out", replace(OPTIONS, manifest=manifest, anatomies=tmp_path))
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_study_is_refused_and_kept(study, tmp_path):
    before = (study[0] / "study.json").read_bytes()
    with pytest.raises(ManifestError, match="another size"):
        run_protocol(study[0], replace(OPTIONS, size=SIZES["full"]))
    assert (study[0] / "study.json").read_bytes() == before
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ManifestError, match="other files"):
        run_protocol(tmp_path, OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_small_test_has_the_given_share_of_advanced_cases_and_no_case_is_in_both(study):
    small, large = (pd.read_csv(study[0] / "masked" / f"test_{count}.csv") for count in (4, 8))
    assert (small["metavir"] >= "F3").sum() == 2
    assert not set(small["patient_id"]) & set(large["patient_id"])


def test_a_given_cohort_is_tested_on_all_of_its_test_rows(study):
    tests = split_tests(study[0] / "masked" / "manifest.csv", None, DEFAULT_CUT_OFFS)
    assert list(tests) == ["test_12"]
    assert len(pd.read_csv(tests["test_12"])) == 12
    tests["test_12"].unlink()


def test_too_few_cases_for_the_small_test_are_refused(study):
    with pytest.raises(ManifestError, match="needs 99 advanced"):
        split_tests(study[0] / "masked" / "manifest.csv", (99, 2), DEFAULT_CUT_OFFS)


def test_every_network_of_the_table_and_of_the_leak_tests_is_trained_alike():
    for size in SIZES.values():
        for plan in (*networks(size)[:4], *leak_tests(size, sites=2)):
            assert plan.members == size.members
            assert (plan.epochs, plan.folds, plan.slices) == (size.epochs, size.folds, size.slices)
        assert set(PAPER) < {plan.name for plan in (*networks(size), *networks(TINY))}
    assert [plan.name for plan in leak_tests(TINY, sites=1)][-1] == "shuffled_2"


def test_trainings_with_shuffled_labels_differ_only_in_their_seed():
    first, second = (plan for plan in leak_tests(TINY, sites=1) if plan.labels == "shuffled")
    assert first.seed != second.seed
    assert replace(second, name=first.name, seed=first.seed) == first


def test_the_note_of_a_size_is_that_of_version_0_1_0():
    """An earlier study resumes only if its note is equal; these are its words."""
    note = size_note(Size())
    assert {name: value for name, value in note.items() if name != "input"} == {
        "resnet": "resnet18",
        "epochs": 24,
        "folds": 3,
        "members": 1,
        "masks_by": "one",
        "one_pass": True,
        "shuffles": 3,
        "seed": 1,
        "simulated": {"cases": 220, "phantoms": 15},
        "small_test": (18, 5),
        "large_test": 500,
        "slices": 4,
    }
    assert note["input"] == asdict(InputSpec())
    assert list(note)[-1] == "input"


def test_the_mean_of_trainings_has_students_interval():
    mean = mean_of_runs([0.4, 0.5, 0.6])
    assert mean.value == pytest.approx(0.5)
    assert mean.high - mean.value == pytest.approx(4.3027 * 0.1 / np.sqrt(3), abs=1e-4)


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
