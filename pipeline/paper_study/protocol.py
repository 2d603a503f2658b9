"""The paper's study, from its cohort to its table, as one run that can be cut off and given again.

Aggarwal et al., Abdominal Radiology 2025, doi 10.1007/s00261-025-05160-y: 220 cases to train by liver stiffness, 23 to
test by histology, a masked-attention ResNet against DenseNet121, a Swin Transformer and direct classification. Here the
cases are simulated, unless a cohort is given; beside the 23 a larger test of the same simulation and anatomies shows
how wide the intervals at n = 23 are, and networks that must not or need not know anything show what leaks. The small
test has the paper's share of advanced cases, the large one the simulation's, so their accuracies are not comparable.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from models import registry
from models.files import file_sha256, write_text
from pipeline.classification.slices import InputSpec
from pipeline.cohort.cohort_segmenter import MaskOptions, Members
from pipeline.cohort.manifest import DEFAULT_CUT_OFFS, CutOffs, read_manifest, read_table
from pipeline.cohort.predicted_masks import predict_masks
from pipeline.cohort.result_cache import digest
from pipeline.errors import ManifestError
from pipeline.evaluation.classifier import evaluate
from pipeline.paper_study.report import write_report
from pipeline.paper_study.tables import ENSEMBLE, LEAKS, MAIN, SHUFFLED, SITE, Study
from pipeline.simulation.anatomies import find_anatomies
from pipeline.simulation.options import SimulationOptions
from pipeline.simulation.parameters import LIKE_THE_PAPER
from pipeline.simulation.simulate import simulate
from pipeline.training.classifier.settings import Settings, TrainingOptions
from pipeline.training.classifier.train import train_classifier

log = logging.getLogger(__name__)

NOTE = "study.json"


@dataclass(frozen=True)
class Size:
    """How much is computed, equal for all networks of the table and of the leak tests."""

    resnet: str = "resnet18"
    epochs: int = 24
    folds: int = 3
    members: int | None = 1
    """Of a network in the table, None for all folds; ``ENSEMBLE`` has all of them."""
    masks_by: Members = "one"
    one_pass: bool = True
    """As ``predict_masks`` takes them."""
    shuffles: int = 3
    """Trainings with shuffled labels, each shuffled anew."""
    seed: int = 1
    simulated: Mapping[str, Any] = field(default_factory=lambda: {"cases": 220, "phantoms": 15})
    """Fields of ``SimulationOptions`` besides the test cases and the seed."""
    small_test: tuple[int, int] = (18, 5)
    """Advanced and other cases of the simulated test of the paper's size, as many as the paper's figures imply."""
    large_test: int = 500
    slices: int = Settings.slices
    input: InputSpec = field(default_factory=InputSpec)


SIZES = {
    "cpu": Size(),
    "full": Size(resnet="resnet50", epochs=48, folds=5, members=None, masks_by="all", one_pass=False, shuffles=5),
}


@dataclass(frozen=True)
class Network:
    """One training of the study."""

    name: str
    """Of its folder and in tables."""
    settings: Mapping[str, Any]
    """Fields of the training's ``Settings`` that are its own."""
    work: str = ""
    """Folder of its checkpoints, by default its own; networks that share one share members."""


def networks(size: Size) -> list[Network]:
    """Those of the paper's table, the main one first, and the main one's ensemble where it is another."""
    main = {"backbone": size.resnet, "members": size.members}
    found = [
        Network(MAIN, main),
        Network("densenet121", main | {"backbone": "densenet121"}),
        Network("swin_tiny", main | {"backbone": "swin_tiny"}),
        Network("unmasked", main | {"mask": "none"}),
    ]
    return found if size.members is None else [*found, Network(ENSEMBLE, main | {"members": None}, MAIN)]


def leak_tests(size: Size, sites: int) -> list[Network]:
    """What can be told without the liver, of shuffled labels, and of the site, where there are several."""
    main = {"backbone": size.resnet, "members": size.members}
    blind = ("mask_only", "background_only", "background_only_without_spleen")
    found = [Network(mask, main | {"mask": mask}) for mask in blind]
    for number in range(1, size.shuffles + 1):
        found.append(Network(f"{SHUFFLED}{number}", main | {"labels": "shuffled", "seed": size.seed + number}))
    return found if sites < 2 else [*found, Network(SITE, main | {"labels": "site"})]


