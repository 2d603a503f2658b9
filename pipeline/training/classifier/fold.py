"""Training of one member of the classifier, resumable after every epoch."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from models.device import autocast
from models.files import atomic_path, json_sha256
from models.masked_attention import MaskedAttentionNet
from pipeline.classification.predict import predict_member
from pipeline.classification.slices import InputSpec
from pipeline.errors import ModelError
from pipeline.training.classifier.data import CachedCase, draw_training_input
from pipeline.training.classifier.settings import Settings
from pipeline.training.classifier.split import split_inner

log = logging.getLogger(__name__)

STORED_AS_IS = ("epochs", "seconds", "best_loss", "best_epoch", "best")
"""Attributes of ``MemberTraining`` that a checkpoint holds as they are."""


@dataclass(frozen=True)
class FoldTask:
    """One member to train: its cases, how, and where its checkpoint is."""

    fold: int
    """Number of the member, from 0; part of its seed."""
    cases: Sequence[CachedCase]
    """Cases that the member may see; with ``patience``, some of them are held back for early stopping."""
    settings: Settings
    spec: InputSpec
    device: torch.device
    checkpoint: Path
    """File written after every epoch and resumed from where it exists."""
    initial_weights: Mapping[str, Tensor] | None = None
    """Weights of the backbone by parameter name; None for random ones."""

    def belongs_to(self) -> dict[str, Any]:
        """Settings and cases by which a checkpoint is recognised; the number of members changes none of them."""
        return asdict(replace(self.settings, members=None)) | {"cases": digest(self.cases)}


class MemberTraining:
    """State of a member's training: everything that changes from epoch to epoch, and so all that a checkpoint holds."""

    def __init__(self, task: FoldTask) -> None:
        settings = task.settings
        self.task = task
        self.net = MaskedAttentionNet(settings.backbone, settings.mask)
        if task.initial_weights is not None:
            self.net.backbone.load_state_dict(task.initial_weights)
        self.net.to(task.device).to(memory_format=torch.channels_last)
        self.average = ModelEmaV3(self.net, settings.averaging, use_warmup=True)
        self.optimizer = torch.optim.AdamW(parameter_groups(self.net, settings.weight_decay), lr=settings.learning_rate)
        self.epochs, self.seconds = 0, 0.0
        self.best_loss, self.best_epoch = math.inf, 0
        self.best: dict[str, Tensor] | None = None
        """Averaged weights of the best epoch, where there is an inner fold to choose it."""

    @property
    def done(self) -> bool:
        """Whether all epochs are trained, or the inner fold has not improved for ``patience`` epochs."""
        settings = self.task.settings
        if settings.patience is not None and self.epochs - self.best_epoch >= settings.patience:
            return True
        return self.epochs >= settings.epochs

    def keep_if_best(self, loss: float) -> None:
        """Keep the averaged weights if the inner fold's loss after this epoch is the lowest so far."""
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, self.epochs
            self.best = {key: value.clone() for key, value in self.average.module.state_dict().items()}

    def result(self) -> MaskedAttentionNet:
        """The network of averaged weights, from the best epoch where there is an inner fold, else from the last."""
        net: MaskedAttentionNet = self.average.module
        if self.best is not None:
            net.load_state_dict(self.best)
        return net.requires_grad_(True)

    def save(self) -> None:
        """Replace the checkpoint atomically."""
        numbers = {key: getattr(self, key) for key in STORED_AS_IS}
        state = {key: getattr(self, key).state_dict() for key in ("net", "optimizer")}
        state["average"] = self.average.module.state_dict()
        with atomic_path(self.task.checkpoint) as partial:
            torch.save({**state, **numbers, "belongs_to": self.task.belongs_to()}, partial)

    def load(self) -> None:
        """Resume from the checkpoint, if there is one. Tensors only, no code.

        Raises:
            ModelError: the checkpoint is of a training with other settings or cases.
        """
        if not self.task.checkpoint.is_file():
            return
        stored = torch.load(self.task.checkpoint, weights_only=True, map_location=self.task.device)
        if stored.get("belongs_to") != self.task.belongs_to():
            raise ModelError(
                "The checkpoints are of a training with other settings or cases; name another -o, or "
                "start a single training anew with --no-resume."
            )
        self.net.load_state_dict(stored["net"])
        self.optimizer.load_state_dict(stored["optimizer"])
        self.average.module.load_state_dict(stored["average"])
        for key in STORED_AS_IS:
            setattr(self, key, stored[key])


