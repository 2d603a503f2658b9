"""Which members of a model may read a case: never one that was trained on it, or on the anatomy that it comes from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from models.folds import read_folds
from models.registry import ModelFolder
from pipeline.errors import ModelError


@dataclass(frozen=True)
class OutOfFoldMembers:
    """What the members of one model were trained on, as far as it is known."""

    model: ModelFolder
    seen: Mapping[str, frozenset[str]]
    """By member: cases and anatomies."""
    cases_known: bool
    """Whether the model says which cases its members have seen; else all of its members read everything."""
    anatomies_known: bool
    """Whether the model itself names its anatomies; else only those are known that the manifest gives its cases."""

    def of(self, names: Collection[str]) -> ModelFolder | None:
        """The model with the members that have seen none of ``names``; None where all of them have."""
        members = tuple(member for member in self.model.members if not self.seen[member] & set(names))
        return replace(self.model, members=members) if members else None

    def in_words(self, chosen: ModelFolder) -> str:
        """``ensemble``, or the members that read."""
        return "ensemble" if len(chosen.members) == len(self.model.info["members"]) else "+".join(chosen.members)


def out_of_fold_members(model: ModelFolder, anatomy_of: Mapping[str, str]) -> OutOfFoldMembers:
    """Gather what a model's members have seen from ``folds.json``, ``model.json`` and a manifest.

    A member has seen each case that ``folds.json`` names for the others and not for itself, and every anatomy of such
    a case. A model without ``folds.json``, or with a single fold in it, does not name the cases of its training.

    Args:
        anatomy_of: source anatomy by case, of all rows of the manifest.

    Raises:
        ModelError: what the model says of its training is damaged.
    """
    cases = {member: frozenset(names) for member, names in read_folds(model.folder).items()}
    try:
        named = dict(model.info.get("unseen_anatomies", {}))
        anatomies = {str(member): frozenset(map(str, names)) for member, names in named.items()}
    except (TypeError, ValueError) as error:
        raise ModelError("The model.json's unseen_anatomies must give names by member.") from error
    seen = {}
    for member in model.members:
        of_cases = frozenset().union(*cases.values()) - cases.get(member, frozenset())
        of_anatomies = frozenset().union(*anatomies.values()) - anatomies.get(member, frozenset())
        by_manifest = frozenset(anatomy_of[case] for case in of_cases if case in anatomy_of)
        seen[member] = of_cases | of_anatomies | by_manifest
    return OutOfFoldMembers(model, seen, len(cases) > 1, bool(anatomies))
