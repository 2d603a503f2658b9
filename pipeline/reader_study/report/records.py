"""The figures as plain records: ``results.json`` and the tables in CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline import RESEARCH_USE, __version__
from pipeline.evaluation.json_values import to_json
from pipeline.exports.mrmc_json import mrmc_json
from pipeline.reader_study.analysis.comparison import ArmComparison
from pipeline.reader_study.analysis.study import StudyAnalysis
from pipeline.reader_study.readings import StudyReadings
from pipeline.reader_study.reads import StoredRead
from pipeline.reader_study.report.methods import REFERENCES, methods
from pipeline.reader_study.report.sentences import findings, limits, not_estimable, state_words
from pipeline.statistics.estimate import Estimate

SCHEMA = 1


def results_json(analysis: StudyAnalysis) -> dict[str, Any]:
    """All figures by name; what is not estimable is null, and ``not_estimable`` says why."""
    readings = analysis.readings
    return to_json(
        {
            "schema": SCHEMA,
            "app_version": __version__,
            "research_use": RESEARCH_USE,
            "study": readings.protocol.study,
            "protocol_sha256": readings.protocol.sha256,
            "interim": not readings.closed,
            "state": state_words(readings),
            "findings": findings(analysis),
            "not_estimable": not_estimable(analysis),
            "limits": limits(analysis),
            "flow": flow(readings),
            "primary": _comparison(analysis.primary),
            "secondary": [_comparison(one) for one in analysis.comparisons[1:]],
            "latest_corrections": _comparison(analysis.corrected),
            **{name: [nested(row) for row in rows] for name, rows in _rows(analysis).items()},
            "methods": methods(analysis),
            "references": list(REFERENCES),
        }
    )


def csv_tables(analysis: StudyAnalysis) -> dict[str, list[dict[str, Any]]]:
    """Records by table; an interval is two further columns, ``NAME_low`` and ``NAME_high``."""
    tables: dict[str, list[dict[str, Any]]] = {"reads": [read_record(read) for read in analysis.readings.first]}
    return tables | {name: [flat(row) for row in rows] for name, rows in _rows(analysis).items()}


def _rows(analysis: StudyAnalysis) -> Mapping[str, Sequence[tuple]]:
    return {
        "readers": analysis.arms,
        "differences": analysis.differences,
        "changes": analysis.reliance,
        "changes_by_reader": analysis.changes,
        "segmentation_scores": analysis.scores,
        "agreement": analysis.over_readers,
        "kappas": analysis.kappas,
    }


def flow(readings: StudyReadings) -> dict[str, Any]:
    """Counts of the flow diagram."""
    return {
        "cases": len(readings.protocol.cases),
        "practice_cases": readings.practice_cases,
        "read_cases": {
            "positive": sum(case.positive for case in readings.cases),
            "negative": sum(not case.positive for case in readings.cases),
            "without_model_verdict": sum(case.model_positive is None for case in readings.cases),
        },
        "readers": len(readings.readers),
        "reads_expected": readings.expected,
        "reads": len(readings.first),
        "not_assessable": sum(not read.assessable for read in readings.first),
        "without_suspicion": sum(read.suspicion is None for read in readings.first),
        "corrections": readings.corrections,
        "missing": [
            {"reader": reader, "arm": arm, "reads": count} for (reader, arm), count in readings.missing().items()
        ],
        "rows_left_out": {reason.value: count for reason, count in readings.left_out.items()},
    }


def _comparison(found: ArmComparison) -> dict[str, Any]:
    """The keys of ``mrmc``'s JSON; without an analysis only why there is none."""
    about = {"fom": found.figure_of_merit, "readers_left_out": list(found.readers_left_out)}
    if found.analysis is None:
        return about | {"why_not": found.why_not}
    return about | mrmc_json(found.analysis, found.cases_left_out)


def read_record(read: StoredRead) -> dict[str, Any]:
    """A primary read with truth and the model's result; free text is left out, since it may name somebody."""
    case = read.case
    return {
        "reader": read.reader,
        "arm": read.arm,
        "case_id": case.case_id,
        "truth": int(case.positive),
        "verdict": read.verdict,
        "right": int(read.right),
        "suspicion": read.suspicion,
        "confidence": read.confidence,
        "agreement": read.agreement,
        "segmentation_quality": read.segmentation_quality,
        "active_seconds": read.active_seconds,
        "overlays_opened": "|".join(read.overlays_opened),
        "model_probability": case.probability,
        "model_threshold": case.threshold,
        "model_right": None if case.model_right is None else int(case.model_right),
        "predicted_score": case.score,
        "review_id": read.review_id,
    }


def nested(value: Any) -> Any:
    """Named tuples as objects; an estimate as ``value`` and ``ci95``."""
    if isinstance(value, Estimate):
        return {"value": value.value, "ci95": [value.low, value.high]}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: nested(item) for name, item in value._asdict().items()}
    if isinstance(value, tuple):
        return [nested(item) for item in value]
    return value


def flat(row: Any) -> dict[str, Any]:
    """A named tuple as one record; parts of parts are joined by an underscore."""
    record: dict[str, Any] = {}
    for name, value in row._asdict().items():
        record |= _flat(name, value)
    return record


def _flat(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Estimate):
        return {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
    if isinstance(value, tuple):
        parts = value._asdict() if hasattr(value, "_asdict") else dict(enumerate(value, start=1))
        found: dict[str, Any] = {}
        for part, item in parts.items():
            found |= _flat(f"{name}_{part}", item)
        return found
    return {name: value}
