"""The start of the reviews' copy goes on where the Hub's library loses its client for a moment."""

from __future__ import annotations

import pytest

from pipeline.reviews.hub_client import HubTarget, until_answered


def test_a_client_that_another_thread_has_closed_is_asked_again() -> None:
    answers = iter([None, None, "sha"])

    def ask() -> str:
        client = next(answers)
        return client.upper()  # type: ignore[union-attr]

    assert until_answered(ask, target()) == "SHA"


def test_another_fault_of_our_own_is_not_waited_out() -> None:
    def ask() -> str:
        return "x".nothing  # type: ignore[attr-defined, no-any-return]

    with pytest.raises(AttributeError, match="nothing"):
        until_answered(ask, target())


def target() -> HubTarget:
    return HubTarget("owner/reviews", start_s=5.0)
