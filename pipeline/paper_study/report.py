"""Files of a finished study: table.csv, table.md, protocol.json and the page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from models.files import write_json, write_text
from pipeline import RESEARCH_USE
from pipeline.evaluation.json_values import to_json
from pipeline.evaluation.pages import Cell, picture, render_page, table
from pipeline.paper_study.conclusions import conclusions
from pipeline.paper_study.figures import draw_areas
from pipeline.paper_study.rows import FinishedSeeds
from pipeline.paper_study.tables import (
    DIFFERENCE_HEAD,
    HEAD,
    LEAK_HEAD,
    MASK_HEAD,
    SCORE_HEAD,
    difference_lines,
    leak_lines,
    markdown,
    mask_lines,
    network_lines,
    score_lines,
)
from pipeline.statistics.trainings import mean_over_trainings

TEMPLATE = Path(__file__).parent / "templates" / "study.html.j2"
UNCHECKED = "The segmenter does not say which cases it was trained on: that it has seen none of these is not checked."
SEED = re.compile(r"_seed\d+")
NETWORKS_CAPTION = (
    "Means over seeds with 95 % intervals that hold cases and seeds (hierarchical bootstrap), and the standard "
    "deviation over seeds. The paper's figures are of its own patients and networks; it gives no intervals. Accuracies "
    "of tests with different shares of advanced cases are not comparable."
)
DIFFERENCES_CAPTION = (
    "Paired: the same cases are drawn for both, seeds for each network on its own; p is two-sided and not corrected "
    "for several comparisons."
)
LEAKS_CAPTION = (
    "Only shuffled labels must sit at 0.5. An outline or a large spleen is a sign of fibrosis; what everything but the "
    "liver tells without the spleen can come from the scanner or from the outline. A network that misses what its "
    "positive control finds has no power to exclude a leak."
)
SCORES_CAPTION = (
    "Main network, {cases} cases. Where the true mask is known, 1 is a Dice of 0.93 or more and 3 one below 0.80 or an "
    "HD95 above 20 mm; else the score is the cohort's or the segmenter's."
)


def write_report(study: FinishedSeeds) -> Path:
    """Write table.csv, table.md, protocol.json and report.html into the study's folder; returns the last."""
    sentences = conclusions(study)
    records = [row.to_record() for row in study.tables.networks]
    table_csv = pd.DataFrame(records).drop(columns=[name for name in records[0] if name.endswith("_by_seed")])
    write_json(study.folder / "protocol.json", to_json(protocol_content(study, sentences)))
    write_text(study.folder / "table.csv", table_csv.round(4).to_csv(index=False))
    write_text(study.folder / "table.md", markdown(study, sentences))
    write_text(study.folder / "report.html", html_report(study, sentences))
    return study.folder / "report.html"


def protocol_content(study: FinishedSeeds, sentences: Sequence[str]) -> dict[str, Any]:
    """Content of ``protocol.json``."""
    tables = study.tables
    return {
        "study": study.note,
        "seconds": study.seconds,
        "seeds": study.seeds,
        "table": [row.to_record() for row in tables.networks],
        "comparisons": [row.to_record() for row in tables.comparisons],
        "leaks": [row.to_record() for row in tables.leaks],
        "accuracy_by_segmentation_score": {
            score: vars(counts) | mean_over_trainings(accuracy)._asdict() | {"sd": accuracy.sd}
            for score, (counts, accuracy) in tables.by_score.items()
        },
        "segmentation": study.largest.segmentation,
        "conclusions": sentences,
    }


def html_report(study: FinishedSeeds, sentences: Sequence[str]) -> str:
    """The page."""
    largest, tables = study.largest, study.tables
    scores, masks = list(score_lines(tables)), list(mask_lines(largest))
    return render_page(
        TEMPLATE,
        research_use=RESEARCH_USE,
        statements=statements(study),
        sentences=sentences,
        networks=table(HEAD, with_small_print(network_lines(tables.networks)), NETWORKS_CAPTION),
        areas=picture(draw_areas(tables.networks), "AUC of each network"),
        differences=table(DIFFERENCE_HEAD, with_small_print(difference_lines(tables)), DIFFERENCES_CAPTION),
        leaks=table(LEAK_HEAD, with_small_print(leak_lines(tables.leaks)), LEAKS_CAPTION),
        scores=table(SCORE_HEAD, with_small_print(scores), SCORES_CAPTION.format(cases=largest.cohort.cases)),
        masks=table(MASK_HEAD, with_small_print(masks), "Against the true masks; 95 % intervals over anatomies."),
        choices=table(["", ""], choices(study)),
        evaluations=[f"seed{seed}/{test}" for seed in study.seeds for test in study.evaluations],
    )


def with_small_print(rows: Iterable[Sequence[str]]) -> list[list[Cell]]:
    """Cells whose last brackets go below the rest."""
    return [[_cell(words) for words in row] for row in rows]


def _cell(words: str) -> Cell:
    match = re.search(r" \((.*)\)$", words)
    return Cell(words[: match.start()], match[1]) if match else Cell(words)


def statements(study: FinishedSeeds) -> list[str]:
    """Statements of all evaluations, once for all networks and seeds if they are made of each."""
    found: dict[str, None] = {} if study.cases_known else {UNCHECKED: None}
    for evaluations in study.evaluations.values():
        models = {SEED.sub("", name) for evaluation in evaluations for name in evaluation.models}
        networks_by_words: dict[str, dict[str, None]] = {}
        for evaluation in evaluations:
            for words in evaluation.statements:
                name = next((name for name in evaluation.models if words.startswith((f"{name}:", f"{name} "))), "")
                networks_by_words.setdefault(words.removeprefix(name), {})[SEED.sub("", name)] = None
        for words, networks in networks_by_words.items():
            found[("Every network" if networks.keys() == models else ", ".join(networks)) + words] = None
    for rows, scores in (study.scores | {"leak tests": study.leak_scores}).items():
        if scores.left_out:
            found[f"{rows}: {scores.left_out} cases that a network could not predict are in no row."] = None
    return list(found)


def choices(study: FinishedSeeds) -> list[list[str]]:
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
