"""``study report`` as it is called."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from pipeline.__main__ import app
from pipeline.exports.mrmc_json import mrmc_json
from pipeline.statistics.mrmc import analyse_readings
from tests.reader_study.studies import Planted, rows, write_study
from tests.statistics.studies import small_study

SMALL = Planted(readers=2, positives=4, negatives=4)


def run(*arguments):
    return CliRunner().invoke(app, ["study", *map(str, arguments)])


def refused(result) -> str:
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_a_closed_study_is_reported_beside_its_rows(tmp_path):
    study = write_study(tmp_path / "study", SMALL)
    result = run("report", study)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Primary analysis: AUC of aided minus unaided")
    assert {"report.html", "report.pdf", "results.json", "reads.csv"} <= {
        file.name for file in (study / "report").iterdir()
    }


def test_an_open_study_is_opened_on_request_only(tmp_path):
    found = rows(SMALL)[:31]
    study = write_study(tmp_path / "study", SMALL, found, closed=False)
    assert "--interim" in refused(run("report", study, "-o", tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    result = run("report", study, "-o", tmp_path / "out", "--interim")
    assert result.exit_code == 0
    assert result.stdout.startswith("Interim: 31 of 32 reads.")
    assert json.loads((tmp_path / "out" / "results.json").read_text())["interim"] is True


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda study: (study / "study.yaml").unlink(), "study init"),
        (lambda study: (study / "reference.csv").unlink(), "reference.csv"),
        (lambda study: (study / "cases" / "C2" / "analysis.json").unlink(), "study check"),
        (lambda study: (study / "reviews" / "reviews-planted.csv").unlink(), "No read of this study is stored yet"),
    ],
)
def test_what_cannot_be_reported_is_one_sentence(tmp_path, prepare, words):
    study = write_study(tmp_path / "study", SMALL)
    prepare(study)
    assert words in refused(run("report", study, "-o", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_refused(tmp_path):
    study = write_study(tmp_path / "study", SMALL)
    (tmp_path / "out").write_text("")
    assert "folder" in refused(run("report", study, "-o", tmp_path / "out"))


@pytest.fixture
def pilot(tmp_path):
    file = tmp_path / "pilot.json"
    file.write_text(json.dumps(mrmc_json(analyse_readings(small_study(modalities=2)))))
    return file


def test_power_prints_and_writes_a_table(pilot, tmp_path):
    table = tmp_path / "plan.csv"
    result = run("power", pilot, "--difference", 0.1, "--readers", "8, 4", "--cases", "60,120", "-o", table)
    assert result.exit_code == 0, result.output
    assert "Pilot: 4 readers, 12 cases with and 15 without the condition." in result.stdout
    lines = table.read_text().splitlines()
    assert lines[0] == "readers,power_60_cases,power_120_cases,cases_for_0.8"
    assert [line.split(",")[0] for line in lines[1:]] == ["4", "8"]
    for line in lines[1:]:
        shown = [f"{float(cell):.2f}" for cell in line.split(",")[1:3]]
        assert any(all(cell in row.split() for cell in shown) for row in result.stdout.splitlines())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--difference", "0.1", "--readers", "four"), "whole numbers"),
        (("--difference", "0.1", "--readers", "1"), "at least two readers"),
        (("--difference", "0"), "must lie between"),
    ],
)
def test_plans_that_make_no_sense_are_refused(pilot, arguments, words):
    assert words in refused(run("power", pilot, *arguments))


def test_masks_are_exported_only_where_there_are_some(tmp_path):
    study = write_study(tmp_path / "study", SMALL)
    assert "No corrected mask" in refused(run("export-masks", study, "-o", tmp_path / "out"))
