"""Obuchowski and Rockette's analysis of multi-reader multi-case studies, with Hillis' degrees of freedom.

A figure of merit of t modalities and r readers is modelled as

    theta_ij = mu + tau_i + R_j + (tau R)_ij + error_ij,

with errors that are correlated since all readers read the same cases: Cov1 between modalities of a reader, Cov2 between
readers of a modality, Cov3 between different readers of different modalities; Var is their variance.

Sources, and what is taken from them:

- Obuchowski & Rockette, Commun Stat Simul Comput 24 (1995) 285: the model, and Var and Cov1 to Cov3 as means over the
  covariance matrix.
- Hillis, Stat Med 26 (2007) 596: the F statistic with max(Cov2 - Cov3, 0), its denominator's degrees of freedom
  (``ddf_H``), and intervals of single modalities from their own data (section 5.3).
- Hillis, Obuchowski & Berbaum, Acad Radiol 18 (2011) 129, and Hillis, Berbaum & Metz, Acad Radiol 15 (2008) 647:
  variance components as functions of the mean squares, fixed readers (chi-square) and fixed cases.
- Hillis, Stat Med 33 (2014) 330: the same test derived as a marginal-mean ANOVA.

Where a denominator is 0 the statistic, its p and its intervals are NaN.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats

from pipeline.statistics.reader_figures import ReaderFigures

Generalisation = Literal["rrrc", "frrc", "rrfc"]
"""Random readers and cases; fixed readers, random cases; random readers, fixed cases."""
GENERALISATIONS: tuple[Generalisation, ...] = ("rrrc", "frrc", "rrfc")
ROUNDING = 1e-9
"""Share of the error variance below which a difference of covariances is rounding, and so 0."""
NO_SPREAD = 1e-18
"""Mean square below which figures do not differ but for rounding; differences of AUCs have squares above it."""


class MeanSquares(NamedTuple):
    """Mean squares of the figures in a two-way ANOVA without replication; NaN without degrees of freedom."""

    t: float
    """Modalities, t - 1 degrees of freedom."""
    r: float
    """Readers, r - 1."""
    tr: float
    """Interaction, (t - 1)(r - 1)."""


class Covariances(NamedTuple):
    """Error variance and covariances; NaN where there is no such pair."""

    var: float
    cov1: float
    """Same reader, different modalities."""
    cov2: float
    """Different readers, same modality."""
    cov3: float
    """Different readers, different modalities."""

    @property
    def excess(self) -> float:
        """max(Cov2 - Cov3, 0); 0 for one reader, who has neither."""
        difference = self.cov2 - self.cov3
        return difference if difference > ROUNDING * self.var else 0.0


class VarianceComponents(NamedTuple):
    """ANOVA estimates of the variances of random effects. They can be negative: then the truth is near 0."""

    reader: float
    reader_modality: float


class EqualityTest(NamedTuple):
    """A test of equal modalities."""

    statistic: float
    """F, or chi-square where readers are fixed."""
    df1: float
    df2: float
    """Infinite for chi-square."""
    p: float


class PairDifference(NamedTuple):
    """First modality minus second, by index, with its 95 % interval and two-sided p."""

    first: int
    second: int
    value: float
    error: float
    df: float
    low: float
    high: float
    p: float


class Interval(NamedTuple):
    """Mean of a modality over readers with its 95 % interval, from the data of this modality alone."""

    value: float
    error: float
    df: float
    low: float
    high: float


class Inference(NamedTuple):
    """What one generalisation says."""

    test: EqualityTest
    pairwise: tuple[PairDifference, ...]
    """Not adjusted for their number."""
    single: tuple[Interval, ...]
    """By modality."""


def mean_squares(values: np.ndarray) -> MeanSquares:
    """Mean squares of (modalities, readers) figures."""
    t, r = values.shape
    by_modality, by_reader, mean = values.mean(axis=1), values.mean(axis=0), values.mean()
    residuals = values - by_modality[:, None] - by_reader + mean
    return MeanSquares(
        _mean_square(r * ((by_modality - mean) ** 2).sum(), t - 1),
        _mean_square(t * ((by_reader - mean) ** 2).sum(), r - 1),
        _mean_square((residuals**2).sum(), (t - 1) * (r - 1)),
    )


def covariances(covariance: np.ndarray) -> Covariances:
    """Means of a (modalities, readers, modalities, readers) covariance matrix over its four kinds of pairs."""
    t, r = covariance.shape[:2]
    same_modality = np.eye(t, dtype=bool)[:, None, :, None]
    same_reader = np.eye(r, dtype=bool)[None, :, None, :]
    kinds = (
        same_modality & same_reader,
        ~same_modality & same_reader,
        same_modality & ~same_reader,
        ~same_modality & ~same_reader,
    )
    return Covariances(*(float(covariance[kind].mean()) if kind.any() else math.nan for kind in kinds))


def components(ms: MeanSquares, cov: Covariances, modalities: int) -> VarianceComponents:
    """Variances of readers and of reader-by-modality effects, by equating mean squares to their expectations."""
    return VarianceComponents(
        (ms.r - ms.tr) / modalities - cov.cov1 + cov.cov3, ms.tr - cov.var + cov.cov1 + cov.excess
    )


def infer(figures: ReaderFigures, generalisation: Generalisation) -> Inference:
    """Test, pairwise differences and single-modality intervals for one generalisation.

    Random readers need two readers and differences need two modalities; what is not there is NaN or empty.
    """
    values, ms, cov = figures.values, mean_squares(figures.values), covariances(figures.covariance)
    variance, df = error_term(ms, cov, values.shape, generalisation)
    means = values.mean(axis=1)
    error = math.sqrt(2 * variance / values.shape[1])
    pairs = tuple(
        _difference((a, b), float(means[a] - means[b]), error, df) for a, b in combinations(range(len(means)), 2)
    )
    single = tuple(_single(figures, number, generalisation) for number in range(len(means)))
    test = _test(ms.t, variance, len(means) - 1, df)
    if generalisation == "frrc":  # chi-square is F with infinite degrees of freedom, times its own
        test = test._replace(statistic=test.df1 * test.statistic)
    return Inference(test, pairs, single)


def error_term(
    ms: MeanSquares, cov: Covariances, shape: tuple[int, ...], generalisation: Generalisation
) -> tuple[float, float]:
    """Denominator of the test of equal modalities, and its degrees of freedom.

    Args:
        shape: numbers of modalities and of readers.
    """
    t, r = shape
    if generalisation == "frrc":
        return _unless_zero(cov.var - cov.cov1 + (r - 1) * cov.excess, ROUNDING * cov.var), math.inf
    if generalisation == "rrfc":
        return _unless_zero(ms.tr, NO_SPREAD), (t - 1) * (r - 1)
    variance = _unless_zero(ms.tr + r * cov.excess, NO_SPREAD)
    return variance, hillis_df(variance, ms.tr, (t - 1) * (r - 1))


def hillis_df(variance: float, mean_square: float, df: float) -> float:
    """Degrees of freedom of a mean square plus a covariance that counts as known (Hillis 2007): ``ddf_H``."""
    if not mean_square > NO_SPREAD:
        return math.nan if math.isnan(mean_square) else math.inf
    return variance**2 / (mean_square**2 / df)


def _single(figures: ReaderFigures, number: int, generalisation: Generalisation) -> Interval:
    values = figures.values[number]
    r, mean = len(values), float(values.mean())
    own = covariances(figures.covariance[number : number + 1, :, number : number + 1, :])
    ms = mean_squares(values[None]).r
    shared = max(own.cov2, 0.0) if r > 1 else 0.0
    if generalisation == "frrc":
        variance, df = own.var + (r - 1) * shared, math.inf
    elif generalisation == "rrfc":
        variance, df = ms, r - 1
    else:
        variance = ms + r * shared
        df = hillis_df(variance, ms, r - 1)
    error = math.sqrt(_unless_zero(variance, NO_SPREAD) / r)
    half = _reach(df) * error
    return Interval(mean, error, df, mean - half, mean + half)


def _difference(pair: tuple[int, int], value: float, error: float, df: float) -> PairDifference:
    half = _reach(df) * error
    p = float(2 * stats.t.sf(abs(value) / error, df)) if error > 0 and df > 0 else math.nan
    return PairDifference(*pair, value, error, df, value - half, value + half, p)


def _test(ms_t: float, variance: float, df1: int, df: float) -> EqualityTest:
    if df1 < 1 or not (variance > 0 and df > 0):
        return EqualityTest(math.nan, df1 or math.nan, df, math.nan)
    ratio = ms_t / variance
    p = stats.chi2.sf(df1 * ratio, df1) if math.isinf(df) else stats.f.sf(ratio, df1, df)
    return EqualityTest(ratio, df1, df, float(p))


def _mean_square(total: float, df: int) -> float:
    return float(total) / df if df > 0 else math.nan


def _unless_zero(value: float, least: float) -> float:
    """NaN in place of a variance that is 0 but for rounding."""
    return value if value > least else math.nan


def _reach(df: float) -> float:
    """Half width of a 95 % interval in standard errors."""
    return float(stats.t.ppf(0.975, df)) if df > 0 else math.nan
