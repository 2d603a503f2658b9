"""The files of a trained classifier: weights, ``model.json``, ``folds.json`` and model card."""

from __future__ import annotations

import json
from pathlib import Path

from models.registry import write_model_json
from models.replacement import atomic_model_folder
from models.weights import WEIGHT_BITS, save_member
from pipeline.training.classifier.card import model_card
from pipeline.training.classifier.model_info import TrainedEnsemble, classifier_info


def write_model(out: Path, ensemble: TrainedEnsemble) -> None:
    """Write the ensemble's files, replacing an earlier model in ``out`` atomically."""
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
        write_model_json(draft, info)
        (draft / "MODEL_CARD.md").write_text(model_card(info, draft.name), encoding="utf-8")
