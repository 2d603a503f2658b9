"""Sentences that follow from the study's figures, by rules: what they show, and what they cannot tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.paper_study.names import MAIN, POOLING, SEVERITY, SHUFFLED, SITE, TEXTURE, title
from pipeline.paper_study.rows import ComparisonRow, FinishedSeeds, LeakRow, NetworkRow
from pipeline.statistics import Estimate
from pipeline.statistics.trainings import mean_over_trainings

CHANCE = 0.5
UNDECIDED = {
    POOLING: "What masked attention adds to masked pooling is not known.",
    "unmasked": "What the mask adds is not known.",
    TEXTURE: "That the network is better or worse than a plain baseline is not shown.",
}
"""What follows where the main network and another cannot be told apart."""


def conclusions(study: FinishedSeeds) -> list[str]:
    """All sentences: seeds, the main network against each other, learning, the small test, leaks."""
    tables, largest = study.tables, list(study.scores)[-1]
    rows = [row for row in tables.networks if row.test == largest]
    pairs = [row for row in tables.comparisons if row.test == largest]
    smaller = [row for row in tables.comparisons if row.test != largest]
    return [
        *about_seeds(len(study.seeds), study.planned),
        *(about_pair(pair, seeds=len(study.seeds)) for pair in pairs),
        *about_learning(rows),
        *about_small_tests(smaller),
        *(about_leak(row) for row in tables.leaks),
    ]


def about_seeds(done: int, planned: int) -> Iterator[str]:
    if done < planned:
        yield f"{done} of {planned} seeds are done; the study is not finished, and its figures will change."
    if done == 1:
        yield (
            "Each network was trained once: the intervals hold cases only, and any difference between networks may be "
            "the chance of one training."
        )


def about_pair(pair: ComparisonRow, *, seeds: int) -> str:
    """The main network against another, on one test."""
    difference, names = pair.difference.estimate, f"{title(MAIN)} and {title(pair.other)}"
    if not difference.bounded:
        return f"{names}: the difference in AUC has no interval, so nothing is known of it."
    words = f"{difference} at n = {pair.counts.cases}"
    if pair.other == SEVERITY:
        return f"{title(MAIN)} less what the simulation drew, which no network is expected to surpass: {words}."
    if difference.low <= 0 <= difference.high:
        return f"{names} cannot be told apart by AUC: {words}. {UNDECIDED.get(pair.other, '')}".rstrip()
    relation = "a higher" if difference.value > 0 else "a lower"
    once = " One training each: this may be the chance of the seed." if seeds == 1 else ""
    return f"{title(MAIN)} has {relation} AUC than {title(pair.other)}: {words}.{once}"


def about_learning(rows: list[NetworkRow]) -> Iterator[str]:
    """Networks of the table that are not shown to be better than chance."""
    for row in rows:
        if not above_chance(mean_over_trainings(row.area)):
            yield (
                f"{title(row.network)} is not shown to be better than chance: as trained here it did not learn, which "
                "says nothing about what such a network can do."
            )


def about_small_tests(pairs: list[ComparisonRow]) -> Iterator[str]:
    """How many differences between networks a small test shows."""
    for test in dict.fromkeys(pair.test for pair in pairs):
        here = [pair for pair in pairs if pair.test == test and pair.other != SEVERITY]
        found = [pair.difference.estimate for pair in here]
        shown = sum(each.bounded and not each.low <= 0 <= each.high for each in found)
        cases = here[0].counts.cases
        yield f"At n = {cases} the interval of {shown} of {len(here)} differences from {title(MAIN)} excludes 0."


def about_leak(row: LeakRow) -> str:
    """What may be concluded from one leak test."""
    found, name = mean_over_trainings(row.area), title(row.network)
    if not found.bounded:
        return f"{name}: the AUC has no interval, so nothing can be concluded."
    if row.network == SHUFFLED:
        if found.low <= CHANCE <= found.high:
            return f"{name}: {found} holds 0.5, as it must."
        return f"{name}: {found} does not hold 0.5, which it must: look for a leak in how cases were prepared or split."
    if row.network == SITE:
        told = "The site can be predicted" if above_chance(found) else "It is not shown that the site can be predicted"
        return f"{told} from the image: {found}."
    return (
        f"{name}: {_against_controls(found, {name: mean_over_trainings(area) for name, area in row.controls.items()})}"
    )


def _against_controls(found: Estimate, controls: Mapping[str, Estimate]) -> str:
    finding = [f"{title(name)} finds {area}" for name, area in controls.items() if above_chance(area)]
    if above_chance(found):
        return f"the network finds {found}, so this tells of the label without the liver's texture."
    if finding:
        return (
            f"no power. The network finds nothing ({found}), but {' and '.join(finding)}: something is there that the "
            "network does not see, so it cannot exclude a leak."
        )
    if not controls:
        return f"the network finds nothing ({found}); without a positive control that excludes nothing."
    return (
        f"neither the network ({found}) nor its positive controls find anything; a leak above an AUC of "
        f"{found.high:.2f} is unlikely, a smaller one cannot be excluded."
    )


def above_chance(area: Estimate) -> bool:
    """Whether the whole interval of an AUC lies above 0.5."""
    return area.bounded and area.low > CHANCE
