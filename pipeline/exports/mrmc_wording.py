"""Sentences on a multi-reader analysis, for the command line and the report of a study."""

from __future__ import annotations

import math

from pipeline.statistics.mrmc import MrmcAnalysis
from pipeline.statistics.obuchowski_rockette import ROUNDING, Generalisation, PairDifference
from pipeline.statistics.reader_figures import FigureOfMerit

FIGURE_WORDS: dict[FigureOfMerit, str] = {"auc": "AUC", "sensitivity": "sensitivity", "specificity": "specificity"}
GENERALISATION_WORDS: dict[Generalisation, str] = {
    "rrrc": "other readers and other cases",
    "frrc": "these readers, other cases",
    "rrfc": "other readers, these cases",
}
FEW_CASES = 10
"""Cases of a class below which normal intervals of an AUC are known to be too narrow."""
SIGNIFICANT = 0.05


def p_words(p: float) -> str:
    """``p = 0.032``, ``p < 0.001``, or ``p not estimable``."""
    if math.isnan(p):
        return "p not estimable"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def conclusions(found: MrmcAnalysis) -> list[str]:
    """The primary result in plain sentences: random readers and cases, or these readers where there is but one."""
    names, figure = found.readings.modalities, FIGURE_WORDS[found.fom]
    if len(names) == 1:
        interval = found.inferences[primary(found)].single[0]
        return [
            f"Mean {figure} with {names[0]}: {interval.value:.3f} (95 % {interval.low:.3f} to {interval.high:.3f}); "
            "with one modality there is nothing to compare."
            if math.isfinite(interval.low)
            else f"Mean {figure} with {names[0]}: {interval.value:.3f}, without a 95 % interval."
        ]
    return [_difference_words(found, pair) for pair in found.inferences[primary(found)].pairwise]


def primary(found: MrmcAnalysis) -> Generalisation:
    """Random readers and random cases, where there are several readers."""
    return "rrrc" if len(found.readings.readers) > 1 else "frrc"


def _difference_words(found: MrmcAnalysis, pair: PairDifference) -> str:
    a, b = (found.readings.modalities[number] for number in (pair.first, pair.second))
    head = f"{FIGURE_WORDS[found.fom]} of {a} minus {b}: {pair.value:+.3f}"
    if math.isnan(pair.p):
        return f"{head}; its interval is not estimable."
    scope = "readers and cases" if primary(found) == "rrrc" else "the cases of this one reader"
    if pair.p < SIGNIFICANT:
        verdict = f"{a if pair.value > 0 else b} was better"
    else:
        verdict = "no difference shown, which does not show that they are equal"
    return f"{head} ({_interval_words(pair)}), {p_words(pair.p)} over {scope}: {verdict}."


TWO_READERS = (
    "With two readers the test over other readers rejects too often, 9 % of simulated studies without a difference "
    "at 0.05: take it as exploratory."
)


def _interval_words(pair: PairDifference) -> str:
    if max(-pair.low, pair.high) > 1:
        return "95 % interval wider than possible"
    return f"95 % {pair.low:+.3f} to {pair.high:+.3f}"


def cautions(found: MrmcAnalysis, cases_left_out: int = 0) -> list[str]:
    """What limits the analysis, a sentence each; empty where nothing does."""
    return [
        words for words in (*_of_design(found, cases_left_out), *_of_ratings(found), *_of_estimates(found)) if words
    ]


def _of_design(found: MrmcAnalysis, cases_left_out: int) -> list[str]:
    readings = found.readings
    positives = int(readings.positive.sum())
    classes = {"auc": (positives, len(readings.positive) - positives), "sensitivity": (positives,)}.get(
        found.fom, (len(readings.positive) - positives,)
    )
    return [
        f"Cases left out, since some reader did not read them with every modality: {cases_left_out}; this is right "
        "only where readings are missing by chance."
        if cases_left_out
        else "",
        "With one reader nothing can be said about other readers; the figures hold for this reader."
        if len(readings.readers) == 1
        else "",
        TWO_READERS if len(readings.readers) == 2 and len(readings.modalities) > 1 else "",
        f"The p-values of the {len(readings.modalities) * (len(readings.modalities) - 1) // 2} pairs are not adjusted "
        "for their number; look at the test of all modalities first."
        if len(readings.modalities) > 2
        else "",
        f"With {min(classes)} cases in a class intervals are rough." if min(classes) < FEW_CASES else "",
    ]


def _of_ratings(found: MrmcAnalysis) -> list[str]:
    readings, words = found.readings, []
    for m, modality in enumerate(readings.modalities):
        for r, reader in enumerate(readings.readers):
            ratings, value = readings.ratings[m, r], found.figures.values[m, r]
            if ratings.min() == ratings.max() and found.fom == "auc":
                words.append(f"Reader {reader} gave every case the same rating with {modality}: the AUC is 0.5.")
            elif found.figures.covariance[m, r, m, r] == 0 and value in (0, 1):
                words.append(
                    f"The {FIGURE_WORDS[found.fom]} of reader {reader} with {modality} is {value:.0f}: its variance "
                    "cannot be estimated and counts as 0, which makes the study's intervals too narrow."
                )
    return words


def _is_impossible(found: MrmcAnalysis) -> bool:
    """Whether the primary interval of a difference goes beyond what figures from 0 to 1 can differ by."""
    pairs = found.inferences[primary(found)].pairwise
    return any(math.isfinite(pair.low) and max(-pair.low, pair.high) > 1 for pair in pairs)


def _of_estimates(found: MrmcAnalysis) -> list[str]:
    cov, words, rounding = found.cov, [], ROUNDING * found.cov.var
    if cov.cov2 - cov.cov3 < -rounding:
        words.append("Cov2 is below Cov3: their difference counts as 0 (Hillis 2007).")
    negative = [name for name, value in found.components._asdict().items() if value < -rounding]
    if negative:
        names = " and ".join(name.replace("_", "-by-") for name in negative)
        words.append(f"The estimated variance of {names} effects is negative: take it as 0 in planning.")
    several = len(found.readings.modalities) > 1 and len(found.readings.readers) > 1
    if several and math.isinf(found.inferences["rrrc"].test.df2):
        words.append("All readers differ alike between the modalities: the degrees of freedom are infinite.")
    if several and _is_impossible(found):
        words.append(
            "An interval is wider than any possible difference: the study is too small to say anything about other "
            "readers."
        )
    if several and math.isnan(found.inferences["rrrc"].test.p):
        words.append("Neither readers nor cases give the differences any variance: they cannot be tested.")
    return words
