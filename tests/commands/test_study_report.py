"""``study report`` as it is called."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from pipeline.__main__ import app
from tests.reader_study.studies import Planted, rows, write_study

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
