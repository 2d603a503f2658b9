"""The content of a classifier's ``model.json``, typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import timm
import torch

from models.network_names import BACKBONES, MaskUse
from pipeline.classification.slices import InputSpec
from pipeline.cohort.manifest import Cohort
from pipeline.training.classifier.card import command
from pipeline.training.classifier.member_predictions import MemberPredictions
from pipeline.training.classifier.out_of_fold import OutOfFoldFigures
from pipeline.training.classifier.prepared import PreparedCohort, SplitSettings
from pipeline.training.classifier.settings import Labels, Settings
from pipeline.training.classifier.trained_member import TrainedMember

SIMULATED_NOTE = (
    "Trained on simulated fibrosis: the probability means nothing for a patient until this site installs weights "
    "trained on its own cohort."
)
LEAK_NOTES: dict[Labels, str] = {
    "shuffled": "Trained on shuffled labels, to test for leaks: the probability means nothing at all.",
    "site": "Trained to tell the first site, to test for leaks: the probability says nothing of fibrosis.",
}


@dataclass(frozen=True)
class TrainedEnsemble:
    """A finished training of networks and everything that its files are written from."""

    prepared: PreparedCohort
    members: Sequence[TrainedMember]
    """Members of fold 0, 1 and so on; ``Settings.members`` of them, if given."""
    figures: OutOfFoldFigures
    settings: Settings
    """Settings with the fingerprint of the initial weights."""
    spec: InputSpec
    licence: str
    """Licence of the weights, as their data demand."""
    device: torch.device


class Trained(Protocol):
    """What is said of every finished training, of networks or not."""

    @property
    def prepared(self) -> PreparedCohort: ...
    @property
    def members(self) -> Sequence[MemberPredictions]: ...
    @property
    def figures(self) -> OutOfFoldFigures: ...
    @property
    def settings(self) -> SplitSettings: ...
    @property
    def spec(self) -> InputSpec: ...
    @property
    def licence(self) -> str: ...


class TrainedWith(Protocol):
    """How a model was made, for ``model.json``."""

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class NetworkInfo:
    """Arguments of ``MaskedAttentionNet``."""

    backbone: str
    mask: MaskUse
    stages: tuple[int, ...]
    """Feature stages of timm's network with mask attention."""


@dataclass(frozen=True)
class OutOfFoldInfo:
    """Rounded figures out of fold; those of three numbers are a value and its 95 % interval."""

    cases: int
    positives: int
    auc: list[float]
    fold_aucs: list[float]
    """AUC of each member, (members,)."""
    sensitivity: list[float]
    specificity: list[float]
    rule_out_sensitivity: list[float]
    rule_in_specificity: list[float]


@dataclass(frozen=True)
class TrainingInfo:
    """How the weights were made."""

    settings: Settings
    torch: str
    """Version of torch."""
    timm: str
    """Version of timm."""
    epochs_done: list[int]
    """Epochs trained, (members,)."""
    hours: float
    """Training time summed over the members, h."""
    device: str
    """Name of the GPU, else ``cpu``."""
    command: str
    """Command line without paths."""
    diagnostics: dict[str, dict[str, float]]
    """``diagnostics.attention_shares`` on unseen cases, by member and stage."""

    def to_json(self) -> dict[str, Any]:
        """The fields, those of ``settings`` first and on one level with the others."""
        own = {key: value for key, value in asdict(self).items() if key != "settings"}
        return asdict(self.settings) | own


@dataclass(frozen=True)
class PlattInfo:
    """Platt scaling of one member: log odds are ``scale`` times the raw logit, plus ``shift``."""

    scale: float
    shift: float


@dataclass(frozen=True)
class ClassifierInfo:
    """``model.json`` of a classifier, without the members and hashes that ``registry.write_model_json`` adds."""

    trained_on: str
    """Number and kind of the training cases, in words."""
    simulated: bool
    licence: str
    cohort: str
    """Description of the cohort; empty where it has none."""
    note: str
    """Warning that is shown beside every result; may be empty."""
    positive_class: str
    threshold: float
    """Operating point, a probability."""
    threshold_rule: str
    """Criterion of the threshold, in words."""
    indeterminate: tuple[float, float] | None
    """Rule-out and rule-in point, probabilities; no key in ``model.json`` where there is none."""
    heat_scale: float | None
    """Heat that is shown as 1; None without networks."""
    network: NetworkInfo | None
    features: tuple[str, ...] | None
    """Groups of features; None with networks. As the others that may be None it has no key then."""
    feature_names: tuple[str, ...] | None
    """In the order of the coefficients."""
    input: InputSpec
    out_of_fold: OutOfFoldInfo
    training: TrainedWith
    manifest_sha256: str
    unseen_anatomies: dict[str, list[str]]
    """Anatomies that each fold leaves out, by fold, with a member or without."""
    calibration: dict[str, PlattInfo]
    """Platt scaling by member."""

    def to_json(self) -> dict[str, Any]:
        """The keys and values of ``model.json``, in its order."""
        content = {"schema": 1, "kind": "classifier"} | asdict(self) | {"training": self.training.to_json()}
        return {key: value for key, value in content.items() if value is not None}


