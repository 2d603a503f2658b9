"""Train the fibrosis classifier: folds by anatomy, one member per fold, everything that ships measured out of fold."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.model_selection import StratifiedGroupKFold
from torch import nn

from models.masked_attention import MaskedAttentionNet, MaskUse
from models.registry import choose_device
from pipeline.classification.explain import member_heat
from pipeline.classification.predict import for_reading, read_member
from pipeline.classification.slices import InputSpec
from pipeline.errors import ManifestError, ModelError
from pipeline.training.classifier_data import CachedCase, cache_case, draw_training_input
from pipeline.training.classifier_report import Measured, measure, write_model
from pipeline.training.classifier_scores import platt
from pipeline.training.manifest import read_manifest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What a training depends on, besides the cohort. Equal settings and cohort give equal weights on one machine."""

    backbone: str = "resnet18"
    mask: MaskUse = "attention"
    folds: int = 3
    epochs: int = 24
    seed: int = 0
    slices: int = 4
    """Slices drawn from a case each time: few, since another case teaches more than another slice."""
    batch: int = 8
    """Cases in a step."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warm_up: float = 0.1
    """Share of the steps."""
    smoothing: float = 0.05
    """Labels are 0.05 and 0.95: stiffness near 12 kPa is a matter of chance."""


@dataclass(frozen=True)
class Member:
    """One fold's network, and what it says of the cases that it has not seen."""

    net: MaskedAttentionNet
    unseen: np.ndarray
    """Indices of those cases."""
    raw_logits: np.ndarray
    """Before the member was put on the common scale."""
    logits: np.ndarray
    """After it."""
    heat_peaks: np.ndarray
    """Strongest heat in the liver, after it."""


def train_classifier(
    manifest: Path,
    out: Path,
    *,
    backbone: str = "resnet18",
    mask: MaskUse = "attention",
    folds: int = 3,
    epochs: int = 24,
    seed: int = 0,
    slices: int = 4,
    device: str = "auto",
    resume: bool = False,
    work: Path | None = None,
    spec: InputSpec | None = None,
    licence: str = "unknown",
) -> Measured:
    """Train an ensemble on a cohort manifest and write a classifier folder that the app can use.

    Written to ``out``: ``fold0`` and so on, ``model.json``, ``folds.json`` (which cases each member has not seen) and
    ``MODEL_CARD.md``. Rows with ``split`` test are left out.

    Args:
        manifest: CSV as in ``pipeline.training.manifest``; ``source_anatomy`` keeps related cases in one fold.
        backbone, mask: as ``MaskedAttentionNet`` takes them.
        slices: drawn from a case each time; a step costs in proportion.
        device: ``cpu``, ``cuda`` or ``auto``; both compute in bfloat16.
        resume: go on from the checkpoints in ``work``, else start anew.
        work: for the slice cache, the checkpoints and ``out_of_fold.csv``; by default ``training`` beside the manifest.
        spec: how slices are prepared, for this training and for every prediction with its weights.
        licence: of the weights, as their data demand; for ``model.json`` and the card.

    Returns:
        What was measured out of fold.

    Raises:
        ManifestError: the cohort cannot be used; one line per wrong row.
        ModelError: the checkpoints belong to a training with other settings, or the device does not exist.
    """
    settings = Settings(backbone=backbone, mask=mask, folds=folds, epochs=epochs, seed=seed, slices=slices)
    spec, where = spec or InputSpec(), choose_device(device)
    work = work or manifest.parent / "training"
    cohort = read_manifest(manifest)
    rows = cohort.rows[cohort.rows.split != "test"]
    cases = [cache_case(int(index), row, work / "slices", spec) for index, row in rows.iterrows()]  # type: ignore[call-overload]
    log.info("%d cases prepared, %d of them positive", len(cases), sum(case.label for case in cases))
    members = []
    for fold, (seen, unseen) in enumerate(split_folds(cases, settings)):
        checkpoint = work / f"fold{fold}.pt"
        if not resume:
            checkpoint.unlink(missing_ok=True)
        net = train_fold([cases[i] for i in seen], settings, spec, fold, where, checkpoint)
        members.append(finish_member(net, cases, unseen, spec, where))
    measured = measure(cases, members, settings.seed)
    measured.out_of_fold.to_csv(work / "out_of_fold.csv", index=False)
    write_model(out, cohort, cases, members, settings, spec, measured, licence)
    return measured


def split_folds(cases: Sequence[CachedCase], settings: Settings) -> list[tuple[np.ndarray, np.ndarray]]:
    """Seen and unseen cases of each member: labels balanced as far as anatomies, which stay together, allow."""
    labels = np.array([case.label for case in cases])
    groups = np.array([case.anatomy for case in cases])
    if min(len(set(groups[labels])), len(set(groups[~labels]))) < settings.folds:
        raise ManifestError(
            f"{settings.folds} folds need positive and negative cases of {settings.folds} anatomies each."
        )
    splitter = StratifiedGroupKFold(settings.folds, shuffle=True, random_state=settings.seed)
    splits = list(splitter.split(labels, labels, groups))
    if any(len(set(labels[part])) < 2 for split in splits for part in split):
        raise ManifestError(
            "A fold would hold one class only; give more anatomies, or use fewer folds or another seed."
        )
    return splits


