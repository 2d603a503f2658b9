"""The training of one member of the classifier, from its first step to its last, resumable after every epoch."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from models.device import autocast
from models.files import atomic_path, json_sha256
from models.masked_attention import MaskedAttentionNet, MaskUse
from pipeline.classification.predict import predict_member
from pipeline.classification.slices import InputSpec
from pipeline.cohort.manifest import DEFAULT_CUT_OFFS, CutOffs
from pipeline.errors import ModelError
from pipeline.training.classifier.data import CachedCase, draw_training_input
from pipeline.training.classifier.split import Labels, split_inner

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What a training depends on, besides the cohort. Equal settings and cohort give equal weights on one machine."""

    backbone: str = "resnet18"
    mask: MaskUse = "attention"
    folds: int = 3
    members: int | None = None
    """How many of the folds get a member; None for all. What is measured out of fold then has fewer cases."""
    epochs: int = 24
    """At most, where ``patience`` is given."""
    patience: int | None = None
    """Epochs without a better inner fold after which a member stops; None trains all epochs on all of its cases."""
    seed: int = 0
    slices: int = 4
    """Slices drawn from a case each time: few, since another case teaches more than another slice."""
    batch: int = 8
    """Cases in a step."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warm_up: float = 0.1
    """Share of the steps."""
    averaging: float = 0.99
    """What a step leaves of the averaged weights (an exponential moving average, shorter at first), which are kept."""
    smoothing: float = 0.05
    """Labels are 0.05 and 0.95: stiffness near the cut-off is a matter of chance."""
    cut_offs: CutOffs = DEFAULT_CUT_OFFS
    pretrained: str = ""
    """``classifier_pretrained.fingerprint`` of the backbone's first weights; empty for random ones."""
    labels: Labels = "cohort"
    """Others than the cohort's are leak tests, see ``classifier_split.relabel``."""


class Run:
    """All that changes while a member is trained, and so all that a checkpoint holds.

    Args:
        belongs_to: settings and cases; a checkpoint of other ones is refused.
    """

    def __init__(
        self, settings: Settings, belongs_to: dict, start: Mapping[str, Tensor] | None, device: torch.device
    ) -> None:
        self.net = MaskedAttentionNet(settings.backbone, settings.mask)
        if start is not None:
            self.net.backbone.load_state_dict(start)
        self.net.to(device).to(memory_format=torch.channels_last)
        self.average = ModelEmaV3(self.net, settings.averaging, use_warmup=True)
        self.optimizer = torch.optim.AdamW(parameter_groups(self.net, settings.weight_decay), lr=settings.learning_rate)
        self.settings, self.belongs_to = settings, belongs_to
        self.epochs, self.seconds = 0, 0.0
        self.best_loss, self.best_epoch = math.inf, 0
        self.best: dict[str, Tensor] | None = None
        """Averaged weights of the best epoch, where there is an inner fold to say so."""

    @property
    def done(self) -> bool:
        """All epochs are done, or the inner fold has not improved for too long."""
        patience = self.settings.patience
        return self.epochs >= self.settings.epochs or (
            patience is not None and self.epochs - self.best_epoch >= patience
        )

    def judge(self, loss: float) -> None:
        """Note the inner fold's loss after an epoch, and keep the weights if it is the lowest so far."""
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, self.epochs
            self.best = {key: value.clone() for key, value in self.average.module.state_dict().items()}

    def result(self) -> MaskedAttentionNet:
        """The averaged network: of the best epoch where there is an inner fold, else of the last."""
        net: MaskedAttentionNet = self.average.module
        if self.best is not None:
            net.load_state_dict(self.best)
        return net.requires_grad_(True)

    def save(self, file: Path) -> None:
        """Replace the checkpoint in one move, so that an interruption leaves the old one."""
        numbers = {key: getattr(self, key) for key in ("epochs", "seconds", "best_loss", "best_epoch", "best")}
        state = {key: getattr(self, key).state_dict() for key in ("net", "optimizer")}
        state["average"] = self.average.module.state_dict()
        with atomic_path(file) as partial:
            torch.save({**state, **numbers, "belongs_to": self.belongs_to}, partial)

    def load(self, file: Path, device: torch.device) -> None:
        """Go on where a checkpoint ended, if there is one. Tensors only, no code."""
        if not file.is_file():
            return
        stored = torch.load(file, weights_only=True, map_location=device)
        if stored.get("belongs_to") != self.belongs_to:
            raise ModelError(
                "The checkpoints are of a training with other settings or cases; name another -o, or "
                "start a single training anew with --no-resume."
            )
        self.net.load_state_dict(stored["net"])
        self.optimizer.load_state_dict(stored["optimizer"])
        self.average.module.load_state_dict(stored["average"])
        for key in ("epochs", "seconds", "best_loss", "best_epoch", "best"):
            setattr(self, key, stored[key])


