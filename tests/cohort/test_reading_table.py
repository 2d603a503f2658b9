"""The table of a reader study: what is understood, and what is refused in one sentence that names no case."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.cohort.crossing import natural
from pipeline.cohort.reading_table import read_readings
from pipeline.errors import ManifestError, PipelineError, ReadingsError
from tests.shared import shared_path

CASES = 8


@pytest.fixture
def study() -> pd.DataFrame:
    """Two modalities, three readers, eight cases; cases carry names that no message may hold."""
    rows = [
        (f"R{reader}", modality, f"SECRET{case}", case % 2, 10 * case + reader + (modality == "aided"))
        for reader in (1, 2, 10)
        for modality in ("unaided", "aided")
        for case in range(CASES)
    ]
    return pd.DataFrame(rows, columns=["reader", "modality", "case", "truth", "rating"]).astype(str)


@pytest.fixture
def read(tmp_path):
    """Write a table as CSV, and read it as a study."""

    def write_and_read(table: pd.DataFrame, *, separator: str = ",", encoding: str = "utf-8", **options):
        file = tmp_path / "readings.csv"
        table.to_csv(file, index=False, sep=separator, encoding=encoding)
        return read_readings(file, **options)

    return write_and_read


def refusal(read, table: pd.DataFrame, **options) -> str:
    with pytest.raises(ReadingsError) as caught:
        read(table, **options)
    assert "SECRET" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_readers_and_modalities_are_in_natural_order_whatever_the_order_of_the_lines(study, read):
    found = read(study.sample(frac=1, random_state=3)).readings
    assert (found.readers, found.modalities) == (("R1", "R2", "R10"), ("aided", "unaided"))
    assert found.ratings[0, 2].tolist() == [10.0 * case + 11 for case in range(CASES)]
    assert found.ratings[1, 0].tolist() == [10.0 * case + 1 for case in range(CASES)]
    assert found.positive.tolist() == [case % 2 == 1 for case in range(CASES)]


def test_natural_order_of_any_names():
    assert sorted(["b", "10", "2", "a10", "a9", ""], key=natural) == ["", "2", "10", "a9", "a10", "b"]


@pytest.mark.parametrize(
    ("no", "yes"),
    [("0", "1"), ("0.0", "1.0"), ("no", "yes"), ("No", "YES"), ("false", "TRUE"), ("negative", "positive"),
     ("healthy", "diseased"), ("not advanced", "advanced"), ("-", "+")],
)  # fmt: skip
def test_spellings_of_the_truth(study, read, no, yes):
    expected = read(study).readings.positive
    study["truth"] = study.truth.map({"0": no, "1": yes})
    assert (read(study).readings.positive == expected).all()


def test_another_spelling_of_the_truth_needs_the_value_that_has_the_condition(study, read):
    expected = read(study).readings.positive
    study["truth"] = study.truth.map({"0": "2", "1": "1"})
    assert "--positive" in refusal(read, study)
    assert (read(study, positive="1").readings.positive == expected).all()
    assert (read(study, positive="2").readings.positive == ~expected).all()
    assert "No case has" in refusal(read, study, positive="Poor")
    study.loc[study.case == "SECRET3", "truth"] = "3"
    assert "3 different values" in refusal(read, study, positive="1")


@pytest.mark.parametrize("header", ["treatment", "Treatment", " MODALITY "])
def test_names_of_the_modality_column(study, read, header):
    assert read(study.rename(columns={"modality": header})).readings.modalities == ("aided", "unaided")


def test_semicolons_and_decimal_commas_of_a_spreadsheet(study, read):
    study["rating"] = study.rating.astype(float) + 0.5
    expected = read(study).readings.ratings
    study["rating"] = study.rating.map(lambda value: str(value).replace(".", ","))
    assert (read(study, separator=";", encoding="utf-8-sig").readings.ratings == expected).all()
    assert "no number" in refusal(read, study)


def test_ratings_in_words_are_0_and_1(study, read):
    study["rating"] = np.where(study.truth == "1", "yes", "No")
    assert np.isin(read(study).readings.ratings, (0, 1)).all()
    study.loc[4, "rating"] = "5"
    assert "no number" in refusal(read, study)


@pytest.mark.parametrize("cell", ["high", "1e999", "-inf", "1_0", "0x10", "1,5"])
def test_a_rating_that_is_no_finite_number_is_refused_with_its_line(study, read, cell):
    study.loc[4, "rating"] = cell
    assert refusal(read, study).startswith("Line 6:")


@pytest.mark.parametrize("column", ["reader", "modality", "case", "truth"])
@pytest.mark.parametrize("cell", ["", "NA", " nan "])
def test_an_empty_name_or_truth_is_refused_with_its_line(study, read, column, cell):
    study.loc[[4, 9], column] = cell
    assert refusal(read, study) == f"Line 6, 11: no {column}."


def test_a_reading_twice_is_refused(study, read):
    assert "Line 50: a reading" in refusal(read, pd.concat([study, study.iloc[[3]]]))


def test_a_case_with_two_truths_is_refused(study, read):
    study.loc[11, "truth"] = str(1 - int(study.truth[11]))
    assert refusal(read, study).startswith("Line 13: another truth")


@pytest.mark.parametrize("cell", ["", "NaN", "n/a", "None"])
def test_missing_readings_are_listed_and_refused_or_left_out_on_request(study, read, cell):
    study.loc[[0, 1, 8], "rating"] = cell  # cases 0 and 1 of R1 unaided, 0 of R1 aided
    said = refusal(read, study)
    assert said.startswith("3 readings are missing: reader R1 lacks 1 with modality aided, reader R1 lacks 2 with")
    assert "6 of 8 cases" in said
    found = read(study, complete_cases=True)
    assert found.cases_left_out == 2
    assert found.readings.ratings.shape == (2, 3, 6)
    assert np.isfinite(found.readings.ratings).all()
    assert found.readings.positive.tolist() == [False, True] * 3


def test_a_missing_line_is_a_missing_reading(study, read):
    assert refusal(read, study.drop(index=20)).startswith("One reading is missing: reader R2")


def test_a_reader_without_one_modality_leaves_no_complete_case(study, read):
    gone = study[(study.reader != "R2") | (study.modality != "aided")]
    assert "reader R2 lacks 8 with modality aided" in refusal(read, gone)
    assert "No case was read" in refusal(read, gone, complete_cases=True)


@pytest.mark.parametrize("complete_cases", [False, True])
@pytest.mark.parametrize("gaps", [0, 1])
@pytest.mark.parametrize(
    ("nested_in", "words"),
    [("reader", "cases of their own"), ("modality", "cases of its own"), ("group", "cases of their own")],
)
def test_cases_nested_in_readers_or_modalities_are_a_split_plot(study, read, nested_in, words, gaps, complete_cases):
    study["group"] = np.where(study.reader == "R10", "b", "a")
    study["case"] = study.case + study[nested_in]
    said = refusal(read, study.drop(index=range(gaps)), complete_cases=complete_cases)
    assert "split-plot" in said
    assert words in said


def test_readers_whose_cases_overlap_in_part_have_missing_readings(study, read):
    own = {"R1": ("SECRET0", "SECRET1", "SECRET2", "SECRET3"), "R2": ("SECRET4", "SECRET5", "SECRET6", "SECRET7")}
    some = study[[row.reader not in own or row.case in own[row.reader] for row in study.itertuples()]]
    overlapping = some[(some.reader != "R10") | some.case.isin(["SECRET2", "SECRET3", "SECRET4"])]
    assert "readings are missing" in refusal(read, overlapping)


def test_a_reader_without_any_rating_has_missing_readings(study, read):
    study.loc[study.reader == "R2", "rating"] = ""
    assert refusal(read, study).startswith("16 readings are missing: reader R2 lacks 8")


def test_readers_nested_in_modalities_are_a_split_plot(study, read):
    study["reader"] = study.reader + study.modality
    assert "one modality only" in refusal(read, study)


@pytest.mark.parametrize("column", ["case2", "case3"])
def test_the_nested_case_numbers_of_van_dyke_are_split_plots(read, column):
    table = pd.read_csv(shared_path("reader_study/VanDyke.csv"), dtype=str)
    assert "split-plot" in refusal(read, table.drop(columns="case").rename(columns={column: "case"}))


def test_columns_that_lack_or_stand_twice_are_named(study, read):
    assert "no truth and no rating" in refusal(read, study.drop(columns=["truth", "rating"]))
    assert "mean the same" in refusal(read, study.assign(treatment="a"))
    assert "two columns 'rating'" in refusal(read, study.assign(Rating="1"))
    assert "no readings" in refusal(read, study.head(0))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x01", b'reader,"', b"\x00" * 40])
def test_a_file_that_is_no_csv_is_refused(tmp_path, content):
    (tmp_path / "readings.csv").write_bytes(content)
    with pytest.raises(PipelineError, match=r"cannot be read|needs the columns"):
        read_readings(tmp_path / "readings.csv")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ManifestError, match="no such"):
        read_readings(tmp_path / "none.csv")


@pytest.mark.parametrize("lines", [slice(None), slice(1)])
def test_decimal_commas_between_commas_are_refused(tmp_path, study, lines):
    text = [",".join(row) for row in study.to_numpy()]
    text[lines] = [f"{line},5" for line in text[lines]]
    (tmp_path / "readings.csv").write_text("\n".join([",".join(study.columns), *text]))
    with pytest.raises(PipelineError, match="more cells than the header"):
        read_readings(tmp_path / "readings.csv")
