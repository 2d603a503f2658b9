"""The files of a trained classifier: weights, ``model.json``, ``folds.json``, its card and the training's settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from models.registry import write_model_json
from models.replacement import atomic_model_folder
from models.weights import WEIGHT_BITS, save_member
from pipeline.training.classifier.card import model_card
from pipeline.training.classifier.config import TrainingConfig
from pipeline.training.classifier.fold import CURVE_SCORE
from pipeline.training.classifier.model_info import ClassifierInfo, TrainedEnsemble, classifier_info
from pipeline.training.classifier.prepared import PreparedCohort
from pipeline.training.classifier.settings import FILE
from pipeline.training.curve import PICTURE, draw_curves


def write_model(out: Path, ensemble: TrainedEnsemble, work: Path) -> None:
    """Write the files of an ensemble of networks, replacing an earlier model in ``out`` atomically.

    Args:
        work: folder of the learning curves.
    """
    states = [
        {key: value.detach().cpu().contiguous() for key, value in member.net.state_dict().items()}
        for member in ensemble.members
    ]

    def write_training(draft: Path) -> None:
        (draft / FILE).write_text(TrainingConfig(ensemble.settings, ensemble.spec).to_toml(), encoding="utf-8")
        draw_curves(work, len(ensemble.members), draft / PICTURE, score=CURVE_SCORE, step="epoch")

    write_files(out, ensemble.prepared, classifier_info(ensemble), states, write_more=write_training)


def write_files(
    out: Path,
    prepared: PreparedCohort,
    info: ClassifierInfo,
    states: Sequence[dict[str, Tensor]],
    *,
    exact: bool = False,
    write_more: Callable[[Path], None] = lambda draft: None,
) -> None:
    """Write a model's files, replacing an earlier model in ``out`` atomically.

    Args:
        states: weights of the members of fold 0, 1 and so on, by name.
        exact: store them as they are, not in the few bits that suit networks.
        write_more: writes further files into the folder that it is given.
    """
    unseen = {
        f"fold{fold}": [case.case_id for case in prepared.unseen_by(fold)] for fold in range(len(prepared.splits))
    }
    content = info.to_json()
    with atomic_model_folder(out) as draft:
        for fold, state in enumerate(states):
            save_member(draft, f"fold{fold}", state, bits=WEIGHT_BITS, exact=exact)
        (draft / "folds.json").write_text(json.dumps(unseen, indent=1) + "\n", encoding="utf-8")
        write_more(draft)
        write_model_json(draft, content)
        picture = PICTURE if (draft / PICTURE).is_file() else None
        (draft / "MODEL_CARD.md").write_text(model_card(content, draft.name, picture), encoding="utf-8")
