"""Who read what: whether every reader read every case with every modality, and how a study is called that did not."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.errors import ReadingsError

SHOWN_GAPS = 4


@dataclass(frozen=True)
class Crossing:
    """Readers, modalities and cases of a table, and which readings there are."""

    modalities: tuple[str, ...]
    readers: tuple[str, ...]
    cases: tuple[str, ...]
    read: np.ndarray
    """(modalities, readers, cases) bool."""
    modality_of: np.ndarray
    """(readings,) indices; so are the next two."""
    reader_of: np.ndarray
    case_of: np.ndarray

    @classmethod
    def of(cls, names: pd.DataFrame, rated: pd.Index) -> Crossing:
        """Of a table with the columns reader, modality and case, and the rows of it that have a rating."""
        columns = ("modality", "reader", "case")
        levels = [tuple(sorted(names[column].unique(), key=natural)) for column in columns]
        places = [
            np.asarray(pd.Categorical(names.loc[rated, column], known).codes)
            for column, known in zip(columns, levels, strict=True)
        ]
        read = np.zeros(tuple(len(known) for known in levels), bool)
        read[tuple(places)] = True
        return cls(levels[0], levels[1], levels[2], read, places[0], places[1], places[2])


def natural(name: str) -> tuple[tuple[int, float, str], ...]:
    """Sort key: ``R2`` before ``R10``."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, float(part), part) if part.isdecimal() else (1, 0.0, part) for part in parts)


def check_crossed(crossing: Crossing, *, complete_cases: bool) -> np.ndarray:
    """Cases to analyse, (cases,) bool: all of them, or those that every reader read with every modality.

    Raises:
        ReadingsError: the design is a split plot, readings are missing and ``complete_cases`` is off, or no case is
            complete.
    """
    complete = np.asarray(crossing.read.all(axis=(0, 1)))
    if complete.all():
        return complete
    if design := split_plot(crossing.read):
        raise ReadingsError(
            f"This is a split-plot design ({design}); only studies in which every reader reads every case with every "
            "modality can be analysed."
        )
    if not complete_cases:
        raise ReadingsError(
            f"{_missing_words(crossing)}; complete the readings, or add --complete-cases to analyse the "
            f"{int(complete.sum())} of {len(complete)} cases that every reader read with every modality."
        )
    if not complete.any():
        raise ReadingsError(f"No case was read by every reader with every modality: {_missing_words(crossing)}.")
    return complete


def split_plot(read: np.ndarray) -> str:
    """Name of the split-plot design of (modalities, readers, cases) readings; empty where it is none.

    Sets of cases count as one where most of their cases are shared, so that a missing reading does not hide the design.
    """
    if len(read) > 1 and (read.any(axis=2).sum(axis=0) == 1).all():
        return "each reader reads with one modality only"
    if _parted(np.asarray(read.any(axis=1))):
        return "each modality has cases of its own"
    if _parted(np.asarray(read.any(axis=0))):
        return "readers, or groups of readers, have cases of their own"
    return ""


def _parted(groups: np.ndarray) -> bool:
    """Whether any two of (groups, cases) bool sets share either no case or more than half, and some share none."""
    alone = False
    for place, first in enumerate(groups):
        for second in groups[:place]:
            shared, smaller = int((first & second).sum()), int(min(first.sum(), second.sum()))
            if shared == 0 and smaller:
                alone = True
            elif shared <= 0.5 * smaller:
                return False
    return alone


def _missing_words(crossing: Crossing) -> str:
    """``3 readings are missing: reader 2 lacks 2 with modality A, reader 5 lacks 1 with modality B``."""
    lacking = (~crossing.read).sum(axis=2)
    words = [
        f"reader {reader} lacks {lacking[m, r]} with modality {modality}"
        for m, modality in enumerate(crossing.modalities)
        for r, reader in enumerate(crossing.readers)
        if lacking[m, r]
    ]
    more = f" and {len(words) - SHOWN_GAPS} more" if len(words) > SHOWN_GAPS else ""
    total = int(lacking.sum())
    head = f"{total} readings are missing" if total > 1 else "One reading is missing"
    return f"{head}: {', '.join(words[:SHOWN_GAPS])}{more}"
