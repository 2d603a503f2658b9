from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from pipeline.errors import ReviewError
from pipeline.reviews import COLUMNS, Review, check
from pipeline.reviews.record import as_row

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


def test_complete_review_passes():
    check(FULL)


@pytest.mark.parametrize("reader", ["R1", "hep-02", "A_7", "12", "ABCDEFGHIJ12"])
def test_codes_are_taken(reader):
    check(replace(FULL, reader=reader))


@pytest.mark.parametrize("reader", ["", "R", "Mueller", "MEYER", "Dr Meyer 1", "a.b1", "ABCDEFGHIJ123", "R1\n", "=R1"])
def test_what_may_be_a_name_is_refused(reader):
    with pytest.raises(ReviewError, match="never a name"):
        check(replace(FULL, reader=reader))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"case_id": ""}, "Analyse a case"),
        ({"advanced_fibrosis": ""}, "your verdict on advanced fibrosis"),
        ({"confidence": None}, "your confidence"),
        ({"agreement": ""}, "agreement with the model"),
        ({"segmentation_quality": None}, "segmentation quality"),
        ({"advanced_fibrosis": "maybe"}, "advanced fibrosis"),
        ({"confidence": 6}, "confidence"),
        ({"agreement": "yes"}, "agreement"),
        ({"segmentation_quality": 4}, "segmentation quality"),
        ({"arm": "closed"}, "arm"),
        ({"suspicion": 101}, "between 0 and 100"),
        ({"probability": math.nan}, "between 0 and 1"),
        ({"comment": "x" * 5000}, "Shorten"),
        ({"opened_at": datetime(2026, 1, 1)}, "time zone"),
        ({"after_reveal": False}, "only after"),
        ({"arm": "unaided"}, "only after"),
    ],
)
def test_refused_with_a_reason(change, reason):
    with pytest.raises(ReviewError, match=reason):
        check(replace(FULL, **change))


def test_all_missing_answers_are_named_at_once():
    with pytest.raises(ReviewError, match=r"verdict .*, .*confidence, agreement .*, segmentation"):
        check(Review(reader="R1", case_id="0f"))


@pytest.mark.parametrize("change", [{"after_reveal": False}, {"arm": "unaided"}])
def test_a_read_before_the_ai_needs_the_own_verdict_only(change):
    check(replace(FULL, agreement="", segmentation_quality=None, **change))


def test_not_assessable_needs_no_confidence():
    check(replace(FULL, advanced_fibrosis="not_assessable", confidence=None))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\0=1", "​=1", "＝1"])
def test_no_cell_runs_as_a_formula(text):
    assert cells(replace(FULL, comment=text))["comment"].startswith("'")


def test_ordinary_text_is_kept_with_plain_newlines():
    assert cells(replace(FULL, comment=" Nodular - see S4.\r\nSecond, “line” \r"))["comment"] == (
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