def train_fold(
    cases: Sequence[CachedCase], settings: Settings, spec: InputSpec, fold: int, device: torch.device, checkpoint: Path
) -> MaskedAttentionNet:
    """Train one member from random weights. Every epoch seeds its own chance, so a resumed run equals one in one go."""
    torch.manual_seed(settings.seed * 1000 + fold)
    net = MaskedAttentionNet(settings.backbone, settings.mask).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(parameter_groups(net, settings.weight_decay), lr=settings.learning_rate)
    labels = torch.tensor([float(case.label) for case in cases])
    balance = (1 - labels).sum() / labels.sum()  # the rarer class counts as much as the other
    steps = math.ceil(len(cases) / settings.batch)

    for epoch in range(load_checkpoint(checkpoint, net, optimizer, settings), settings.epochs):
        began, total = time.monotonic(), 0.0
        random = np.random.default_rng([settings.seed, fold, epoch])
        torch.manual_seed(int(random.integers(2**31)))  # dropout
        net.train()
        for step, picks in enumerate(np.array_split(random.permutation(len(cases)), steps)):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(epoch * steps + step, settings.epochs * steps, settings)
            x = torch.cat([draw_training_input(cases[i], spec, settings.slices, random) for i in picks])
            x = x.to(device, memory_format=torch.channels_last)  # (cases * slices, 2, y, x)
            target = labels[picks].clamp(settings.smoothing, 1 - settings.smoothing)[:, None].to(device)  # (cases, 1)
            with torch.autocast(device.type, torch.bfloat16):
                logits = net(x, settings.slices)  # (cases, 1)
            loss = F.binary_cross_entropy_with_logits(logits.float(), target, pos_weight=balance.to(device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            total += float(loss.detach()) / steps
        save_checkpoint(checkpoint, net, optimizer, settings, epoch + 1)
        log.info("fold %d, epoch %d: loss %.3f, %.0f s", fold, epoch + 1, total, time.monotonic() - began)
    return net


def parameter_groups(net: nn.Module, weight_decay: float) -> list[dict]:
    """Weights decay; biases, norms and the gates' gamma do not."""
    matrices = [p for p in net.parameters() if p.ndim >= 2]
    vectors = [p for p in net.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def learning_rate(step: int, steps: int, settings: Settings) -> float:
    """Linear warm-up, then half a cosine down to nothing."""
    warm = max(1, round(settings.warm_up * steps))
    if step < warm:
        return settings.learning_rate * (step + 1) / warm
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def finish_member(
    net: MaskedAttentionNet, cases: Sequence[CachedCase], unseen: np.ndarray, spec: InputSpec, device: torch.device
) -> Member:
    """Let a member read the cases that it has not seen, and put its logits on the scale that all members share.

    The scale (Platt's) goes into the last layer: members then speak of the same log odds, so that their mean
    probability, and a threshold on it, mean something.
    """
    rounded = net.half().float()  # what ships is float16, so that is what is measured
    net = for_reading(rounded.to(memory_format=torch.contiguous_format))
    raw = np.array([read_member(net, cases[i].tensor(spec).to(device))[0] for i in unseen])
    scale, shift = platt(np.array([cases[i].label for i in unseen]), raw)
    with torch.no_grad():
        net.head.weight.mul_(scale)
        net.head.bias.mul_(scale).add_(shift)
    net.head.half().float()  # the scaled layer is rounded too; a steep scale makes that visible
    logits = np.array([read_member(net, cases[i].tensor(spec).to(device))[0] for i in unseen])
    peaks = [heat_peak(net, cases[i].tensor(spec).to(device)) for i in unseen]
    return Member(net, unseen, raw, logits, np.array(peaks))


def heat_peak(net: MaskedAttentionNet, x: torch.Tensor) -> float:
    """The 99th percentile of a case's heat in the liver: its peak without the last outliers."""
    liver = x[:, 1].cpu().numpy() > 0.5
    return float(np.percentile(member_heat(net, x)[liver], 99)) if liver.any() else 0.0


def save_checkpoint(
    file: Path, net: nn.Module, optimizer: torch.optim.Optimizer, settings: Settings, epochs_done: int
) -> None:
    """Replace the checkpoint in one move, so that an interruption leaves the old one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    state = {"net": net.state_dict(), "optimizer": optimizer.state_dict()}
    partial = file.with_suffix(".part")
    torch.save({**state, "settings": asdict(settings), "epochs_done": epochs_done}, partial)
    partial.replace(file)


def load_checkpoint(file: Path, net: nn.Module, optimizer: torch.optim.Optimizer, settings: Settings) -> int:
    """Restore net and optimizer; how many epochs are done, 0 where there is no checkpoint. Tensors only, no code."""
    if not file.is_file():
        return 0
    stored = torch.load(file, weights_only=True)
    if stored["settings"] != asdict(settings):
        raise ModelError("The checkpoints are of a training with other settings; start again without resuming.")
    net.load_state_dict(stored["net"])
    optimizer.load_state_dict(stored["optimizer"])
    return int(stored["epochs_done"])
