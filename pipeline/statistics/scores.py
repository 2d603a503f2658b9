"""Check of scores before anything is computed from them."""

from __future__ import annotations

import numpy as np

from pipeline.errors import ScoreError


def check_scores(scores: np.ndarray) -> None:
    """Refuse scores or probabilities of any shape that are NaN or infinite.

    A rank or a mean over them would silently be another figure, or that of fewer cases.

    Raises:
        ScoreError: at least one is not a finite number.
    """
    wrong = np.size(scores) - int(np.isfinite(scores).sum())
    if wrong:
        raise ScoreError(f"{wrong} of {np.size(scores)} scores are not finite numbers.")
