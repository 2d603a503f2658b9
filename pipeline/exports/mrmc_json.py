"""A multi-reader analysis as JSON types."""

from __future__ import annotations

import math
from typing import Any

from pipeline.exports.mrmc_wording import cautions, conclusions
from pipeline.statistics.mrmc import MrmcAnalysis
from pipeline.statistics.obuchowski_rockette import Inference, PairDifference


def mrmc_json(found: MrmcAnalysis, cases_left_out: int = 0) -> dict[str, Any]:
    """All figures by name; what is not estimable, and infinite degrees of freedom, are null.

    ``auc`` holds the figure of merit that ``fom`` names, also where that is a sensitivity or specificity.
    """
    readings, inferences = found.readings, found.inferences
    rrrc, frrc, rrfc = (inferences[name].test for name in ("rrrc", "frrc", "rrfc"))
    return _plain(
        {
            "fom": found.fom,
            "method": found.method,
            "threshold": found.threshold,
            "readers": list(readings.readers),
            "modalities": list(readings.modalities),
            "cases": {
                "positive": int(readings.positive.sum()),
                "negative": int((~readings.positive).sum()),
                "left_out": cases_left_out,
            },
            "auc": _by_modality(found, found.figures.values),
            "means": dict(zip(readings.modalities, found.means, strict=True)),
            "ms": found.ms._asdict(),
            "cov": found.cov._asdict(),
            "variance_components": found.components._asdict(),
            "rrrc": {"f": rrrc.statistic, "df1": rrrc.df1, "df2": rrrc.df2, "p": rrrc.p},
            "frrc": {"chi2": frrc.statistic, "df": frrc.df1, "p": frrc.p},
            "rrfc": {"f": rrfc.statistic, "df1": rrfc.df1, "df2": rrfc.df2, "p": rrfc.p},
            "pairwise": _pairs(found, inferences["rrrc"].pairwise),
            "pairwise_frrc": _pairs(found, inferences["frrc"].pairwise),
            "pairwise_rrfc": _pairs(found, inferences["rrfc"].pairwise),
            "single_modality": {name: _single(found, inference) for name, inference in inferences.items()},
            "reader_intervals": _reader_intervals(found),
            "reader_differences": {
                reader: _pairs(found, pairs) for reader, pairs in zip(readings.readers, found.by_reader, strict=True)
            },
            "conclusions": conclusions(found),
            "cautions": cautions(found, cases_left_out),
        }
    )


def _by_modality(found: MrmcAnalysis, values: Any) -> dict[str, dict[str, Any]]:
    readings = found.readings
    return {
        modality: dict(zip(readings.readers, row, strict=True))
        for modality, row in zip(readings.modalities, values, strict=True)
    }


def _reader_intervals(found: MrmcAnalysis) -> dict[str, dict[str, Any]]:
    values = [
        [{"value": one.value, "ci95": [one.low, one.high], "interval": words} for one, words in zip(*row, strict=True)]
        for row in zip(found.intervals, found.interval_methods, strict=True)
    ]
    return _by_modality(found, values)


def _pairs(found: MrmcAnalysis, pairs: tuple[PairDifference, ...]) -> list[dict[str, Any]]:
    names = found.readings.modalities
    return [
        {
            "a": names[pair.first],
            "b": names[pair.second],
            "diff": pair.value,
            "se": pair.error,
            "df": pair.df,
            "ci95": [pair.low, pair.high],
            "p": pair.p,
        }
        for pair in pairs
    ]


def _single(found: MrmcAnalysis, inference: Inference) -> dict[str, Any]:
    return {
        name: {"mean": one.value, "se": one.error, "df": one.df, "ci95": [one.low, one.high]}
        for name, one in zip(found.readings.modalities, inference.single, strict=True)
    }


def _plain(value: Any) -> Any:
    """Python's own types; NaN and infinity become null."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
