"""What the study's page says: brackets below the rest, p values, statements once for all networks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pipeline.evaluation.pages import Cell
from pipeline.paper_study.report import UNCHECKED, statements, with_small_print
from pipeline.paper_study.tables import p_in_words


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


def test_what_is_stated_of_every_network_is_said_once_for_all_seeds():
    evaluations = [
        SimpleNamespace(
            models={f"resnet_seed{seed}": None, f"swin_tiny_seed{seed}": None},
            statements=(
                "The cohort is simulated.",
                f"resnet_seed{seed}: A note.",
                f"resnet_seed{seed}: Only here.",
                f"swin_tiny_seed{seed}: A note.",
            ),
        )
        for seed in (1, 2)
    ]
    study = SimpleNamespace(
        cases_known=False,
        evaluations={"test_5": evaluations, "test_14": evaluations},
        scores={"test_5": SimpleNamespace(left_out=0), "test_14": SimpleNamespace(left_out=2)},
        leak_scores=SimpleNamespace(left_out=1),
    )
    assert statements(study) == [  # type: ignore[arg-type]
        UNCHECKED,
        "The cohort is simulated.",
        "Every network: A note.",
        "resnet: Only here.",
        "test_14: 2 cases that a network could not predict are in no row.",
        "leak tests: 1 cases that a network could not predict are in no row.",
    ]
