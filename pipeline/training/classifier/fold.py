"""Training of one member of the classifier, resumable after every epoch."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
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
from pipeline.statistics.auc import auc
from pipeline.training.classifier.batches import TrainingSamples, epoch_random, steps_per_epoch, training_batches
from pipeline.training.classifier.data import CachedCase
from pipeline.training.classifier.settings import Settings
from pipeline.training.classifier.split import split_inner
from pipeline.training.curve import LOSS, LearningCurve

log = logging.getLogger(__name__)

CURVE_SCORE, CURVE_CASES, CURVE_EVERY = "AUC", 48, 4
"""Score of the learning curve; the number of held-out cases, each with as many slices as a training sample, that it is
measured on; the epochs between two measurements."""
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
    """Written after every epoch and resumed from where it exists."""
    initial_weights: Mapping[str, Tensor] | None = None
    """Weights of the backbone by parameter name; None for random ones."""
    unseen: Sequence[CachedCase] = ()
    """Cases that the member does not learn from, for its learning curve alone: nothing is chosen by them."""
    workers: int = 0
    """Processes that draw the training samples; 0 draws them between the optimiser's steps."""

    def belongs_to(self) -> dict[str, Any]:
        """Settings and cases by which a checkpoint is recognised; how many members there are is no matter to one."""
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
    settings = task.settings
    torch.manual_seed(settings.seed * 1000 + task.fold)
    run = MemberTraining(task)
    run.load()
    learning, stopping = (task.cases, []) if settings.patience is None else split_inner(task.cases, settings.seed)
    samples = TrainingSamples(learning, settings, task.spec, task.fold)
    batches = training_batches(samples, run.epochs, task.workers, task.device)
    curve = LearningCurve(task.checkpoint.parent, task.fold, run.epochs, CURVE_SCORE)
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        while not run.done:
            began = time.monotonic()
            loss = train_epoch(run, batches, learning)
            run.epochs += 1
            scores = judge(run, stopping)
            run.seconds += time.monotonic() - began
            run.save()
            curve.add(run.epochs, {LOSS: loss, **scores})
            text = "".join(f", {name.replace('_', ' ')} {CURVE_SCORE} {value:.3f}" for name, value in scores.items())
            log.info("fold %d, epoch %d: loss %.3f%s, %.0f s in all", task.fold, run.epochs, loss, text, run.seconds)
    curve.close()
    return run


def judge(run: MemberTraining, stopping: Sequence[CachedCase]) -> dict[str, float]:
    """AUC of the averaged network by part of the cases; the inner fold's loss decides whether its weights are kept.

    The held-out cases, of which a sample is taken, are for the eye: nothing is chosen by them.
    """
    task, net = run.task, run.average.module
    scores = {}
    if stopping:
        logits = predicted(net, [case.tensor(task.spec) for case in stopping], task.device)
        run.keep_if_best(balanced_loss(logits, stopping))
        scores["inner_fold"] = auc(labels_of(stopping), logits)
    if task.unseen and (run.epochs % CURVE_EVERY == 0 or run.done):
        shown = task.unseen[:: math.ceil(len(task.unseen) / CURVE_CASES)]
        inputs = (evenly(case.tensor(task.spec), task.settings.slices) for case in shown)
        scores["held_out"] = auc(labels_of(shown), predicted(net, inputs, task.device))
    return scores


def train_epoch(run: MemberTraining, batches: Iterator[tuple[Tensor, Tensor]], cases: Sequence[CachedCase]) -> float:
    """Train one pass over the cases, from the stream of their batches, and return the mean loss of its steps."""
    task, total = run.task, 0.0
    settings, device = task.settings, task.device
    positives = sum(case.label for case in cases)
    balance = torch.tensor((len(cases) - positives) / positives, device=device)  # weighs the rarer class up
    steps = steps_per_epoch(len(cases), settings)
    torch.manual_seed(int(epoch_random(settings, task.fold, run.epochs).integers(2**31)))  # dropout
    run.net.train()
    for step, (slices, labels) in enumerate(islice(batches, steps), run.epochs * steps):
        for group in run.optimizer.param_groups:
            group["lr"] = learning_rate(step, settings.epochs * steps, settings)
        x = slices.flatten(0, 1).to(device, memory_format=torch.channels_last)  # (cases * slices, 2, y, x)
        target = labels.float().clamp(settings.smoothing, 1 - settings.smoothing)[:, None].to(device)  # (cases, 1)
        with autocast(device):
            logits = run.net(x, settings.slices)  # (cases, 1)
        loss = F.binary_cross_entropy_with_logits(logits.float(), target, pos_weight=balance)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(run.net.parameters(), settings.gradient_clip)
        run.optimizer.step()
        run.average.update(run.net, step=step)
        total += float(loss.detach()) / steps
    return total


def predicted(net: MaskedAttentionNet, inputs: Iterable[Tensor], device: torch.device) -> np.ndarray:
    """Logits of cases, (cases,), each given as its slices, (slices, 2, y, x)."""
    net.eval()
    return np.array([predict_member(net, x.to(device))[0] for x in inputs])


def labels_of(cases: Sequence[CachedCase]) -> np.ndarray:
    return np.array([case.label for case in cases])


def evenly(x: Tensor, count: int) -> Tensor:
    """At most ``count`` slices of a case, (slices, 2, y, x), evenly selected."""
    return x[np.unique(np.linspace(0, len(x) - 1, count).round().astype(int))]


def balanced_loss(logits: np.ndarray, cases: Sequence[CachedCase]) -> float:
    """Mean log loss of the cases, both classes weighted equally."""
    labels = labels_of(cases)
    losses = np.logaddexp(0, np.where(labels, -logits, logits))
    return float((losses[labels].mean() + losses[~labels].mean()) / 2)


def digest(cases: Sequence[CachedCase]) -> str:
    """A hash of the cases, their labels and prepared slices."""
    return json_sha256([[case.case_id, case.anatomy, case.label, case.file.name] for case in cases])


def parameter_groups(net: nn.Module, weight_decay: float) -> list[dict]:
    """Parameter groups of AdamW: matrices decay; biases and norms do not."""
    matrices = [p for p in net.parameters() if p.ndim >= 2]
    vectors = [p for p in net.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def learning_rate(step: int, steps: int, settings: Settings) -> float:
    """Learning rate of a step (from 0): linear warm-up, then half a cosine down to 0."""
    warm = max(1, round(settings.warm_up * steps))
    if step < warm:
        return settings.learning_rate * (step + 1) / warm
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
