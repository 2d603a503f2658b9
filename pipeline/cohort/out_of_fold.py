"""Prevention of leakage: which members of a model may predict a case of a cohort.

A member of an ensemble has seen the cases and anatomies of its training folds; its predictions for these, or for
another case of the same anatomy, say nothing about new patients. Only members that have seen neither may predict.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from models.folds import read_folds
from models.registry import ModelFolder
from pipeline.errors import ModelError


@dataclass(frozen=True)
class OutOfFoldMembers:
    """A model and what each of its members has seen in training, as far as the model says."""

    model: ModelFolder
    seen: Mapping[str, frozenset[str]]
    """Names of cases and anatomies that a member was trained on, by member."""
    cases_known: bool
    """Whether the model lists the cases of its training; if not, leakage cannot be checked and all members predict."""
    anatomies_known: bool
    """Whether the model lists the anatomies of its training; if not, only those that the manifest gives its cases."""

    def unseen_members(self, names: Collection[str]) -> ModelFolder | None:
        """The model with the members that have seen none of ``names`` (cases or anatomies); None if there are none."""
        members = tuple(member for member in self.model.members if not self.seen[member] & set(names))
        return replace(self.model, members=members) if members else None

    def describe(self, chosen: ModelFolder) -> str:
        """``ensemble`` if ``chosen`` has all members of the model, else their names, such as ``fold0+fold2``."""
        return "ensemble" if len(chosen.members) == len(self.model.info["members"]) else "+".join(chosen.members)


def out_of_fold_members(model: ModelFolder, anatomy_of: Mapping[str, str]) -> OutOfFoldMembers:
    """Derive what each member of a model has seen from ``folds.json``, ``model.json`` and a manifest.

    ``folds.json`` lists the cases that each member held out. A member has seen all cases in it but those, and every
    anatomy of a case that it has seen. ``unseen_anatomies`` in ``model.json`` is read the same way. A model without
    ``folds.json``, or with a single fold in it, does not list the cases of its training.

    Args:
        anatomy_of: anatomy by case, for all rows of the manifest.

    Raises:
        ModelError: ``folds.json`` or ``unseen_anatomies`` is damaged.
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
