"""The files of a trained classifier: weights, JSON descriptions, settings, learning curves and model card."""

from __future__ import annotations

import json
from pathlib import Path

from models.registry import write_model_json
from models.replacement import atomic_model_folder
from models.weights import WEIGHT_BITS, save_member
from pipeline.training.classifier.card import model_card
from pipeline.training.classifier.config import TrainingConfig
from pipeline.training.classifier.fold import CURVE_SCORE
from pipeline.training.classifier.model_info import TrainedEnsemble, classifier_info
from pipeline.training.classifier.settings import FILE
from pipeline.training.curve import PICTURE, draw_curves


def write_model(out: Path, ensemble: TrainedEnsemble, work: Path) -> None:
    """Write the ensemble's files, replacing an earlier model in ``out`` atomically.

    Args:
        work: folder of the learning curves.
    """
    prepared = ensemble.prepared
    info = classifier_info(ensemble).to_json()
    unseen = {
        f"fold{fold}": [case.case_id for case in prepared.unseen_by(fold)] for fold in range(len(prepared.splits))
    }
    with atomic_model_folder(out) as draft:
        for fold, member in enumerate(ensemble.members):
            state = {key: value.detach().cpu().contiguous() for key, value in member.net.state_dict().items()}
            save_member(draft, f"fold{fold}", state, bits=WEIGHT_BITS)
        (draft / "folds.json").write_text(json.dumps(unseen, indent=1) + "\n", encoding="utf-8")
        (draft / FILE).write_text(TrainingConfig(ensemble.settings, ensemble.spec).to_toml(), encoding="utf-8")
        draw_curves(work, len(ensemble.members), draft / PICTURE, score=CURVE_SCORE, step="epoch")
        write_model_json(draft, info)
        (draft / "MODEL_CARD.md").write_text(
            model_card(info, draft.name, PICTURE if (draft / PICTURE).is_file() else None), encoding="utf-8"
        )