def train_fold(task: FoldTask) -> MemberTraining:
    """Train one member, from its checkpoint where there is one.

    Every epoch seeds its own random numbers, so a resumed training equals an uninterrupted one.

    Raises:
        ModelError: the checkpoint is of a training with other settings or cases.
    """
    settings, spec = task.settings, task.spec
    torch.manual_seed(settings.seed * 1000 + task.fold)
    run = MemberTraining(task)
    run.load()
    learning, stopping = (task.cases, []) if settings.patience is None else split_inner(task.cases, settings.seed)
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        while not run.done:
            began = time.monotonic()
            loss = train_epoch(run, learning)
            run.epochs += 1
            inner = balanced_loss(run.average.module, stopping, spec, task.device) if stopping else math.nan
            run.keep_if_best(inner)
            run.seconds += time.monotonic() - began
            run.save()
            inner_text = f", inner fold {inner:.3f}" if stopping else ""
            log.info(
                "fold %d, epoch %d: loss %.3f%s, %.0f s in all", task.fold, run.epochs, loss, inner_text, run.seconds
            )
    return run


def train_epoch(run: MemberTraining, cases: Sequence[CachedCase]) -> float:
    """Train one pass over the cases and return the mean loss of its steps."""
    task, total = run.task, 0.0
    settings, device = task.settings, task.device
    labels = torch.tensor([float(case.label) for case in cases])
    balance = ((1 - labels).sum() / labels.sum()).to(device)  # the rarer class weighs as much as the other
    steps = math.ceil(len(cases) / settings.batch)
    random = np.random.default_rng([settings.seed, task.fold, run.epochs])
    torch.manual_seed(int(random.integers(2**31)))  # dropout
    run.net.train()
    for step, picks in enumerate(np.array_split(random.permutation(len(cases)), steps), run.epochs * steps):
        for group in run.optimizer.param_groups:
            group["lr"] = learning_rate(step, settings.epochs * steps, settings)
        x = torch.cat([draw_training_input(cases[i], task.spec, settings.slices, random) for i in picks])
        x = x.to(device, memory_format=torch.channels_last)  # (cases * slices, 2, y, x)
        target = labels[picks].clamp(settings.smoothing, 1 - settings.smoothing)[:, None].to(device)  # (cases, 1)
        with autocast(device):
            logits = run.net(x, settings.slices)  # (cases, 1)
        loss = F.binary_cross_entropy_with_logits(logits.float(), target, pos_weight=balance)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(run.net.parameters(), 1.0)
        run.optimizer.step()
        run.average.update(run.net, step=step)
        total += float(loss.detach()) / steps
    return total


def balanced_loss(net: MaskedAttentionNet, cases: Sequence[CachedCase], spec: InputSpec, device: torch.device) -> float:
    """Mean log loss of the cases as prediction sees them, both classes weighted equally."""
    logits = torch.tensor([predict_member(net, case.tensor(spec).to(device))[0] for case in cases])
    labels = torch.tensor([case.label for case in cases])
    losses = F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none")
    return float((losses[labels].mean() + losses[~labels].mean()) / 2)


def digest(cases: Sequence[CachedCase]) -> str:
    """A hash of the cases, their labels and prepared slices."""
    return json_sha256([[case.case_id, case.anatomy, case.label, case.file.name] for case in cases])


def parameter_groups(net: nn.Module, weight_decay: float) -> list[dict]:
    """Parameter groups of AdamW: matrices decay; biases, norms and the gates' gamma do not."""
    matrices = [p for p in net.parameters() if p.ndim >= 2]
    vectors = [p for p in net.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def learning_rate(step: int, steps: int, settings: Settings) -> float:
    """Learning rate of a step (from 0): linear warm-up, then half a cosine down to 0."""
    warm = max(1, round(settings.warm_up * steps))
    if step < warm:
        return settings.learning_rate * (step + 1) / warm
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
