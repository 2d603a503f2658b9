"""Files of a finished study: table.csv, table.md, protocol.json and the page."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from models.files import write_json, write_text
from pipeline import RESEARCH_USE
from pipeline.evaluation.json_values import to_json
from pipeline.evaluation.pages import Cell, picture, render_page, table
from pipeline.paper_study.figures import draw_areas
from pipeline.paper_study.names import MAIN, title
from pipeline.paper_study.tables import (
    HEAD,
    LEAK_HEAD,
    MASK_HEAD,
    SCORE_HEAD,
    FinishedStudy,
    accuracy_by_score,
    leak_lines,
    leak_table,
    lines,
    main_table,
    markdown,
    mask_lines,
    score_lines,
)
from pipeline.statistics.estimate import NOT_ESTIMABLE

TEMPLATE = Path(__file__).parent / "templates" / "study.html.j2"
UNCHECKED = "The segmenter does not say which cases it was trained on: that it has seen none of these is not checked."
SMALLEST_P = 1e-4
"""Below it a p value is not written out."""


NETWORKS_CAPTION = (
    "95 % intervals. The paper's figures are of its own patients and networks; it gives no intervals. Accuracies of "
    "tests with different shares of advanced cases are not comparable."
)
DIFFERENCES_CAPTION = "Paired; p is two-sided and not corrected for several comparisons."
LEAKS_CAPTION = (
    "Only shuffled labels must sit at 0.5. An outline or a large spleen is a sign of fibrosis; what everything but the "
    "liver tells without the spleen can come from the scanner or from the outline."
)
SCORES_CAPTION = (
    "Main network, {cases} cases. Where the true mask is known, 1 is a Dice of 0.93 or more and 3 one below 0.80 or an "
    "HD95 above 20 mm; else the score is the cohort's or the segmenter's."
)


def write_report(study: FinishedStudy) -> Path:
    """Write table.csv, table.md, protocol.json and report.html into the study's folder; returns the last."""
    networks, leaks = main_table(study), leak_table(study)
    write_json(study.folder / "protocol.json", to_json(protocol_content(study, networks, leaks)))
    write_text(study.folder / "table.csv", networks.round(4).to_csv(index=False))
    write_text(study.folder / "table.md", markdown(study, networks, leaks))
    write_text(study.folder / "report.html", html_report(study, networks, leaks))
    return study.folder / "report.html"


def protocol_content(study: FinishedStudy, networks: pd.DataFrame, leaks: pd.DataFrame) -> dict[str, Any]:
    """Content of ``protocol.json``, figures as ``Measure``."""
    return {
        "study": study.note,
        "seconds": study.seconds,
        "table": networks.to_dict("records"),
        "leaks": leaks.to_dict("records"),
        "accuracy_by_segmentation_score": accuracy_by_score(study.largest),
        "segmentation": study.largest.segmentation,
    }


def html_report(study: FinishedStudy, networks: pd.DataFrame, leaks: pd.DataFrame) -> str:
    """The page.

    Args:
        networks: of ``main_table``.
        leaks: of ``leak_table``.
    """
    largest = study.largest
    scores, masks = list(score_lines(largest)), list(mask_lines(largest))
    return render_page(
        TEMPLATE,
        research_use=RESEARCH_USE,
        statements=statements(study),
        networks=table(HEAD, with_small_print(lines(networks)), NETWORKS_CAPTION),
        areas=picture(draw_areas(networks), "AUC of each network"),
        differences=table(["Test", "Less", "Main less the other", "p"], differences(study), DIFFERENCES_CAPTION),
        leaks=table(LEAK_HEAD, with_small_print(leak_lines(leaks)), LEAKS_CAPTION),
        scores=table(SCORE_HEAD, with_small_print(scores), SCORES_CAPTION.format(cases=largest.cohort.cases)),
        masks=table(MASK_HEAD, with_small_print(masks), "Against the true masks; 95 % intervals over anatomies."),
        choices=table(["", ""], choices(study)),
        evaluations=list(study.evaluations),
    )


def with_small_print(rows: Iterable[Sequence[str]]) -> list[list[Cell]]:
    """Cells whose last brackets go below the rest."""
    return [[_cell(words) for words in row] for row in rows]


def _cell(words: str) -> Cell:
    match = re.search(r" \((.*)\)$", words)
    return Cell(words[: match.start()], match[1]) if match else Cell(words)


def statements(study: FinishedStudy) -> list[str]:
    """Statements of the evaluations, once for all networks if they are made of each."""
    found: dict[str, None] = {} if study.cases_known else {UNCHECKED: None}
    for evaluation in study.tests.values():
        networks_by_words: dict[str, list[str]] = {}
        for words in evaluation.statements:
            name = next((name for name in evaluation.models if words.startswith((f"{name}:", f"{name} was"))), "")
            networks_by_words.setdefault(words.removeprefix(name), []).append(name)
        for words, networks in networks_by_words.items():
            everyone = len(networks) == len(evaluation.models)
            found[("Every network" if everyone else ", ".join(networks)) + words] = None
    return list(found)


def differences(study: FinishedStudy) -> Iterator[list[str | Cell]]:
    """Comparisons of the main network with each other one."""
    for evaluation in study.tests.values():
        for pair in evaluation.comparisons:
            if pair.first == MAIN:
                difference = pair.difference
                yield [f"n = {difference.cases}", title(pair.second), str(difference.estimate), p_in_words(pair.p)]


def p_in_words(p: float) -> str:
    if math.isnan(p):
        return NOT_ESTIMABLE
    return f"{p:.4f}" if p >= SMALLEST_P else "< 0.0001"


def choices(study: FinishedStudy) -> list[list[str]]:
    """What the study was asked for and how long its steps took."""
    note: Mapping[str, Any] = study.note
    rows = [[str(key), str(value)] for key, value in note["size"].items()]
    rows += [
        [key, ", ".join(map(str, value)) if isinstance(value, list) else str(value)]
        for key, value in note.items()
        if key != "size" and value
    ]
    rows += [[step, f"{seconds / 60:.1f} min"] for step, seconds in study.seconds.items()]
    return [*rows, ["all steps", f"{sum(study.seconds.values()) / 60:.0f} min"]]