def run_protocol(
    out: Path,
    *,
    manifest: Path | None = None,
    anatomies: Path | None = None,
    size: Size = SIZES["cpu"],
    segmenter: str = "liver_t2",
    cut_offs: CutOffs = DEFAULT_CUT_OFFS,
    pretrained: str = "",
    device: str = "auto",
    workers: int = 2,
    progress: Callable[[str], None] = log.info,
) -> Path:
    """Run the whole study in ``out`` and return its report.

    ``out`` then holds cohort/ (where it is simulated), masked/ (the cohort with the segmenter's masks, by members that
    have not seen them), models/ and work/ (every network and its checkpoints), a folder for each evaluation,
    report.html, protocol.json, table.csv and table.md. What an earlier run finished is kept; masks, trainings and
    evaluations go on within their step.

    Args:
        manifest: of a cohort with test rows; simulated where none is given.
        anatomies: folder of images and organ labels for the simulation; phantoms alone without.
        segmenter: name or path.
        cut_offs: what counts as advanced fibrosis.
        pretrained: first weights of all networks, as ``train_classifier`` takes them: random, or ``imagenet``.
        workers: processes of the simulation.
        progress: told a line at each step.

    Raises:
        ManifestError: a cohort cannot be used, or ``out`` holds another study.
        ModelError: the segmenter is missing or damaged.
    """
    if manifest is not None:
        check_cohort(manifest, anatomies, cut_offs)
    check_same_study(out, manifest, anatomies, size, segmenter, cut_offs, pretrained)
    clock = Clock(out / "seconds.json", progress)
    small = size.small_test if manifest is None else None
    if manifest is None:
        manifest = out / "cohort" / "manifest.csv"
        if not manifest.is_file():
            with clock.step("simulate"):
                simulate(
                    manifest.parent,
                    SimulationOptions(
                        **size.simulated,
                        test=sum(size.small_test) + size.large_test,
                        seed=size.seed,
                        workers=workers,
                        parameters=LIKE_THE_PAPER,
                    ),
                    anatomies=anatomies,
                    progress=now_and_then(progress, "cases simulated"),
                )
    with clock.step("segment"):
        masked = predict_masks(
            manifest,
            out / "masked",
            MaskOptions(segmenter, members=size.masks_by, one_pass=size.one_pass, device=device),
            progress=now_and_then(progress, "cases segmented"),
        )
    tests = split_tests(masked.manifest, small, cut_offs)
    trained_on = training_rows(masked.manifest, cut_offs)
    sites = sorted(set(trained_on["site"]))
    # Where a site is not named, which of the others a case comes from cannot be learnt.
    leaks = leak_tests(size, sites=len(sites) if "" not in sites else 0)
    content = digest([file_sha256(Path(file)) for column in ("image", "mask") for file in trained_on[column]])
    for network in (*networks(size), *leaks):
        with clock.step(f"train {network.name}"):
            train(network, masked.manifest, content, out, size, cut_offs, device, pretrained)
    found = {}
    for name, test in {**tests, LEAKS: tests[list(tests)[-1]]}.items():
        models = [str(out / "models" / network.name) for network in (leaks if name == LEAKS else networks(size))]
        with clock.step(f"evaluate {name}"):
            found[name] = evaluate(
                test,
                models,
                out / name,
                seed=size.seed,
                cut_offs=cut_offs,
                device=device,
                progress=now_and_then(progress, "cases read"),
            )
    note = json.loads((out / NOTE).read_text(encoding="utf-8"))
    return write_report(Study(out, found, note, clock.seconds, first_site=sites[0], unseen=masked.cases_known))


def check_cohort(manifest: Path, anatomies: Path | None, cut_offs: CutOffs) -> None:
    """Refuse a cohort that the study cannot use before anything is noted or computed."""
    if anatomies is not None:
        raise ManifestError("Anatomies are for the simulation; leave them out where a manifest is given.")
    rows = read_manifest(manifest, need=("patient_id", "image", "label_source"), cut_offs=cut_offs).rows
    if set(rows["split"] == "test") != {True, False}:
        raise ManifestError("The study needs rows whose split is test, and others to learn from.")


