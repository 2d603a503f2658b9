from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from pipeline.errors import ReviewError
from pipeline.reviews import COLUMNS, Review, ReviewStore, check
from pipeline.reviews.cells import as_row, as_text, said

FULL = Review(
    reader="R1",
    case_id="0f3a9c27",
    advanced_fibrosis="no",
    confidence=4,
    agreement="disagree",
    segmentation_quality=2,
)


def cells(review: Review) -> dict[str, str]:
    return dict(zip(COLUMNS, as_row(review), strict=True))


def test_columns_are_those_of_the_format():
    assert ", ".join(COLUMNS) == (
        "schema, review_id, saved_at, study, protocol_sha256, session, reader, reader_experience, case_id, arm, "
        "order_index, seed, opened_at, active_seconds, pauses, suspicion, advanced_fibrosis, confidence, agreement, "
        "segmentation_quality, reason, comment, after_reveal, probability, threshold, predicted_score, predicted_dice, "
        "mask_sha256, mask_edited, segmenter, classifier, app_version, overlays_opened, slices_viewed, revises"
    )


def stored(review: Review, folder: Path) -> dict[str, str]:
    """The row of a review that the store accepts."""
    ReviewStore(folder).append(review)
    (row,) = ReviewStore(folder).rows().to_dict("records")
    return row


def test_a_complete_review_is_stored_as_its_cells(tmp_path):
    assert stored(FULL, tmp_path) | {"saved_at": ""} == cells(FULL)


@pytest.mark.parametrize("reader", ["R1", "hep-02", "A_7", "12", "ABCDEFGHIJ12"])
def test_codes_are_stored(reader, tmp_path):
    assert stored(replace(FULL, reader=reader), tmp_path)["reader"] == reader.upper()


@pytest.mark.parametrize(
    "reader", ["", "R", "Mueller", "MEYER", "Dr Meyer 1", "a.b1", "ABCDEFGHIJ123", "R1\n", "=R1", "-H1", "_7", "R١"]
)
def test_what_may_be_a_name_is_refused(reader):
    with pytest.raises(ReviewError, match="never a name"):
        check(replace(FULL, reader=reader))


def refusal(**changes: object) -> str:
    with pytest.raises(ReviewError) as refused:
        check(replace(FULL, **changes))  # type: ignore[arg-type]
    return str(refused.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"case_id": ""}, "Analyse a case before you save a review."),
        ({"advanced_fibrosis": ""}, "Answer before you save: your verdict on advanced fibrosis."),
        ({"confidence": None}, "Answer before you save: your confidence."),
        ({"agreement": ""}, "Answer before you save: agreement with the model."),
        ({"segmentation_quality": None}, "Answer before you save: segmentation quality."),
        ({"advanced_fibrosis": "maybe"}, "Choose one of the offered answers for advanced fibrosis."),
        ({"confidence": 6}, "Choose one of the offered answers for confidence."),
        ({"agreement": "yes"}, "Choose one of the offered answers for agreement."),
        ({"segmentation_quality": 4}, "Choose one of the offered answers for segmentation quality."),
        ({"arm": "closed"}, "Choose one of the offered answers for arm."),
        ({"suspicion": 101}, "The suspicion must lie between 0 and 100."),
        ({"probability": math.nan}, "The probability must lie between 0 and 1."),
        ({"threshold": 1.01}, "The threshold must lie between 0 and 1."),
        ({"active_seconds": -1.0}, "The active seconds cannot be stored as it was given; enter it again."),
        ({"active_seconds": math.inf}, "The active seconds cannot be stored as it was given; enter it again."),
        ({"slices_viewed": (0,)}, "The slices viewed cannot be stored as it was given; enter it again."),
        ({"segmenter": "x" * 201}, "The segmenter cannot be stored as it was given; enter it again."),
        ({"comment": "x" * 4001}, "Shorten the text to 4000 characters."),
        ({"reason": "x" * 4001}, "Shorten the text to 4000 characters."),
        ({"opened_at": datetime(2026, 1, 1)}, "The time at which the case was opened needs a time zone."),
        (
            {"after_reveal": False},
            "Agreement and segmentation quality can be judged only after the AI's result was shown.",
        ),
        ({"arm": "unaided"}, "Agreement and segmentation quality can be judged only after the AI's result was shown."),
        ({"comment": 5}, "The comment cannot be stored as it was given; enter it again."),
    ],
)
def test_refused_with_one_sentence(change, message):
    assert refusal(**change) == message


def test_all_missing_answers_are_named_at_once():
    with pytest.raises(ReviewError, match=r"verdict .*, .*confidence, agreement .*, segmentation"):
        check(Review(reader="R1", case_id="0f"))


