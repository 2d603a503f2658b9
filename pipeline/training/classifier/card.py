"""The classifier's model card, from the content of ``model.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from models.cards import licence_tag, render_card
from pipeline import RESEARCH_USE
from pipeline.training.classifier.pretrained import BY_HASH
from pipeline.training.classifier.settings import FILE, Settings

ESTIMATES = ("auc", "sensitivity", "specificity", "rule_out_sensitivity", "rule_in_specificity")
"""Keys of ``out_of_fold`` that hold a value and its 95 % interval."""
TEMPLATE = "classifier.md.j2"


def model_card(info: Mapping[str, Any], name: str, curve: str | None = None) -> str:
    """Render the card in Markdown.

    Args:
        info: the content of ``model.json``.
        name: of the model.
        curve: file name of the picture of its learning curves, if there is one.
    """
    figures = info["out_of_fold"]
    return render_card(
        TEMPLATE,
        header(info, name),
        info=info,
        training=info["training"],
        input=info["input"],
        figures=figures,
        estimates={key: in_words(figures[key]) for key in ESTIMATES},
        fold_aucs=[f"{value:.3f}" for value in figures["fold_aucs"]],
        curve=curve,
        unscaled=unscaled(info.get("calibration", {})),
        research_use=RESEARCH_USE,
    )


def unscaled(calibration: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Names of the members that kept their own scale, since their logits did not rise with the label."""
    return [name for name, fitted in calibration.items() if (fitted["scale"], fitted["shift"]) == (1, 0)]


def header(info: Mapping[str, Any], name: str) -> ModelCardData:
    """The card's header for model hubs: licence, library, task, tags and named results."""
    figures = info["out_of_fold"]
    cohort = "simulated" if info["simulated"] else "cohort of the site that trained it"
    results = [
        EvalResult("image-classification", "cohort", cohort, kind, figures[kind][0], metric_name=f"{kind}, out of fold")
        for kind in ("auc", "sensitivity", "specificity")
    ]
    return ModelCardData(
        license=licence_tag(info["licence"]),
        library_name="timm" if "network" in info else "sklearn",
        pipeline_tag="image-classification",
        tags=["liver", "MRI", "T2", "fibrosis", "research-only"],
        model_name=name,
        eval_results=results,
    )


def in_words(interval: Sequence[float]) -> str:
    return f"{interval[0]:.3f} (95 % interval {interval[1]:.3f} to {interval[2]:.3f})" if len(interval) == 3 else ""


def command(settings: Settings) -> str:
    """The command line that repeats a training, without paths; its settings are in the model's ``training.toml``."""
    initial = " --pretrained FILE" if settings.pretrained.startswith(BY_HASH) else ""
    return f"python -m pipeline train-classifier MANIFEST -o MODEL --config {FILE}{initial}"


def other_options(settings: Any, defaults: Any, names: Sequence[str]) -> list[str]:
    """Options of a command whose fields of these names, or whose cut-offs, differ from the defaults."""
    values = {name: getattr(settings, name) for name in names}
    words = [
        f"--{name} {str(value).replace('_', '-')}" for name, value in values.items() if value != getattr(defaults, name)
    ]
    if settings.cut_offs != defaults.cut_offs:
        words.append(f"--lsm-cut {settings.cut_offs.lsm_kpa:g} --metavir-cut {settings.cut_offs.metavir}")
    return words