def classifier_info(ensemble: TrainedEnsemble) -> ClassifierInfo:
    """Describe a finished training of networks."""
    settings = ensemble.settings
    network = NetworkInfo(settings.backbone, settings.mask, BACKBONES[settings.backbone][1])
    return replace(described(ensemble, training_info(ensemble)), network=network)


def described(ensemble: Trained, training: TrainedWith) -> ClassifierInfo:
    """What is said of every finished training; without ``network``, ``features`` and ``feature_names``."""
    prepared, figures, settings = ensemble.prepared, ensemble.figures, ensemble.settings
    cases, cohort, zone = prepared.cases, prepared.cohort, figures.indeterminate
    positives, anatomies = sum(case.label for case in cases), len({case.anatomy for case in cases})
    kind = "simulated" if cohort.simulated else "labelled"
    return ClassifierInfo(
        trained_on=f"{len(cases)} {kind} cases ({positives} positive) from {anatomies} anatomies",
        simulated=cohort.simulated,
        licence=ensemble.licence,
        cohort=cohort.description,
        note=note(cohort, settings.labels, figures),
        positive_class="the first site" if settings.labels == "site" else cohort.positive_class,
        threshold=round(figures.threshold, 4),
        threshold_rule=figures.rule,
        indeterminate=(round(zone[0], 4), round(zone[1], 4)) if zone else None,
        heat_scale=None if figures.heat_scale is None else float(f"{figures.heat_scale:.4g}"),
        network=None,
        features=None,
        feature_names=None,
        input=ensemble.spec,
        out_of_fold=out_of_fold_info(figures),
        training=training,
        manifest_sha256=prepared.manifest_sha256,
        unseen_anatomies={
            f"fold{fold}": sorted({case.anatomy for case in prepared.unseen_by(fold)})
            for fold in range(len(prepared.splits))
        },
        calibration={
            f"fold{fold}": PlattInfo(*(round(value, 5) for value in member.scale_and_shift))
            for fold, member in enumerate(ensemble.members)
        },
    )


def note(cohort: Cohort, labels: Labels, figures: OutOfFoldFigures) -> str:
    """The warning beside every result: simulated fibrosis, a leak test, or figures that may be chance."""
    notes = [SIMULATED_NOTE] if cohort.simulated else []
    if labels in LEAK_NOTES:
        notes.append(LEAK_NOTES[labels])
    elif not figures.auc.low > 0.5:
        notes.append(f"Out of fold it was not shown to tell more than chance (AUC {figures.auc.value:.2f}).")
    return " ".join(notes)


def out_of_fold_info(figures: OutOfFoldFigures) -> OutOfFoldInfo:
    return OutOfFoldInfo(
        cases=len(figures.out_of_fold),
        positives=int(figures.out_of_fold.label.sum()),
        auc=rounded(figures.auc),
        fold_aucs=rounded(figures.fold_aucs),
        sensitivity=rounded(figures.sensitivity),
        specificity=rounded(figures.specificity),
        rule_out_sensitivity=rounded(figures.rule_out_sensitivity),
        rule_in_specificity=rounded(figures.rule_in_specificity),
    )


def training_info(ensemble: TrainedEnsemble) -> TrainingInfo:
    device = ensemble.device
    return TrainingInfo(
        settings=ensemble.settings,
        torch=torch.__version__.split("+")[0],
        timm=timm.__version__,
        epochs_done=[member.epochs for member in ensemble.members],
        hours=round(sum(member.seconds for member in ensemble.members) / 3600, 3),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        command=command(ensemble.settings),
        diagnostics={
            f"fold{fold}": {name: round(value, 4) for name, value in member.diagnostics.items()}
            for fold, member in enumerate(ensemble.members)
        },
    )


def rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in values]
