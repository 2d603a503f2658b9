"""The result card and the progress line, as HTML. Every text that is put in is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from pipeline import RESEARCH_USE
from pipeline.case import Analysis, Fibrosis, OrganMask
from pipeline.exports.wording import percents, unreliable_words
from pipeline.page.view.review_form import QUALITIES

SPLEEN_RANGE = "healthy adults 107–315 mL"


def result_html(analysis: Analysis, downloads: Mapping[str, str]) -> str:
    """The card of one analysis. ``downloads``: address by label."""
    return f"""
<section class="fr-card fr-result" aria-label="Result of the models">
  <header><h2>Result</h2><span class="fr-mono">Case {escape(analysis.volume.source.case_id)}</span>
    <a class="fr-link" href="#fr-form">Review ↓</a></header>
  {_verdict(analysis)}
  {_facts(analysis)}
  {_warnings(analysis)}
  {_downloads(downloads)}
  {_models(analysis)}
</section>"""


def _verdict(analysis: Analysis) -> str:
    fibrosis, classifier = analysis.fibrosis, analysis.classifier
    note = f'<p class="fr-note" role="note">{escape(classifier.note)}</p>' if classifier.note else ""
    doubt = (
        f'<strong class="fr-unreliable" role="note">{unreliable_words(analysis)}</strong>'
        if analysis.unreliable
        else ""
    )
    return f"""
  <p class="fr-verdict"><span class="fr-verdict-{fibrosis.verdict}">Model: {fibrosis.verdict}</span>
    for {escape(fibrosis.positive_class)}</p>
  <p class="fr-number"><b>{_percent(fibrosis.probability)}</b> probability,
    {fibrosis.side} the operating point of {_percent(fibrosis.threshold)} {doubt}</p>
  {scale_html(fibrosis)}
  {_range_words(fibrosis)}
  {note}
  <p class="fr-small">{RESEARCH_USE}</p>"""


def scale_html(fibrosis: Fibrosis) -> str:
    """Probability on a scale from 0 to 100 %, with operating point, ensemble's range and indeterminate zone."""
    low, high = (100 * share for share in fibrosis.ensemble_range)
    members = percents(fibrosis.ensemble_range)
    label = (
        f"Probability {_percent(fibrosis.probability)} on a scale from 0 to 100 percent; "
        f"operating point {_percent(fibrosis.threshold)}; members of the ensemble {members}"
    )
    zone = key = ""
    if fibrosis.indeterminate is not None:
        rule_out, rule_in = (100 * cut for cut in fibrosis.indeterminate)
        between = percents(fibrosis.indeterminate)
        label += f"; indeterminate {between}"
        zone = f'<div class="fr-zone" style="left:{rule_out:.1f}%;width:{rule_in - rule_out:.1f}%"></div>'
        key = f'<span class="fr-key-zone">indeterminate {between}</span>'
    return f"""
  <div class="fr-scale" role="img" aria-label="{escape(label)}">
    <div class="fr-track">
      <div class="fr-over" style="left:{100 * fibrosis.threshold:.1f}%"></div>
      {zone}
      <div class="fr-range" style="left:{low:.1f}%;width:{max(high - low, 0.6):.1f}%"></div>
      <div class="fr-threshold" style="left:{100 * fibrosis.threshold:.1f}%"></div>
      <div class="fr-probability" style="left:{100 * fibrosis.probability:.1f}%"></div>
    </div>
    <div class="fr-ticks"><span>0</span><span>25</span><span>50</span><span>75</span><span>100 %</span></div>
    <div class="fr-legend"><span class="fr-key-probability">probability</span>
      <span class="fr-key-threshold">operating point</span>
      <span class="fr-key-range">ensemble range {members}</span>{key}</div>
  </div>"""


def _range_words(fibrosis: Fibrosis) -> str:
    """How far the probability hangs on the outline, where that was tried."""
    if fibrosis.mask_sensitivity is None:
        return ""
    shown = percents(fibrosis.mask_sensitivity)
    return f'<p class="fr-small">With the liver outline a voxel tighter or wider: {shown}.</p>'