def training_rows(manifest: Path, cut_offs: CutOffs) -> pd.DataFrame:
    rows = read_manifest(manifest, cut_offs=cut_offs).rows
    return rows[rows["split"] != "test"]


def check_same_study(
    out: Path,
    manifest: Path | None,
    anatomies: Path | None,
    size: Size,
    segmenter: str,
    cut_offs: CutOffs,
    pretrained: str,
) -> None:
    """Note in ``out`` which study it holds; refuse a folder that holds another, whose parts would be taken for ours."""
    model = registry.find(segmenter, "segmenter")
    wanted = json.loads(
        json.dumps(
            {
                "size": asdict(size),
                "segmenter": [model.name, model.sha256],
                "manifest": manifest and file_sha256(manifest),
                "anatomies": sorted(anatomy.name for anatomy in find_anatomies(anatomies)) if anatomies else [],
                "cut_offs": asdict(cut_offs),
                "parameters": None if manifest else LIKE_THE_PAPER.sha256,
                "pretrained": pretrained,
            },
            default=str,
        )
    )
    note = out / NOTE
    if note.is_file():
        if json.loads(note.read_text(encoding="utf-8")) != wanted:
            raise ManifestError(
                "The output folder holds a study of another size, cohort or segmenter; choose another folder."
            )
        return
    if out.is_dir() and any(out.iterdir()):
        raise ManifestError("The output folder holds other files; choose an empty one, or that of an earlier run.")
    out.mkdir(parents=True, exist_ok=True)
    write_text(note, json.dumps(wanted, indent=1) + "\n")


def split_tests(manifest: Path, small: tuple[int, int] | None, cut_offs: CutOffs) -> dict[str, Path]:
    """Manifests of the tests, beside the whole one, so that masks and truth are found: by name of the evaluation.

    Args:
        small: advanced and other cases of a small test, the first ones of the manifest; the others are the large test.
            Without, all test rows are one test.
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
    tests = {}
    for part in parts:
        name = f"test_{part.sum()}"
        write_text(manifest.with_name(f"{name}.csv"), rows[part.to_numpy()].to_csv(index=False))
        tests[name] = manifest.with_name(f"{name}.csv")
    return tests


def train(
    network: Network,
    manifest: Path,
    content: str,
    out: Path,
    size: Size,
    cut_offs: CutOffs,
    device: str,
    pretrained: str = "",
) -> None:
    """Train a network, unless it stands there already; anew where its cases have changed.

    Args:
        content: a digest of the images and masks that are learnt from.
    """
    folder = out / "models" / network.name
    work = out / "work" / (network.work or network.name)
    settings: dict[str, Any] = {"epochs": size.epochs, "folds": size.folds, "seed": size.seed, "slices": size.slices}
    settings |= dict(network.settings)
    # What the model was learnt from, and what the checkpoints were: networks may share the latter.
    model_of, checkpoints_of = out / "work" / f"{network.name}.txt", work / "learnt_from.txt"
    if holds(model_of, content) and (folder / "model.json").is_file():
        info = registry.find(folder, "classifier").info
        if info["manifest_sha256"] == file_sha256(manifest) and settings.items() <= info["training"].items():
            return
    resume = holds(checkpoints_of, content)
    work.mkdir(parents=True, exist_ok=True)
    write_text(checkpoints_of, content)
    train_classifier(
        manifest,
        folder,
        TrainingOptions(
            settings=Settings(**settings, cut_offs=cut_offs),
            device=device,
            resume=resume,
            work=work,
            cache=out / "work" / "slices",
            spec=size.input,
            pretrained=pretrained,
        ),
    )
    write_text(model_of, content)


def holds(file: Path, content: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == content


def now_and_then(progress: Callable[[str], None], words: str, every: int = 50) -> Callable[[int, int], None]:
    """From a callback with cases done and in all to a line now and then."""

    def tell(done: int, total: int) -> None:
        if done % every == 0 or done == total:
            progress(f"{done} of {total} {words}")

    return tell


class Clock:
    """Tells which step is at work, and adds up on disk what each has taken over all runs."""

    def __init__(self, file: Path, progress: Callable[[str], None]) -> None:
        self.file, self.progress = file, progress
        self.seconds: dict[str, float] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self.progress(name)
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - began, 1)
            write_text(self.file, json.dumps(self.seconds, indent=1) + "\n")
