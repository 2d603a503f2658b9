"""Evaluate heat maps: how well a classifier's Grad-CAM shows where signs were drawn, beside maps that know nothing.

Only simulated cases with sign maps can tell. As for predictions, a case is explained by members that have not seen it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from models.device import choose_device
from models.files import file_sha256
from models.masked_attention import MaskedAttentionNet
from models.registry import ModelFolder
from pipeline.case import view
from pipeline.classification.explain import METHODS, HeatTarget, cell_pixels, stages
from pipeline.classification.predict import Classifier
from pipeline.cohort.images import read_labels
from pipeline.cohort.manifest import line_of, read_manifest
from pipeline.cohort.result_cache import ResultCache, model_fingerprint
from pipeline.errors import ManifestError, ModelError, SegmentationError
from pipeline.evaluation.classifier import cohort_under_test, find_classifiers
from pipeline.evaluation.compared_maps import classifier_heat, references, shuffled
from pipeline.evaluation.heat_tables import HeatEvaluation
from pipeline.evaluation.result import Split
from pipeline.evaluation.sign_overlap import LEAST_CHANGE, LocalSigns
from pipeline.evaluation.under_test import SEEN, CaseUnderTest, ModelsUnderTest
from pipeline.simulation.truth import SIGN_MAPS

SIGN_UNITS = 200
"""Value of a sign map for a change by the parenchyma's own signal."""


@dataclass(frozen=True, kw_only=True)
class HeatOptions:
    """Choices of an evaluation of heat maps, besides cohort and models."""

    split: Split = "test"
    """Rows to evaluate."""
    stages: tuple[str, ...] = ()
    """Stages of the networks to explain (default: all)."""
    methods: tuple[str, ...] = ("gradcam",)
    """Names of ``METHODS``."""
    seed: int = 0
    """Of shuffled weights and random maps."""
    device: str = "auto"


DEFAULTS = HeatOptions()