def _facts(analysis: Analysis) -> str:
    organs, heat = analysis.organs, analysis.heatmap
    spleen = "not segmented by this model" if organs.spleen_ml is None else f"{organs.spleen_ml:.0f} mL"
    dice = "one member only" if organs.ensemble_dice is None else f"Dice {organs.ensemble_dice:.3f}"
    quality = f"<div><dt>Predicted quality</dt><dd>{quality_words(organs)}</dd></div>" if organs.score else ""
    evidence = "no positive evidence" if heat.heat_outside_liver is None else f"{_percent(heat.heat_outside_liver)}"
    usual = "" if organs.spleen_ml is None else f' <span class="fr-small">({SPLEEN_RANGE})</span>'
    return f"""
  <dl class="fr-facts">
    <div><dt>Liver volume</dt><dd>{organs.liver_ml:.0f} mL</dd></div>
    <div><dt>Spleen volume{usual}</dt><dd>{spleen}</dd></div>
    <div><dt>Agreement of the segmenters</dt><dd>{dice}</dd></div>
    {quality}
    <div><dt>Heat outside the liver <span class="fr-small">(uncut map)</span></dt><dd>{evidence}</dd></div>
  </dl>"""


def quality_words(organs: OrganMask) -> str:
    """Score, in the words of the review's question, and predicted Dice where there is one."""
    label = {number: words for words, number in QUALITIES}[organs.score or 3]
    return label if organs.predicted_dice is None else f"{label}, Dice about {organs.predicted_dice:.2f}"


def _warnings(analysis: Analysis) -> str:
    messages = dict.fromkeys(w.message for w in (*analysis.volume.warnings, *analysis.warnings))
    if not messages:
        return ""
    items = "".join(f"<li>{escape(message)}</li>" for message in messages)
    return f'<div class="fr-warnings" role="note"><h3>Please note</h3><ul>{items}</ul></div>'


def _downloads(downloads: Mapping[str, str]) -> str:
    links = "".join(f'<a href="{escape(address)}" download>{escape(label)}</a>' for label, address in downloads.items())
    return f'<nav class="fr-downloads" aria-label="Downloads"><h3>Downloads</h3>{links}</nav>'


def _models(analysis: Analysis) -> str:
    # The classifier's note stands beside its probability.
    notes = {analysis.segmenter.name: analysis.segmenter.note}
    rows = "".join(
        f"<li><b>{escape(model.name)}</b> <span class='fr-mono'>{escape(model.sha256[:12])}</span>, "
        f"trained on {escape(model.trained_on)}. {escape(notes.get(model.name, ''))}</li>"
        for model in (analysis.segmenter, analysis.classifier)
    )
    seconds = analysis.timings_s.get("total")
    took = f"<p class='fr-small'>Analysed in {seconds:.0f} s.</p>" if seconds is not None else ""
    return f'<details class="fr-models"><summary>Models</summary><ul>{rows}</ul>{took}</details>'


def waiting_html() -> str:
    """The result card before there is a result."""
    return _plain_card(
        "Result", "Open a T2-weighted liver MRI and press Analyse: probability, volumes and files appear here."
    )


def held_back_html() -> str:
    """The result card while the reader has not answered yet."""
    return _plain_card(
        "Result held back",
        "The models have read this case. Save your own verdict below, then their result and the overlays are shown.",
    )


def _plain_card(title: str, text: str) -> str:
    return f'<section class="fr-card fr-result fr-empty"><header><h2>{title}</h2></header><p>{text}</p></section>'


def progress_html(name: str, share: float) -> str:
    """The bar that names the stage; ``share`` is 0-1."""
    percent = round(100 * min(max(share, 0.0), 1.0))
    return f"""
<div class="fr-progress" role="progressbar" aria-label="{escape(name)}" aria-valuemin="0" aria-valuemax="100"
     aria-valuenow="{percent}"><div class="fr-progress-text"><span>{escape(name)}</span><span>{percent} %</span></div>
  <div class="fr-progress-track"><div style="width:{percent}%"></div></div></div>"""


def message_html(text: str, kind: str = "info") -> str:
    """One sentence; ``kind`` is info, done, warning or error. Errors are announced at once by screen readers."""
    role = "alert" if kind == "error" else "status"
    return f'<p class="fr-message fr-{kind}" role="{role}">{escape(text)}</p>' if text else ""


def warnings_html(messages: Sequence[str]) -> str:
    """What to know of a series before it is analysed; one message stands as a sentence, several as a list."""
    if len(messages) == 1:
        return message_html(messages[0], "warning")
    items = "".join(f"<li>{escape(message)}</li>" for message in messages)
    return f'<ul class="fr-message fr-warning" role="status">{items}</ul>' if items else ""


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
