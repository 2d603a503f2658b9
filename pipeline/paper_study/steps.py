"""Steps of the study up to its networks: simulate, segment, split the tests, train. A finished step is kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from models import registry
from models.files import file_sha256, write_text
from pipeline.cohort.cohort_segmenter import MaskOptions
from pipeline.cohort.manifest import CutOffs, read_manifest, read_table
from pipeline.cohort.predicted_masks import PredictedMasks, predict_masks
from pipeline.cohort.result_cache import digest
from pipeline.errors import ManifestError
from pipeline.paper_study.clock import StepClock
from pipeline.paper_study.plan import StudyOptions, TrainingPlan
from pipeline.simulation.options import SimulationOptions
from pipeline.simulation.parameters import LIKE_THE_PAPER
from pipeline.simulation.simulate import simulate
from pipeline.training.classifier.feature_settings import FeatureOptions, FeatureSettings
from pipeline.training.classifier.settings import Settings, TrainingOptions
from pipeline.training.classifier.train import train_classifier
from pipeline.training.classifier.train_features import train_features


@dataclass(frozen=True)
class TrainingCohort:
    """The cases that all networks learn from."""

    manifest: Path
    """Of the whole cohort; its test rows are not trained on."""
    sites: tuple[str, ...]
    """Sorted; one is empty if a case names no site."""
    content: str
    """Digest of the images and masks."""

    @classmethod
    def read(cls, manifest: Path, cut_offs: CutOffs) -> TrainingCohort:
        rows = read_manifest(manifest, cut_offs=cut_offs).rows
        rows = rows[rows["split"] != "test"]
        content = digest([file_sha256(Path(file)) for column in ("image", "mask") for file in rows[column]])
        return cls(manifest, tuple(sorted(set(rows["site"]))), content)

    @property
    def named_sites(self) -> int:
        """How many sites a network can learn to tell apart: none if a case does not name its own."""
        return 0 if "" in self.sites else len(self.sites)


def check_cohort(manifest: Path, options: StudyOptions) -> None:
    """Refuse a cohort that the study cannot use, before anything is written or computed.

    Raises:
        ManifestError: there are no test rows, or no others, or the options do not fit a given cohort.
    """
    if options.anatomies is not None or options.shapes is not None:
        raise ManifestError("Anatomies and shapes are for the simulation; leave them out where a manifest is given.")
    need = ("patient_id", "image", "label_source")
    rows = read_manifest(manifest, need=need, cut_offs=options.cut_offs).rows
    if set(rows["split"] == "test") != {True, False}:
        raise ManifestError("The study needs rows whose split is test, and others to learn from.")


def simulate_cohort(out: Path, options: StudyOptions, clock: StepClock) -> Path:
    """Simulate the cohort in ``out/cohort``, unless an earlier run has; returns its manifest."""
    manifest, size = out / "cohort" / "manifest.csv", options.size
    if manifest.is_file():
        return manifest
    phantom = {name: value for name, value in asdict(size.simulated).items() if value is not None}
    simulation = SimulationOptions(
        **phantom,
        test=sum(size.small_test) + size.large_test,
        seed=size.seed,
        workers=options.workers,
        parameters=LIKE_THE_PAPER,
    )
    with clock.step("simulate"):
        return simulate(
            manifest.parent,
            simulation,
            anatomies=options.anatomies,
            shapes=options.shapes,
            progress=clock.cases("cases simulated"),
        )


def segment_cohort(manifest: Path, out: Path, options: StudyOptions, clock: StepClock) -> PredictedMasks:
    """The cohort with the segmenter's masks, by members that have not seen the cases, in ``out/masked``."""
    size = options.size
    masks = MaskOptions(options.segmenter, members=size.masks_by, exact=size.exact, device=options.device)
    with clock.step("segment"):
        return predict_masks(manifest, out / "masked", masks, progress=clock.cases("cases segmented"))


def split_tests(manifest: Path, small: tuple[int, int] | None, cut_offs: CutOffs) -> dict[str, Path]:
    """Write manifests of the tests beside the whole one, where masks and truth are found.

    Args:
        small: advanced and other cases of a small test, the first ones of the manifest; the others are the large test.
            Without it all test rows are one test.

    Returns:
        Manifests by the name of the evaluation.

    Raises:
        ManifestError: too few cases for the small test.
    """
    rows, labels = read_table(manifest, "The manifest cannot be read."), read_manifest(manifest, cut_offs=cut_offs).rows
    tested = labels["split"] == "test"
    parts = [tested]
    if small:
        advanced = labels["label"]
        first = tested & (
            advanced & ((tested & advanced).cumsum() <= small[0])
            | ~advanced & ((tested & ~advanced).cumsum() <= small[1])
        )
        parts = [first, tested & ~first]
        if first.sum() != sum(small):
            raise ManifestError(f"The small test needs {small[0]} advanced and {small[1]} other cases with a mask.")
    return dict(_write_test(manifest, rows[part.to_numpy()]) for part in parts)


def _write_test(manifest: Path, rows: pd.DataFrame) -> tuple[str, Path]:
    name = f"test_{len(rows)}"
    file = manifest.with_name(f"{name}.csv")
    write_text(file, rows.to_csv(index=False))
    return name, file


def train_network(plan: TrainingPlan, cohort: TrainingCohort, out: Path, options: StudyOptions) -> None:
    """Train a network, unless an earlier run has trained it on the same cases with the same settings.

    Checkpoints of an interrupted training are resumed if they were trained on the same cases.

    Raises:
        ManifestError: the cohort cannot be used; for a baseline also where a group needs an organ that a mask lacks.
    """
    folder, work = out / "models" / plan.name, out / "work" / plan.name
    settings, learnt_from = plan.settings(options.size, options.cut_offs), work / "learnt_from.txt"
    same_cases = learnt_from.is_file() and learnt_from.read_text(encoding="utf-8") == cohort.content
    if same_cases and (folder / "model.json").is_file():
        info = registry.find(folder, "classifier").info
        if info["manifest_sha256"] == file_sha256(cohort.manifest) and _made_with(info, settings):
            return
    if not same_cases and folder.exists():
        shutil.rmtree(folder)  # else an interruption would leave it beside the new cases' name
    work.mkdir(parents=True, exist_ok=True)
    write_text(learnt_from, cohort.content)
    if isinstance(settings, FeatureSettings):
        train_features(cohort.manifest, folder, FeatureOptions(settings, work=work, cache=out / "work" / "features"))
        return
    training = TrainingOptions(
        settings,
        spec=options.size.input,
        device=options.device,
        resume=same_cases,
        work=work,
        cache=out / "work" / "slices",
        pretrained=options.pretrained,
    )
    train_classifier(cohort.manifest, folder, training)


def _made_with(info: Mapping[str, Any], settings: Settings | FeatureSettings) -> bool:
    """Whether a model was trained with these settings; ``study.json`` holds the choice of initial weights."""
    wanted = {name: value for name, value in asdict(settings).items() if name != "pretrained"}
    return json.loads(json.dumps(wanted)) == {name: info["training"].get(name) for name in wanted}
