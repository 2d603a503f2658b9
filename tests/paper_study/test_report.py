"""What the study's page says: brackets below the rest, p values, statements once for all networks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pipeline.evaluation.pages import Cell
from pipeline.paper_study.report import UNCHECKED, p_in_words, statements, with_small_print


@pytest.mark.parametrize(
    ("words", "cell"),
    [
        ("0.811 (0.700 to 0.900)", Cell("0.811", "0.700 to 0.900")),
        (
            "Which site is it? (against the site, not fibrosis)",
            Cell("Which site is it?", "against the site, not fibrosis"),
        ),
        ("not estimable", Cell("not estimable")),
        ("a (b) c", Cell("a (b) c")),
    ],
)
def test_brackets_at_the_end_go_below_the_rest(words, cell):
    assert with_small_print([[words]]) == [[cell]]


def test_p_values_have_four_decimals_or_a_bound():
    assert [p_in_words(p) for p in (float("nan"), 0.0213, 1e-4, 9e-5)] == [
        "not estimable",
        "0.0213",
        "0.0001",
        "< 0.0001",
    ]


def test_what_is_stated_of_every_network_is_said_once():
    evaluation = SimpleNamespace(
        models={"resnet": None, "swin_tiny": None},
        statements=("The cohort is simulated.", "resnet: A note.", "resnet: Only here.", "swin_tiny: A note."),
    )
    study = SimpleNamespace(cases_known=False, tests={"test_5": evaluation, "test_14": evaluation})
    assert statements(study) == [  # type: ignore[arg-type]
        UNCHECKED,
        "The cohort is simulated.",
        "Every network: A note.",
        "resnet: Only here.",
    ]
