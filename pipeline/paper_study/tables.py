"""The study's tables in words, beside the paper's own figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from pipeline.evaluation.report import NAMES, OVERLAP
from pipeline.evaluation.result import Evaluation
from pipeline.paper_study.names import FIGURES, PAPER, PAPER_ACCURACY_BY_SCORE, PAPER_OVERLAP, SEVERITY, title
from pipeline.paper_study.rows import Counts, FinishedSeeds, LeakRow, NetworkRow, StudyTables
from pipeline.statistics.estimate import NOT_ESTIMABLE
from pipeline.statistics.trainings import Trainings, mean_over_trainings

PAPERS_OWN = "the paper's own, n = 23"
HEAD = ["Network", "Test", "Seeds", *(NAMES[figure] for figure in FIGURES)]
DIFFERENCE_HEAD = ["Test", "Less", "AUC of the main network less the other's", "p"]
LEAK_HEAD = ["Network", "Cases", "AUC", "Positive controls"]
SCORE_HEAD = ["Segmentation score", "Cases", "Accuracy", "The paper's own, n = 23"]
MASK_HEAD = ["Liver masks", "Cases", "Mean", "SD", "Lowest", "The paper's own, internal test"]
SMALLEST_P = 1e-4
"""Below it a p value is not written out."""


def in_words(found: Trainings) -> str:
    """``0.721 (0.676 to 0.761; SD 0.030)``, the SD over seeds; without what is not known."""
    mean = mean_over_trainings(found)
    words = str(mean)
    if not math.isfinite(found.sd):
        return words
    return f"{words[:-1]}; SD {found.sd:.3f})" if mean.bounded else f"{words} (SD {found.sd:.3f})"


def network_lines(rows: Sequence[NetworkRow]) -> Iterator[list[str]]:
    """The main table: each network's tests, then the paper's own figures; a network is named once."""
    for network in dict.fromkeys(row.network for row in rows):
        words = title(network)
        for row in rows:
            if row.network == network:
                counts = row.counts
                behind = f"n = {counts.cases} ({counts.positives} positive, {counts.anatomies} anatomies)"
                figures = (in_words(row.figures[name]) if name in row.figures else "" for name in FIGURES)
                seeds = "" if network == SEVERITY else str(len(row.area.values))
                yield [words, behind, seeds, *figures]
                words = ""
        if theirs := PAPER.get(network):
            yield ["", PAPERS_OWN, "", *(f"{theirs[name]:.3f}" if name in theirs else "" for name in FIGURES)]


def difference_lines(tables: StudyTables) -> Iterator[list[str]]:
    for row in tables.comparisons:
        found = row.difference
        yield [f"n = {row.counts.cases}", title(row.other), str(found.estimate), p_in_words(found.p)]


def p_in_words(p: float) -> str:
    if math.isnan(p):
        return NOT_ESTIMABLE
    return f"{p:.4f}" if p >= SMALLEST_P else "< 0.0001"


def leak_lines(leaks: Sequence[LeakRow]) -> Iterator[list[str]]:
    for row in leaks:
        controls = "; ".join(f"{title(name)}: {in_words(area)}" for name, area in row.controls.items())
        yield [title(row.network), _behind(row.counts), in_words(row.area), controls]


def score_lines(tables: StudyTables) -> Iterator[list[str]]:
    """Accuracy of the main network at each segmentation score."""
    for score, (counts, accuracy) in tables.by_score.items():
        theirs = PAPER_ACCURACY_BY_SCORE.get(score)
        yield [score, _behind(counts), in_words(accuracy), f"{theirs:.3f}" if theirs else ""]


def mask_lines(evaluation: Evaluation) -> Iterator[list[str]]:
    """Dice and IoU of the masks in use, if true ones are known."""
    if evaluation.segmentation is None:
        return
    for name, theirs in PAPER_OVERLAP.items():
        found = evaluation.segmentation.measures[name]
        if found.cases:
            spread = f"{found.sd:.3f}" if math.isfinite(found.sd) else ""
            behind = _behind(Counts(found.cases, 0, found.anatomies))
            yield [OVERLAP[name], behind, str(found.mean), spread, f"{found.lowest:.3f}", f"{theirs:.3f}"]


def markdown(study: FinishedSeeds, sentences: Iterable[str]) -> str:
    """All tables of ``table.md``, and the sentences that follow from them."""
    tables = study.tables
    parts = [
        markdown_table(HEAD, network_lines(tables.networks)),
        markdown_table(DIFFERENCE_HEAD, difference_lines(tables)),
        markdown_table(LEAK_HEAD, leak_lines(tables.leaks)),
        markdown_table(SCORE_HEAD, score_lines(tables)),
        markdown_table(MASK_HEAD, mask_lines(study.largest)),
        (f"- {sentence}" for sentence in sentences),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _behind(counts: Counts) -> str:
    return f"n = {counts.cases} ({counts.anatomies} anatomies)"
