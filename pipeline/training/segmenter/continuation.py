"""Training a segmenter further on cases that it has not seen, such as masks that readers corrected.

The model's plan and labels are kept, since its weights fit no others; and so is what its members have seen before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from models.folds import SEEN_BY_ALL, folds_from_split, read_folds
from models.registry import ModelFolder
from pipeline.errors import ModelError
from pipeline.training.segmenter import plan as nnunet_plan

Names = Mapping[str, Sequence[str]]
"""Cases or anatomies by member, those that no member held out under ``SEEN_BY_ALL``."""


def continues_same_folds(model: ModelFolder, split: nnunet_plan.Split) -> bool:
    """Whether the model was trained on this very split, so that its members can be trained further on it."""
    return folds_from_split(split) == read_folds(model.folder)


def plan_of(model: ModelFolder, split: nnunet_plan.Split, anatomy_of: Mapping[str, str]) -> nnunet_plan.GivenPlan:
    """The model's plan, for a training on cases none of which it knows.

    Args:
        anatomy_of: source anatomy by case of the new data.

    Raises:
        ModelError: the model knows a case or an anatomy of the data, does not say which cases it knows, was not
            trained here, or has another number of members than the data have folds.
    """
    known = {name for names in (*read_folds(model.folder).values(), *unseen_of(model).values()) for name in names}
    if not known:
        raise ModelError("The model to start from does not say which cases it was trained on; leakage is not excluded.")
    if known & {*anatomy_of, *anatomy_of.values()}:
        raise ModelError(
            "The model to start from was trained on other folds of these cases; its members have seen what they must "
            "not. Give the same data and folds, or cases that are new to it."
        )
    if len(model.info["members"]) != len(split):
        raise ModelError(
            f"The model to start from has {len(model.info['members'])} members, the data {len(split)} folds; "
            f"ask for --folds {len(model.info['members'])}, with as many cases at least."
        )
    if (model.info["configuration"], model.info["orientation"]) != (nnunet_plan.CONFIGURATION, nnunet_plan.ORIENTATION):
        raise ModelError(
            "The model to start from was trained elsewhere, in another configuration; it cannot be continued here."
        )
    plans, dataset = (json.loads((model.folder / name).read_text()) for name in ("plans.json", "dataset.json"))
    return nnunet_plan.GivenPlan(plans, dataset["labels"])


def unseen_of(model: ModelFolder) -> Names:
    """``unseen_anatomies`` of ``model.json``; of a model that has none, its folds."""
    return model.info.get("unseen_anatomies") or read_folds(model.folder)


def merged(before: Names, new: Names) -> dict[str, list[str]]:
    """What each member has not seen, before and now together."""
    members = [name for name in dict.fromkeys([*before, *new]) if name != SEEN_BY_ALL]
    found = {name: sorted({*before.get(name, ()), *new.get(name, ())}) for name in members}
    seen = sorted({*before.get(SEEN_BY_ALL, ()), *new.get(SEEN_BY_ALL, ())})
    return found | ({SEEN_BY_ALL: seen} if seen else {})


def merged_facts(model: ModelFolder, facts: dict[str, Any]) -> dict[str, Any]:
    """``model.json``'s entries of the new training, with what the model was trained on before."""
    before = model.info["trained_on"]
    return facts | {
        "trained_on": f"{before}; further on {facts['trained_on']}",
        "unseen_anatomies": merged(unseen_of(model), facts["unseen_anatomies"]),
    }
