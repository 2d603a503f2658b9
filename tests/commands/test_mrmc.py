"""``mrmc`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from pipeline.__main__ import app
from tests.shared import shared_path
from tests.statistics.studies import small_study

KEYS = {"auc", "means", "ms", "cov", "rrrc", "frrc", "rrfc", "pairwise"}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["mrmc", *map(str, arguments)])


def said_json(tmp_path: Path, *arguments: str | Path) -> dict:
    result = run(*arguments, "--output", tmp_path / "out" / "mrmc.json")
    assert result.exit_code == 0, result.output
    return json.loads((tmp_path / "out" / "mrmc.json").read_text())


@pytest.fixture
def table(tmp_path) -> Path:
    """Three modalities, four readers, 27 cases."""
    study = small_study()
    rows = [
        (reader, modality, f"c{case}", int(study.positive[case]), study.ratings[m, r, case])
        for m, modality in enumerate(("A", "B", "C"))
        for r, reader in enumerate(study.readers)
        for case in range(len(study.positive))
    ]
    file = tmp_path / "readings.csv"
    pd.DataFrame(rows, columns=["reader", "modality", "case", "truth", "rating"]).to_csv(file, index=False)
    return file


@pytest.mark.parametrize("method", ["jackknife", "delong"])
def test_van_dyke_is_written_as_published(tmp_path, method):
    said = said_json(tmp_path, shared_path("reader_study/VanDyke.csv"), "--method", method)
    published = json.loads(shared_path("reader_study/expected.json").read_text())["VanDyke.csv"][method]
    assert said.keys() >= KEYS
    for modality, values in zip("12", published["theta"], strict=True):
        assert [said["auc"][modality][reader] for reader in "12345"] == pytest.approx(values, abs=5e-9)
    assert said["ms"] == pytest.approx({"t": published["MST"], "r": published["MSR"], "tr": published["MSTR"]})
    assert list(said["cov"]) == ["var", "cov1", "cov2", "cov3"]
    assert list(said["cov"].values()) == pytest.approx(
        [published[name] for name in ("varerr", "cov1", "cov2", "cov3")], rel=1e-11
    )
    random = published["RRRC"]
    assert said["rrrc"] == pytest.approx({"f": random["F"], "df1": 1, "df2": random["ddf"], "p": random["p"]})
    assert said["frrc"] == pytest.approx({"chi2": published["FRRC"]["X2"], "df": 1, "p": published["FRRC"]["p"]})
    assert said["rrfc"]["p"] == pytest.approx(published["RRFC"]["p"])
    (pair,) = said["pairwise"]
    assert (pair["a"], pair["b"]) == ("1", "2")
    assert [pair["diff"], pair["se"], pair["p"]] == pytest.approx([random["diff12"], random["se_diff"], random["p"]])
    assert pair["ci95"] == pytest.approx(random["ci"])


def test_what_is_printed(table):
    result = run(table)
    assert result.exit_code == 0
    assert "4 readers, 3 modalities, 27 cases: 12 with and 15 without the condition." in result.stdout
    for words in ("AUC of A minus B", "B - C", "reader 4: A - C", "chi2(2)", "Cov3 (neither)", "not adjusted"):
        assert words in result.stdout


def test_names_that_look_like_markup_are_printed_as_they_are(table):
    text = table.read_text().replace(",A,", ",[bold]A[/],")
    table.write_text(text)
    result = run(table)
    assert result.exit_code == 0
    assert "B - [bold]A[/]" in result.stdout


def test_sensitivity_needs_a_threshold_and_says_which_it_used(table, tmp_path):
    said = said_json(tmp_path, table, "--fom", "sensitivity", "--threshold", "1")
    assert (said["fom"], said["threshold"]) == ("sensitivity", 1.0)
    refused = run(table, "--fom", "specificity")
    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1
    assert "--threshold" in refused.stderr


@pytest.mark.parametrize(
    ("change", "arguments", "words"),
    [
        (lambda text: text.replace(",1,", ",0,"), (), "at least two"),
        (lambda text: text.replace("1,A,c0,1,", "1,A,c0,1,x"), (), "Line 2: a rating that is no number."),
        (lambda text: text.replace("1,A,c0,1,", "1,A,c0,1,\n#"), (), "Line"),
        (lambda text: text, ("--threshold", "3"), "needs no threshold"),
        (lambda text: text, ("--positive", "9"), "--positive"),
    ],
)
def test_what_cannot_be_analysed_is_one_sentence(table, tmp_path, change, arguments, words):
    table.write_text(change(table.read_text()))
    result = run(table, *arguments, "-o", tmp_path / "out.json")
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out.json").exists()
    assert result.stdout == ""


def test_missing_readings_are_refused_and_left_out_on_request(table, tmp_path):
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:1], *lines[2:]]))
    refused = run(table)
    assert refused.exit_code == 2
    assert "reader 1 lacks 1 with modality A" in refused.stderr
    assert said_json(tmp_path, table, "--complete-cases")["cases"]["left_out"] == 1


def test_an_output_that_is_a_folder_is_refused(table, tmp_path):
    result = run(table, "-o", tmp_path)
    assert result.exit_code == 2
    assert "folder" in result.stderr