def train_fold(
    cases: Sequence[CachedCase],
    settings: Settings,
    spec: InputSpec,
    fold: int,
    device: torch.device,
    checkpoint: Path,
    start: Mapping[str, Tensor] | None = None,
) -> Run:
    """Train one member. Every epoch seeds its own chance, so a resumed run equals one in one go.

    Args:
        cases: those that this member may see; with ``patience``, a part of them says when to stop.
        checkpoint: written after every epoch; gone on from where it exists.
        start: weights of the backbone; random ones without.
    """
    torch.manual_seed(settings.seed * 1000 + fold)
    # How many members there are changes none of them.
    belongs_to = asdict(replace(settings, members=None)) | {"cases": digest(cases)}
    run = Run(settings, belongs_to, start, device)
    run.load(checkpoint, device)
    learning, stopping = (cases, []) if settings.patience is None else split_inner(cases, settings.seed)
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        while not run.done:
            began = time.monotonic()
            loss = train_epoch(run, learning, spec, fold, device)
            run.epochs += 1
            inner = balanced_loss(run.average.module, stopping, spec, device) if stopping else math.nan
            run.judge(inner)
            run.seconds += time.monotonic() - began
            run.save(checkpoint)
            said = f", inner fold {inner:.3f}" if stopping else ""
            log.info("fold %d, epoch %d: loss %.3f%s, %.0f s in all", fold, run.epochs, loss, said, run.seconds)
    return run


def train_epoch(run: Run, cases: Sequence[CachedCase], spec: InputSpec, fold: int, device: torch.device) -> float:
    """One pass over the cases; the mean loss."""
    settings, total = run.settings, 0.0
    labels = torch.tensor([float(case.label) for case in cases])
    balance = ((1 - labels).sum() / labels.sum()).to(device)  # the rarer class counts as much as the other
    steps = math.ceil(len(cases) / settings.batch)
    random = np.random.default_rng([settings.seed, fold, run.epochs])
    torch.manual_seed(int(random.integers(2**31)))  # dropout
    run.net.train()
    for step, picks in enumerate(np.array_split(random.permutation(len(cases)), steps), run.epochs * steps):
        for group in run.optimizer.param_groups:
            group["lr"] = learning_rate(step, settings.epochs * steps, settings)
        x = torch.cat([draw_training_input(cases[i], spec, settings.slices, random) for i in picks])
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
    """Mean log loss of cases read as they are when predicting, both classes counting alike."""
    logits = torch.tensor([predict_member(net, case.tensor(spec).to(device))[0] for case in cases])
    labels = torch.tensor([case.label for case in cases])
    losses = F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none")
    return float((losses[labels].mean() + losses[~labels].mean()) / 2)


def digest(cases: Sequence[CachedCase]) -> str:
    """A hash of the cases, their labels and prepared slices."""
    told = [[case.case_id, case.anatomy, case.label, case.file.name] for case in cases]
    return json_sha256(told)


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
