"""From the form's answers to a review."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.errors import ReviewError
from pipeline.page.state.session_state import SessionState, StoredResult
from pipeline.page.view.review_form import Answers, reviews_html, same_answers, to_review
from pipeline.page.view.updates import PageUpdates
from pipeline.reviews import COLUMNS, Review, check

ANSWERS = Answers("R1", "yes", 4, "agree", 2, "fine")


def state(*, revealed: bool = True) -> SessionState:
    result = StoredResult("c1", 0.6, 0.5, "s@1", "c@2", "ab", "", {}, revealed, 2, 0.88)
    return SessionState(session="v").with_result(result)


def test_a_finished_form_is_a_complete_review() -> None:
    review = to_review(state(), ANSWERS)
    check(review)
    assert (review.arm, review.probability, review.after_reveal, review.revises) == ("open", 0.6, True, "")
    assert (review.predicted_score, review.predicted_dice) == (2, 0.88)


@pytest.mark.parametrize("missing", ["reader", "advanced_fibrosis", "confidence", "agreement", "segmentation_quality"])
def test_every_required_answer_is_asked_for(missing: str) -> None:
    with pytest.raises(ReviewError):
        check(to_review(state(), replace(ANSWERS, **{missing: None})))


def test_without_a_case_nothing_is_saved() -> None:
    with pytest.raises(ReviewError):
        check(to_review(SessionState(), ANSWERS))


def test_held_back_answers_say_nothing_about_the_model() -> None:
    review = to_review(state(revealed=False), ANSWERS)
    check(review)
    assert (review.agreement, review.segmentation_quality, review.probability) == ("", None, None)
    assert (review.predicted_score, review.predicted_dice) == (None, None)
    assert review.after_reveal is False


def test_a_correction_names_the_same_readers_latest_row() -> None:
    first = to_review(state(), ANSWERS)
    later = state().with_saved(first)
    assert to_review(later, replace(ANSWERS, confidence=1)).revises == first.review_id
    assert to_review(later, replace(ANSWERS, reader="R2")).revises == ""
    assert to_review(later, ANSWERS).review_id != first.review_id
    assert same_answers(first, to_review(later, ANSWERS))
    assert not same_answers(first, to_review(later, replace(ANSWERS, comment="other")))


def test_a_verdict_with_the_ai_corrects_none_without_it() -> None:
    unaided = to_review(state(revealed=False), ANSWERS)
    blind = state(revealed=False).with_saved(unaided)
    assert to_review(blind, replace(ANSWERS, confidence=1)).revises == unaided.review_id
    aided = to_review(blind.with_reveal(), ANSWERS)
    assert aided.revises == ""
    both = blind.with_reveal().with_saved(aided)
    assert to_review(both, replace(ANSWERS, confidence=1)).revises == aided.review_id


def viewed(**changes: object) -> Review:
    """A review with these statistics of the browser, on a case of 30 slices that was opened a minute ago."""
    opened_at = datetime.now(UTC) - timedelta(minutes=1)
    seen = replace(state(), viewer={"size_xyz": [64, 64, 30]}, opened_at=opened_at)
    counted = {"slices_viewed": [5, 3, 3], "overlays_opened": ["heat"], "active_seconds": 7, "pauses": 1, **changes}
    review = to_review(seen, replace(ANSWERS, viewing_log=json.dumps(counted)))
    check(review)
    return review


def test_what_the_browser_counted_is_kept() -> None:
    review = viewed(unknown=1, overlays_opened=["heat", "mask", "heat"])
    assert (review.slices_viewed, review.overlays_opened) == ((3, 5), ("mask", "heat"))
    assert (review.active_seconds, review.pauses) == (7.0, 1)


ODD = {
    "active_seconds": [-1, 70, math.inf, -math.inf, math.nan, 10**301, True, "7", None, [], {}],
    "pauses": [-1, 10_001, math.inf, 10**301, True, 1.5, "1", [1], None],
    "overlays_opened": [
        ["=1+1"],
        ["patient_name"],
        ["heat", "x"],
        ["a"] * 21,
        "heat",
        [1],
        [None],
        [["heat"]],
        {"heat": 1},
    ],
    "slices_viewed": [[0], [31], [-1], [3, 31], [1.5], [True], ["3"], [10**301], list(range(40_000)), [[3]], 3, "3"],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in ODD.items() for value in values])
def test_one_odd_statistic_is_left_empty_and_the_others_are_kept(field: str, value: object, caplog) -> None:
    caplog.set_level("INFO")
    review, whole = viewed(**{field: value}), viewed()
    assert getattr(review, field) in (None, ())
    assert [name for name in ODD if getattr(review, name) != getattr(whole, name)] == [field]
    if value is not None:
        assert field in caplog.text


@pytest.mark.parametrize(
    "nonsense",
    [
        *("", "[]", "{", "null", "1", '"x"', "\0", "9" * 5000, '{"\\ud800": 1}'),
        *("[" * 50_000, '{"slices_viewed":' * 9000, "x" * 1_000_001, '{"pauses": 1}' + " " * 1_000_000),
    ],
    ids=range(13),
)
def test_statistics_that_cannot_be_read_cost_no_answer(nonsense: str) -> None:
    review = to_review(state(), replace(ANSWERS, viewing_log=nonsense))
    check(review)
    assert (review.slices_viewed, review.pauses, review.advanced_fibrosis) == ((), None, "yes")


def test_codes_that_differ_in_case_are_one_reader() -> None:
    first = to_review(state(), ANSWERS)
    later = state().with_saved(first)
    assert to_review(later, replace(ANSWERS, reader=" r1 ", confidence=1)).revises == first.review_id


def test_the_table_escapes_and_its_download_holds_the_rows() -> None:
    row = dict.fromkeys(COLUMNS, "") | {"reader": "<b>R1", "saved_at": "2026-01-02T03:04:05.000Z"}
    html = reviews_html([row])
    assert "<b>R1" not in html
    assert "2026-01-02 03:04:05" in html
    csv = base64.b64decode(html.split("base64,")[1].split('"')[0]).decode()
    assert csv.splitlines()[0].split(",") == list(COLUMNS)
    assert "<b>R1" in csv


def test_of_a_case_that_was_not_classified_all_but_the_agreement_is_reviewed() -> None:
    result = StoredResult("c1", None, None, "s@1", "c@2", "ab", "", {}, revealed=True)
    review = to_review(SessionState(session="v").with_result(result), replace(ANSWERS, agreement=None))
    check(review)
    assert (review.agreement, review.probability, review.threshold) == ("not_classified", None, None)
    hidden = SessionState(session="v").with_result(replace(result, revealed=False))
    assert to_review(hidden, ANSWERS).agreement == ""
    shows = PageUpdates._asks_agreement
    assert [shows(s) for s in (None, state(), hidden)] == [True, True, True]
    assert shows(hidden.with_reveal()) is False
