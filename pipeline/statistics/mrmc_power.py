"""Readers and cases that a study needs, from the variance components of a pilot study.

Sources: Hillis & Berbaum, Acad Radiol 11 (2004) 1260, and Hillis, Obuchowski & Berbaum, Acad Radiol 18 (2011) 129:
covariances shrink as one over the number of cases, and the F statistic of two modalities has a noncentral F
distribution with Hillis' degrees of freedom.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy import stats

from pipeline.errors import ReadingsError
from pipeline.statistics.obuchowski_rockette import Covariances, Generalisation, VarianceComponents

MODALITIES = 2
MOST_CASES = 100_000


class Pilot(NamedTuple):
    """What planning takes from a pilot study."""

    components: VarianceComponents
    cov: Covariances
    cases: int
    """Cases of the pilot, whose share of positives the planned study keeps."""


class Power(NamedTuple):
    """Power of a test of two modalities, with the distribution that it comes from."""

    power: float
    noncentrality: float
    df2: float
    """Degrees of freedom of the denominator; infinite where readers are fixed."""


def power(
    pilot: Pilot,
    difference: float,
    readers: int,
    cases: int,
    *,
    generalisation: Generalisation = "rrrc",
    alpha: float = 0.05,
) -> Power:
    """Probability that the test of two modalities has p below ``alpha`` where they truly differ by ``difference``.

    A negative variance of reader-by-modality effects counts as 0.

    Raises:
        ReadingsError: too few readers or cases, an alpha outside 0 to 1, or a pilot without variances.
    """
    if readers < (1 if generalisation == "frrc" else 2) or cases < 2 * MODALITIES or not 0 < alpha < 1:
        raise ReadingsError("Planning needs at least two readers, four cases and an alpha between 0 and 1.")
    shrink = pilot.cases / cases
    interaction = max(pilot.components.reader_modality, 0.0)
    own, shared = shrink * (pilot.cov.var - pilot.cov.cov1), shrink * pilot.cov.excess
    # Expected mean square of the interaction, and what cases add to it in the mean over readers.
    mean_square, total = interaction + own - shared, interaction + own + (readers - 1) * shared
    df2: float = readers - 1
    if generalisation == "frrc":
        total, df2 = own + (readers - 1) * shared, math.inf
    elif generalisation == "rrfc":
        total = mean_square
    elif mean_square > 0:
        df2 = (total / mean_square) ** 2 * (readers - 1)
    else:
        df2 = math.inf
    if not total > 0:
        raise ReadingsError("The pilot's variances are 0 or not estimable: it cannot be planned from.")
    noncentrality = readers / 2 * difference**2 / total
    return Power(_power(noncentrality, df2, alpha), noncentrality, df2)


def cases_needed(pilot: Pilot, difference: float, readers: int, *, wanted: float = 0.8, alpha: float = 0.05) -> int:
    """Fewest cases with which so many readers reach the power, for random readers and cases.

    Raises:
        ReadingsError: no number of cases reaches it: more readers are needed.
    """

    def enough(cases: int) -> bool:
        return power(pilot, difference, readers, cases, alpha=alpha).power >= wanted

    low, high = 2 * MODALITIES - 1, MOST_CASES
    if not enough(high):
        raise ReadingsError(f"With {readers} readers no number of cases reaches a power of {wanted:g}; add readers.")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _power(noncentrality: float, df2: float, alpha: float) -> float:
    df1 = MODALITIES - 1
    if noncentrality == 0:  # scipy's noncentral F has no value there
        return alpha
    if math.isinf(df2):
        return float(stats.ncx2.sf(stats.chi2.isf(alpha, df1), df1, noncentrality))
    return float(stats.ncf.sf(stats.f.isf(alpha, df1, df2), df1, df2, noncentrality))