def evaluate_heat(
    manifest: Path,
    models: Sequence[str],
    out: Path,
    options: HeatOptions = DEFAULTS,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> HeatEvaluation:
    """Measure the maps of every case of the split whose signs are strong enough; write heat.json, .csv and .md.

    The sign map of a case has the name of its image and lies in signs/ beside the image's folder, as ``simulate`` with
    sign maps writes it. Results are cached in ``out/answers``.

    Args:
        models: classifiers by name or path.
        progress: called with cases done and cases in all.

    Raises:
        ManifestError: the cohort cannot be used, or has no sign maps.
        ModelError: a model is missing or damaged, or lacks networks or a stage, or there is no such method.
    """
    if unknown := set(options.methods) - set(METHODS):
        raise ModelError(f"There is no kind of heat map {min(unknown)}; name one of {', '.join(METHODS)}.")
    whole = read_manifest(manifest)
    rows = cohort_under_test(whole, options.split, manifest).rows
    cache = ResultCache(out / "answers")
    cache.folder.mkdir(parents=True, exist_ok=True)
    under_test = ModelsUnderTest(find_classifiers(models, whole.anatomy_of), cache, choose_device(options.device))
    records: list[dict[str, Any]] = []
    skipped: list[str] = []
    for number, (index, row) in enumerate(zip(rows.index, rows.to_dict("records"), strict=True), start=1):
        try:
            case = CaseWithSigns(row, under_test, options)
        except ManifestError as error:
            raise ManifestError(f"{line_of(index)}: {error}") from error
        if case.mean_change < LEAST_CHANGE:
            skipped.append("weak signs")
        else:
            for record in case.records():
                (skipped if "problem" in record else records).append(record.get("problem", record))
        progress(number, len(rows))
    evaluation = HeatEvaluation.of(records, skipped, len(rows))
    evaluation.write(out)
    return evaluation


class CaseWithSigns:
    """One row of the manifest and its sign map.

    Raises:
        ManifestError: there is no sign map, or image, mask and sign map do not fit each other.
    """

    def __init__(self, row: Mapping[Any, Any], models: ModelsUnderTest, options: HeatOptions) -> None:
        image = Path(row["image"])
        self.sign_file = image.parent.parent / SIGN_MAPS / image.name
        if not self.sign_file.is_file():
            raise ManifestError("the case has no sign map; simulate the cohort with --sign-maps.")
        self.case, self.models, self.options = CaseUnderTest(row, models), models, options
        self.change = view(read_labels(self.sign_file, self.case.volume)).astype(np.float32) / SIGN_UNITS
        self.mean_change = float(self.change[self.case.liver].mean()) if self.case.liver.any() else 0.0

    def records(self) -> Iterator[dict[str, Any]]:
        """One record per model, map and scale; one with ``problem`` where every member has seen the case."""
        row, case = self.case.row, self.case
        for name, members in self.models.classifiers.items():
            chosen = members.unseen_members(case.names)
            if chosen is None:
                yield {"problem": SEEN}
                continue
            options = [self.options.stages, self.options.methods, self.options.seed]
            key = ["heat", *case.files_key, file_sha256(self.sign_file), model_fingerprint(chosen), options]
            own = {"model": name, "patient_id": row["patient_id"], "anatomy": row["anatomy"]}
            own |= {"explained_by": members.describe(chosen), "mean_change": self.mean_change}
            stored = self.models.cache.of(key, partial(self._result, chosen))
            yield from (own | record for record in stored["records"])

    def _result(self, model: ModelFolder) -> dict[str, Any]:
        """``records`` of one model, as the cache stores them."""
        classifier = self.models.classifier(model)
        if not classifier.networks:
            raise ModelError("A classifier without networks has no heat map; leave it out.")
        try:
            return {"records": list(self._measured(classifier))}
        except SegmentationError as error:
            return {"records": [{"problem": str(error)}]}

    def _measured(self, classifier: Classifier) -> Iterator[dict[str, Any]]:
        """Map, weights, cell and scale, with the fields of ``Localisation``; the liver of the explained slices only."""
        case, spec, first = self.case, classifier.spec, classifier.networks[0]
        z = case.slices(spec).z
        liver = np.zeros_like(case.liver)
        liver[z[0] : z[-1] + 1] = case.liver[z[0] : z[-1] + 1]
        cells = {stage: cell_pixels(first, stage) * spec.spacing_mm for stage in self.options.stages or stages(first)}
        spacing = case.volume.spacing_mm_xyz[::-1]
        signs = {scale: LocalSigns(self.change, liver, spacing, scale) for scale in sorted(set(cells.values()))}
        random = np.random.default_rng([self.options.seed, zlib.crc32(str(case.row["patient_id"]).encode())])
        permuted = shuffled(classifier, random)
        for stage, cell_mm in cells.items():
            coarser = {scale: local for scale, local in signs.items() if scale >= cell_mm}
            for method in self.options.methods:
                own = {"map": f"{method}, {stage}", "cell_mm": cell_mm}
                yield from (own | each for each in self._both(classifier, permuted, HeatTarget(stage, method), coarser))
        for name, heat in references(case.volume, liver, max(cells.values()), random):
            for scale, local in signs.items():
                yield {"map": name, "weights": "", "scale_mm": scale} | asdict(local.localisation(heat))

    def _both(
        self,
        classifier: Classifier,
        permuted: Sequence[MaskedAttentionNet],
        target: HeatTarget,
        signs: Mapping[float, LocalSigns],
    ) -> Iterator[dict[str, Any]]:
        """One map of the trained and of the shuffled networks, at every scale of ``signs``."""
        heat, other = (
            classifier_heat(networks, self.case.slices(classifier.spec), classifier.spec, self.case.volume, target)
            for networks in (classifier.networks, permuted)
        )
        for scale, local in signs.items():
            alike = {"similarity": local.similarity(heat, other)}
            yield {"weights": "trained", "scale_mm": scale} | asdict(local.localisation(heat)) | alike
            yield {"weights": "shuffled", "scale_mm": scale} | asdict(local.localisation(other))
