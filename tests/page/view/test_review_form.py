"""From the form's answers to a review."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from pipeline.errors import ReviewError
from pipeline.page.state.session_state import SessionState, StoredResult
from pipeline.page.view.review_form import Answers, reviews_html, same_answers, to_review
from pipeline.reviews import COLUMNS, check

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


def test_what_the_browser_counted_is_kept_and_nonsense_is_not() -> None:
    counted = '{"slices_viewed": [5, 3, 3], "overlays_opened": ["heat", "x"], "active_seconds": 7, "pauses": 1}'
    review = to_review(state(), replace(ANSWERS, viewing_log=counted))
    assert (review.slices_viewed, review.overlays_opened, review.active_seconds) == ((3, 5), ("heat",), 7.0)
    for nonsense in ("", "[]", "{", '{"slices_viewed": "a"}', "null"):
        assert to_review(state(), replace(ANSWERS, viewing_log=nonsense)).slices_viewed == ()


def test_the_table_escapes_and_its_download_holds_the_rows() -> None:
    row = dict.fromkeys(COLUMNS, "") | {"reader": "<b>R1", "saved_at": "2026-01-02T03:04:05.000Z"}
    html = reviews_html([row])
    assert "<b>R1" not in html
    assert "2026-01-02 03:04:05" in html
    csv = base64.b64decode(html.split("base64,")[1].split('"')[0]).decode()
    assert csv.splitlines()[0].split(",") == list(COLUMNS)
    assert "<b>R1" in csv