def test_what_is_missing_is_named_before_what_is_impossible_and_the_reader_before_both():
    assert "agreement with the model" in refusal(agreement="", confidence=6)
    assert "reader code" in refusal(reader="Meyer", agreement="", confidence=6)
    assert "confidence" in refusal(confidence=6, suspicion=101, comment="x" * 4001)


def test_a_refusal_quotes_no_answer():
    assert "Doe" not in refusal(reader="Jane Doe")
    assert "Doe" not in refusal(agreement="Jane Doe")


@pytest.mark.parametrize("extreme", [{"suspicion": 0}, {"suspicion": 100}, {"probability": 0.0}, {"threshold": 1}])
def test_the_ends_of_a_range_are_stored(extreme, tmp_path):
    ((column, value),) = extreme.items()
    assert stored(replace(FULL, **extreme), tmp_path)[column] == str(value)


@pytest.mark.parametrize("change", [{"after_reveal": False}, {"arm": "unaided"}])
def test_a_read_before_the_ai_needs_the_own_verdict_only(change, tmp_path):
    row = stored(replace(FULL, agreement="", segmentation_quality=None, **change), tmp_path)
    assert (row["advanced_fibrosis"], row["agreement"], row["segmentation_quality"]) == ("no", "", "")


def test_not_assessable_needs_no_confidence(tmp_path):
    row = stored(replace(FULL, advanced_fibrosis="not_assessable", confidence=None), tmp_path)
    assert (row["advanced_fibrosis"], row["confidence"]) == ("not_assessable", "")


def test_an_unfinished_form_can_be_held_and_is_refused_when_it_is_checked():
    draft = Review(reader="Jane Doe", confidence=9, agreement="maybe", comment="x" * 5000)
    assert draft.confidence == 9
    with pytest.raises(ReviewError):
        check(draft)


BEGINNINGS = ["", "\t", "\r", "  ", "\0", "\u200b", '"', "'", "' \"", "\u3000"]
BEFORE = ["", "x;", "x,", "x\t", "x\n", "x\r\n", "x|", "x ;", ";;", "x\n;"]


@pytest.mark.parametrize("sign", "=+-@＝＋－＠﹦⁺﹣−")
def test_no_part_of_a_cell_runs_as_a_formula_and_the_text_comes_back(sign):
    for before, beginning in itertools.product(BEFORE, BEGINNINGS):
        review = replace(FULL, comment=f"{before}{beginning}{sign}1+1")
        cell = cells(review)["comment"]
        for part in re.split(r"[;,\t\n|]", cell):
            assert not re.match(rf"[\s\"]*[{re.escape(sign)}]", part)
        assert said(cell) == as_text(review)["comment"]


@pytest.mark.parametrize("text", ["'=1", "''=1", "a - b", "S4; 2-3 cm", "R2-D2, fine", "'quoted'", "x;'=1", "it's"])
def test_apostrophes_of_the_reader_come_back(text):
    assert said(cells(replace(FULL, comment=text))["comment"]) == text


def test_ordinary_text_gets_no_apostrophe():
    text = "Size 2-3 cm, 4+ nodules; T = 3 (a@b), re-read"
    assert cells(replace(FULL, comment=text))["comment"] == text


def test_a_cell_that_no_spreadsheet_holds_is_refused():
    with pytest.raises(ReviewError, match="too long"):
        as_row(replace(FULL, slices_viewed=tuple(range(40_000))))


def test_ordinary_text_is_kept_with_plain_newlines():
    assert cells(replace(FULL, comment=" Nodular - see\xa0S4.\r\nSecond, “line” \r"))["comment"] == (
        "Nodular - see S4.\nSecond, “line”"
    )


def test_cells_are_utc_lists_joined_and_empty_for_what_does_not_apply():
    row = cells(
        replace(
            FULL,
            opened_at=datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone(timedelta(hours=2))),
            overlays_opened=("mask", "heatmap"),
            slices_viewed=(3, 4),
            mask_edited=False,
            after_reveal=True,
            probability=0.1,
        )
    )
    assert row["opened_at"] == "2026-03-04T03:06:07.000Z"
    assert row["overlays_opened"] == "mask|heatmap"
    assert row["slices_viewed"] == "3|4"
    assert (row["mask_edited"], row["after_reveal"]) == ("no", "yes")
    assert row["probability"] == "0.1"
    assert row["predicted_dice"] == row["study"] == row["seed"] == ""
    assert datetime.fromisoformat(row["opened_at"]).tzinfo == UTC
