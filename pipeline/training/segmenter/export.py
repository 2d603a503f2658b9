"""From nnU-Net's result to a model folder: safetensors, plans, dataset description, ``model.json``.

Ours after a training, or any nnU-Net v2 result folder trained elsewhere: its checkpoints are pickles, so they are read
with torch's restricted loader here, once, and never by the app.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from models import install, registry
from models.folds import SEEN_BY_ALL, folds_from_split, read_folds
from models.replacement import atomic_model_folder, ensure_writable_model_folder
from models.weights import save_member
from pipeline.errors import ModelError
from pipeline.training.segmenter import card as segmenter_card
from pipeline.training.segmenter import plan as nnunet_plan
from pipeline.training.segmenter.added_cases import read_added
from pipeline.training.segmenter.continuation import merged, merged_facts
from pipeline.training.segmenter.options import ExportOptions, SegmenterTraining, TrainingRecord
from pipeline.trial_run import try_out

PLAN_KEYS = (
    "dataset_name",
    "plans_name",
    "original_median_spacing_after_transp",
    "original_median_shape_after_transp",
    "image_reader_writer",
    "transpose_forward",
    "transpose_backward",
    "experiment_planner_used",
    "label_manager",
    "foreground_intensity_properties_per_channel",
)


def write_folder(
    work: Path,
    out: Path,
    anatomy_of: Mapping[str, str],
    training: SegmenterTraining,
    record: TrainingRecord,
    earlier: registry.ModelFolder | None = None,
) -> None:
    """Complete a model folder after its members were written: plans, dataset, folds and ``model.json``.

    Args:
        anatomy_of: source anatomy by case, so that cases related to the training's are known later.
        earlier: model that the training went on with, on cases that it did not know.
    """
    raw, preprocessed = work / "raw" / nnunet_plan.DATASET, work / "preprocessed" / nnunet_plan.DATASET
    plans = json.loads((preprocessed / "nnUNetPlans.json").read_text())
    dataset = json.loads((raw / "dataset.json").read_text())
    folds = folds_from_split(nnunet_plan.read_split(work))
    shapes = {added.shape for added in read_added(work)}
    facts = {
        "trained_on": training.trained_on,
        "licence": training.licence,
        "orientation": nnunet_plan.ORIENTATION,
        "training": asdict(record),
        "unseen_anatomies": unseen_anatomies(folds, anatomy_of, shapes),
    }
    if earlier is not None:
        facts, folds = merged_facts(earlier, facts), merged(read_folds(earlier.folder), folds)
        dataset["numTraining"] += json.loads((earlier.folder / "dataset.json").read_text()).get("numTraining", 0)
    _write(out, plans, dataset, nnunet_plan.CONFIGURATION, facts)
    (out / "folds.json").write_text(json.dumps(folds, indent=1) + "\n")


def unseen_anatomies(
    folds: Mapping[str, Sequence[str]], anatomy_of: Mapping[str, str], shapes: Collection[str] = ()
) -> dict[str, list[str]]:
    """The anatomies of which each member has seen no case at all, and the others under ``SEEN_BY_ALL``.

    Folds that come with the data may hold out one case of an anatomy and train on another, and a case more than once.

    Args:
        shapes: label maps that cases were added from, which every member has seen.
    """
    found: dict[str, list[str]] = {}
    for member, held_out in folds.items():
        learnt = {anatomy_of[case] for cases in folds.values() for case in cases if case not in held_out}
        if member != SEEN_BY_ALL:
            found[member] = sorted({anatomy_of[case] for case in held_out} - learnt - set(shapes))
    named = {anatomy for names in found.values() for anatomy in names}
    rest = sorted({anatomy_of[case] for cases in folds.values() for case in cases} - named | set(shapes))
    return found | ({SEEN_BY_ALL: rest} if rest else {})


def convert(result: Path, out: Path, options: ExportOptions) -> None:
    """Turn an nnU-Net v2 result folder (``TRAINER__PLANS__CONFIGURATION``) into a model folder.

    The model is written and checked, as an installation checks it, in a sibling of ``out``; an existing model there is
    replaced only after every check has passed.

    Raises:
        ModelError: a file is missing or is not nnU-Net's, a checkpoint holds more than tensors and plain values, the
            model could not be installed, or ``out`` cannot be written.
    """
    ensure_writable_model_folder(out)
    plans, dataset = (_read_json(result / name) for name in ("plans.json", "dataset.json"))
    checkpoints = sorted(result.glob(f"fold_*/{options.checkpoint}"))
    if not checkpoints:
        raise ModelError(f"No fold of the result folder holds {options.checkpoint}.")
    facts = {
        "trained_on": options.trained_on,
        "simulated": options.simulated,
        "licence": options.licence,
        "orientation": options.orientation,
    }
    try:
        with atomic_model_folder(out) as draft:
            configuration = _convert_members(checkpoints, draft)
            try:
                _write(draft, plans, dataset, configuration, facts)
            except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
                raise ModelError("plans.json or dataset.json does not fit the checkpoints beside it.") from error
            segmenter_card.write_exported(draft)
            install.check(draft, try_out)
    except OSError as error:
        raise ModelError("The result cannot be read, or the model not be written; make room or rights.") from error


def _convert_members(checkpoints: list[Path], out: Path) -> str:
    """Write each checkpoint's weights as a member; returns the configuration that they all were trained in."""
    configurations = set()
    for file in checkpoints:
        state = _read_checkpoint(file)
        try:
            configurations.add(state["init_args"]["configuration"])
            weights = {name.removeprefix("module."): value for name, value in state["network_weights"].items()}
            save_member(out, file.parent.name.replace("_", ""), weights)
        except (AttributeError, LookupError, TypeError) as error:
            raise ModelError(f"The checkpoint of {file.parent.name} is not one of nnU-Net v2.") from error
    if len(configurations) > 1:
        raise ModelError("The folds were trained in different configurations, and make no ensemble.")
    return configurations.pop()


def _read_json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ModelError(f"This is no nnU-Net result folder: {file.name} is missing.")
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"The result folder's {file.name} is damaged.") from error


def _read_checkpoint(file: Path) -> dict[str, Any]:
    import numpy as np

    # nnU-Net's checkpoints keep a few NumPy scalars in their log; nothing else but tensors is let through.
    scalar = np.float64(0).__reduce__()[0]
    old_name = (scalar, "numpy.core.multiarray.scalar")  # as NumPy 1 wrote it
    allowed: list[Any] = [np.dtype, scalar, old_name, np.dtypes.Float64DType, np.dtypes.Float32DType]
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError) as error:
        raise ModelError("A checkpoint holds more than weights and plain values, and is not loaded.") from error


def _write(out: Path, plans: dict, dataset: dict, configuration: str, info: dict[str, Any]) -> None:
    chosen = {configuration: _flattened(plans["configurations"], configuration)}
    kept = {key: plans[key] for key in PLAN_KEYS if key in plans} | {"configurations": chosen}
    (out / "plans.json").write_text(json.dumps(kept, indent=1) + "\n")
    names = {key: dataset[key] for key in ("channel_names", "labels", "numTraining", "file_ending") if key in dataset}
    (out / "dataset.json").write_text(json.dumps(names, indent=1) + "\n")
    registry.write_model_json(out, {"kind": "segmenter", "configuration": configuration, "note": ""} | info)


def _flattened(configurations: dict, name: str) -> dict:
    """A configuration with those it inherits from merged in, so that it is complete by itself."""
    own = dict(configurations[name])
    parent = own.pop("inherits_from", None)
    return (_flattened(configurations, parent) | own) if parent else own
