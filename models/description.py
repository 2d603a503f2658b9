"""The fields of ``model.json`` that every model has, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.errors import ModelError

KINDS = ("segmenter", "classifier")
MEMBER = r"fold(?:\d+|all)"
WEIGHTS = MEMBER + r"/model[\w.-]*\.safetensors"
"""Weight files that ``model.json`` may name; no path outside the model's folder matches."""


@dataclass(frozen=True)
class ModelDescription:
    """What every ``model.json`` says."""

    kind: str
    """One of ``KINDS``."""
    trained_on: str
    """Description of the training data."""
    members: tuple[str, ...]
    weights: Mapping[str, str]
    """SHA-256 by weight file, relative to the model's folder."""
    note: str
    """Text shown beside each of the model's results; may be empty."""
    licence: str
    """Licence of the weights."""
    simulated: bool | None
    """Whether the training data were simulated; None: not stated."""
    extra: Mapping[str, Any]
    """The other fields, of one kind of model or of its training."""

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> ModelDescription:
        """Check the content of ``model.json``.

        Raises:
            ModelError: a field is missing or damaged, or names a kind, member or file that there cannot be.
        """
        try:
            members, kind, weights = tuple(info["members"]), info["kind"], dict(info["sha256"])
            trained_on = str(info["trained_on"])
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError("The model's model.json is damaged or incomplete; install the model again.") from error
        if kind not in KINDS:
            raise ModelError(f"The model.json names the unknown kind {kind!r}; it must be one of {', '.join(KINDS)}.")
        for pattern, listed in ((MEMBER, members), (WEIGHTS, weights)):
            for name in listed:
                if not isinstance(name, str) or not re.fullmatch(pattern, name, re.ASCII):
                    raise ModelError(f"The model.json names {name!r}, which is no member or weight file of a model.")
        if not members or {name.split("/")[0] for name in weights} != set(members):
            raise ModelError("The members and the weight files that model.json names are not the same.")
        named = {"kind", "trained_on", "members", "sha256", "note", "licence", "simulated"}
        simulated = info.get("simulated")
        return cls(
            kind=kind,
            trained_on=trained_on,
            members=members,
            weights=weights,
            note=str(info.get("note") or ""),
            licence=str(info.get("licence", "unknown")),
            simulated=simulated if isinstance(simulated, bool) else None,
            extra={name: value for name, value in info.items() if name not in named},
        )
