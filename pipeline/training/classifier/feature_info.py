"""What ``model.json`` says of a training on hand-crafted features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

from pipeline.classification.feature_model import LogisticMember
from pipeline.classification.slices import InputSpec
from pipeline.training.classifier.card import other_options
from pipeline.training.classifier.feature_settings import FeatureSettings
from pipeline.training.classifier.member_predictions import MemberPredictions
from pipeline.training.classifier.model_info import ClassifierInfo, described
from pipeline.training.classifier.out_of_fold import OutOfFoldFigures
from pipeline.training.classifier.prepared import PreparedCohort


@dataclass(frozen=True)
class FittedMember(MemberPredictions):
    """One fold's logistic regression, and its predictions for the cases that it has not seen."""

    model: LogisticMember
    """After Platt scaling, rounded as it is stored."""
    penalty: float
    """C, the inverse strength of the L2 penalty."""


@dataclass(frozen=True)
class FittedEnsemble:
    """A finished training on features and everything that its files are written from."""

    prepared: PreparedCohort
    members: Sequence[FittedMember]
    """Members of fold 0, 1 and so on."""
    figures: OutOfFoldFigures
    settings: FeatureSettings
    spec: InputSpec
    licence: str
    """Licence of the model, as its data demand."""
    names: Sequence[str]
    """Names of the features, in the order of the coefficients."""
    seconds: float
    """Time of features and fits, s."""


@dataclass(frozen=True)
class FeatureTraining:
    """How the coefficients were made."""

    settings: FeatureSettings
    penalties: list[float]
    """C of each member, (members,)."""
    scikit_learn: str
    """Version."""
    scikit_image: str
    """Version."""
    hours: float
    """Time of features and fits, h."""
    command: str
    """Command line without paths."""

    def to_json(self) -> dict[str, Any]:
        """The fields, those of ``settings`` first and on one level with the others."""
        own = {key: value for key, value in asdict(self).items() if key != "settings"}
        return asdict(self.settings) | own


def feature_info(ensemble: FittedEnsemble) -> ClassifierInfo:
    """Describe a finished training on features."""
    training = FeatureTraining(
        settings=ensemble.settings,
        penalties=[float(f"{member.penalty:.4g}") for member in ensemble.members],
        scikit_learn=version("scikit-learn"),
        scikit_image=version("scikit-image"),
        hours=round(ensemble.seconds / 3600, 3),
        command=feature_command(ensemble.settings),
    )
    groups, names = ensemble.settings.features, tuple(ensemble.names)
    return replace(described(ensemble, training), features=groups, feature_names=names)


def feature_command(settings: FeatureSettings) -> str:
    """The command line of a training on features, without paths."""
    features = ",".join(settings.features)
    options = other_options(settings, FeatureSettings(), ("labels", "folds", "seed"))
    return " ".join(["python -m pipeline train-classifier MANIFEST -o MODEL", f"--features {features}", *options])
