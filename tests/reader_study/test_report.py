"""The report's files: what is in them, what is never in them, and studies with little in them."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.reader_study.analysis.study import analyse_study
from pipeline.reader_study.protocol import Design
from pipeline.reader_study.readings import select
from pipeline.reader_study.report.files import write_report
from pipeline.reader_study.report.flow import flow_steps
from pipeline.reader_study.report.methods import REFERENCES, methods
from pipeline.reader_study.report.page import html_report
from pipeline.reader_study.report.pdf import compose
from pipeline.reader_study.report.records import csv_tables, results_json
from pipeline.reader_study.report.sentences import AUTOMATION_BIAS, findings, limits, not_estimable, state_words
from pipeline.reader_study.report.tables import kappa_table
from tests.reader_study.studies import Planted, cases, changed, later, protocol, rows, texts

SMALL = Planted(readers=2, positives=6, negatives=6)
SECRET, FORMULA = "Erika Mustermann", "=1+1"


def analysed(found=None, planted=SMALL, *, closed=True):
    ordered = sorted(rows(planted) if found is None else found, key=lambda review: review.saved_at)
    return analyse_study(select(texts(ordered), protocol(planted), cases(planted), closed=closed))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """An interim report of a study with a gap, a correction, and a name in every free text."""
    found = [
        replace(one, reason=SECRET, comment=SECRET, overlays_opened=(FORMULA,))
        for one in rows(SMALL)
        if one.review_id != "R1-aided-C3"
    ]
    old = next(one for one in found if one.review_id == "R2-aided-C1")
    found.append(
        replace(old, review_id="new", revises=old.review_id, suspicion=1, saved_at=old.saved_at.replace(year=2027))
    )
    out = tmp_path_factory.mktemp("report")
    write_report(analysed(found, closed=False), out)
    return out


def test_the_page_is_one_file_that_begins_with_the_state(folder):
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "http" not in re.sub(r"data:[^\"]*", "", text)
    assert text.count("<img") == 6
    assert "nan" not in re.sub(r"data:[^\"]*", "", text)
    body = text[text.index("<h1>") :]
    assert body.index("Interim: 47 of 48 reads.") < body.index("Findings") < body.index("Primary analysis")


def test_the_pdf_has_the_same_first_sentence_and_no_empty_page(folder):
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    sheets = compose(analysed([one for one in rows(SMALL) if one.review_id != "R1-aided-C3"], closed=False))
    first = [text.get_text() for text in sheets.figures[0].texts]
    assert any(words.startswith("Interim: 47 of 48 reads.") for words in first)
    assert all(len(figure.texts) > 3 for figure in sheets.figures)


def test_results_are_valid_json_with_the_keys_of_mrmc(folder):
    said = json.loads((folder / "results.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert said["interim"] is True
    assert said["state"].startswith("Interim")
    primary = said["primary"]
    assert primary.keys() >= {"fom", "auc", "means", "ms", "cov", "rrrc", "frrc", "rrfc", "pairwise", "cases"}
    assert primary["cases"]["left_out"] == 1
    assert [one["fom"] for one in said["secondary"]] == ["sensitivity", "specificity"]
    assert said["latest_corrections"]["means"]["aided"] != primary["means"]["aided"]
    assert said["flow"]["missing"] == [{"reader": "R1", "arm": "aided", "reads": 1}]
    assert said["readers"][0]["calls"]["sensitivity"].keys() == {"value", "ci95"}
    assert {one["model"] for one in said["changes"]} == {"right", "wrong", "all"}


def test_tables_hold_every_read_and_every_interval(folder):
    with (folder / "reads.csv").open(newline="") as stream:
        reads = list(csv.DictReader(stream))
    assert len(reads) == 47
    assert reads[0].keys() >= {"reader", "arm", "case_id", "truth", "verdict", "suspicion", "model_probability"}
    with (folder / "readers.csv").open(newline="") as stream:
        readers = list(csv.DictReader(stream))
    assert len(readers) == 4
    for row in readers:
        assert float(row["auc_low"]) < float(row["auc"]) < float(row["auc_high"])
        assert float(row["calls_accuracy_low"]) < float(row["calls_accuracy"])


def test_free_text_of_readers_is_in_no_file(folder):
    assert sorted(file.suffix for file in folder.iterdir()) == [".csv"] * 8 + [".html", ".json", ".pdf"]
    for file in folder.iterdir():
        assert SECRET.encode() not in file.read_bytes(), file.name


def test_a_closed_study_says_only_what_is_missing():
    assert state_words(analysed().readings) == ""
    gap = [one for one in rows(SMALL) if one.review_id != "R1-aided-C3"]
    assert state_words(analysed(gap).readings) == "Closed with 47 of 48 reads."


def test_text_that_is_a_formula_is_none_in_a_table(folder):
    text = (folder / "reads.csv").read_text()
    assert "'=1+1" in text
    assert ",=1+1" not in text


def test_the_flow_adds_up():
    gaps = ("R1-aided-C3", "R2-unaided-C4")
    found = [one for one in rows(SMALL) if one.review_id not in gaps]
    found = changed(found, "R1-unaided-C1", advanced_fibrosis="not_assessable")
    found = changed(found, "R1-unaided-C2", suspicion=None)
    found = [*found, later(SMALL, "R1-unaided-C5", suspicion=3)]
    steps = dict(flow_steps(analysed(found)))
    assert steps["Cases in the study: 14"] == "Practice cases: 2"
    assert steps["Reads planned: 48\n2 readers, unaided and aided"] == "Missing reads: 2\nunaided 1, aided 1"
    assert "already stored: 1" in steps["Reads stored: 46"].replace("\n  ", " ")
    last, *_ = list(steps)[::-1]
    assert last == "Compared (AUC): 9 cases\n2 readers, 36 reads"
    verdicts = steps["Verdicts: 46\nnot assessable 1, counted as wrong"]
    assert verdicts == "Without a suspicion: 1\nCases not read by all in both arms: 3"


@pytest.mark.parametrize("design", Design)
def test_methods_are_written_from_the_protocol(design):
    planted = replace(SMALL, design=design)
    words = " ".join(methods(analysed(rows(planted), planted)))
    assert f"{design.value} design: 2 readers (R1: 5 years; R2: 5 years) read 12 cases, 6 with and 6 without" in words
    assert "Question: Does the model help? " in words
    assert "Reference standard: Histology, METAVIR F3 or F4." in words
    assert ("28 days apart" in words) == (design is Design.CROSSOVER)
    assert ("left the server only after" in words) == (design is Design.SEQUENTIAL)
    cited = {int(number) for number in re.findall(r"\[(\d+)\]", words)}
    assert cited <= set(range(1, len(REFERENCES) + 1))
    assert cited >= set(range(1, len(REFERENCES) + 1)) - {3}


BIG = Planted(readers=4, positives=30, negatives=30)


@pytest.mark.parametrize(
    ("planted", "better", "biased"),
    [
        (BIG, False, False),
        (replace(BIG, gain=1.5), True, False),
        (replace(BIG, followed=0.8), False, True),
    ],
    ids=["nothing", "better", "over-reliance"],
)
def test_what_is_planted_is_said_and_nothing_else(planted, better, biased):
    """One study each; ``benchmarks.reader_study`` counts over many."""
    said = findings(analysed(rows(planted), planted))
    assert ("aided was better" in said[0]) == better
    assert any(AUTOMATION_BIAS in words for words in said) == biased


def constant(reader, **changes):
    return [replace(one, **changes) if one.reader == reader else one for one in rows(SMALL)]


def perfect():
    return [replace(one, suspicion=100 if int(one.case_id[1:]) <= 6 else 0) for one in rows(SMALL)]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            constant("R1", advanced_fibrosis="yes"),
            "Kappa of R1 and R2, verdict, aided: undefined, one rater gave every",
        ),
        (constant("R1", suspicion=50), "Kappa of R1 and R2, suspicion, aided: undefined, one rater gave every"),
        (perfect(), "Aided against unaided, AUC: no test over readers and cases."),
        (perfect(), "AUC of R1, aided: DeLong's interval degenerates"),
        (
            [one for one in rows(SMALL) if one.arm == "unaided"],
            "Aided against unaided, AUC: no reader has reads in both",
        ),
        ([one for one in rows(SMALL) if int(one.case_id[1:]) <= 6], "AUC of R1, unaided: one class only."),
        ([one for one in rows(SMALL) if one.reader == "R1"], "Fleiss' kappa, verdict, aided: undefined, there is only"),
        ([replace(one, suspicion=None) for one in rows(SMALL)], "AUC of R2, aided: no suspicion was given."),
        (rows(SMALL)[:1], "ICC(2,1), suspicion, unaided: undefined"),
    ],
    ids=["constant", "one suspicion", "perfect", "perfect reader", "one arm", "one class", "one reader", "none", "one"],
)
def test_what_is_not_estimable_is_said_and_everything_else_is_written(found, words):
    analysis = analysed(found, closed=False)
    assert any(words in sentence for sentence in not_estimable(analysis))
    json.dumps(results_json(analysis), allow_nan=False)
    assert not re.search(r"\bnan\b", re.sub(r"data:[^\"]*", "", html_report(analysis)))


def test_a_report_of_one_read_has_all_files(tmp_path):
    write_report(analysed(rows(SMALL)[:1], closed=False), tmp_path)
    names = {file.name for file in tmp_path.iterdir()}
    assert names >= {"report.html", "report.pdf", "results.json", "reads.csv", "readers.csv"}
    assert "differences.csv" not in names


def test_what_is_missing_is_said_with_what_is_done():
    found = [one for one in rows(SMALL) if one.reader != "R2" or one.arm == "unaided"]
    found = [one for one in found if one.review_id != "R1-unaided-C2"]
    said = " ".join(limits(analysed(found)))
    assert "Missing reads: 13 (R1 unaided 1, R2 aided 12)" in said
    assert "no read in one of the arms: R2." in said
    assert "1 of 12 cases are not in the comparison" in said


def test_another_shown_result_is_said():
    found = changed(rows(SMALL), "R2-aided-C1", probability=0.0123)
    assert any("1 aided reads were made with another result" in words for words in limits(analysed(found)))


def test_open_rows_change_no_figure():
    plain = results_json(analysed())
    opened = [later(SMALL, f"R1-unaided-C{k}", review_id=f"open{k}", arm="open", study="") for k in range(1, 7)]
    with_open = results_json(analysed([*rows(SMALL), *opened]))
    assert with_open["flow"].pop("rows_left_out") == {"rows of the ordinary page": 6}
    assert plain["flow"].pop("rows_left_out") == {}
    assert plain == with_open


def test_pairs_of_many_readers_are_in_the_table_of_csv_only():
    few, many = (analysed(rows(p), p) for p in (replace(SMALL, readers=5), replace(SMALL, readers=6)))
    assert len(kappa_table(few).rows) == 5 * 15
    table = kappa_table(many)
    assert len(table.rows) == 5 * 6
    assert {row[3].text for row in table.rows} == {"model"}
    assert "kappas.csv" in table.caption
    assert len(csv_tables(many)["kappas"]) == 5 * 21
