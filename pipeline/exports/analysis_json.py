"""An analysis as plain data, schema 1, for other programs."""

from __future__ import annotations

from typing import Any

from models.registry import ModelInfo
from pipeline import __version__
from pipeline.case import Analysis, Fibrosis, MaskDoubt, OrganMask
from pipeline.exports.wording import doubt_words, heat_words

SCHEMA = 1


def analysis_json(analysis: Analysis) -> dict[str, Any]:
    """The analysis as JSON types only.

    Sizes and spacings are (x, y, z) of the volume in LPS, volumes in mL, times in seconds; ``z`` of a slice counts from
    0 at the most inferior one, the slices of ``doubts`` from 1 as on the page and in the report. ``heat_outside_liver``
    is measured before the heat map is cut around the liver. ``mask_edited`` is true where a reader has corrected the
    liver mask, and absent otherwise. ``fibrosis`` is null where the series is no axial T2 of an
    abdomen with a liver in it; ``not_classified`` then holds the reasons, and is absent otherwise. A value that does
    not apply to the case is null; one that this version does not compute is absent.
    """
    volume, organs = analysis.volume, analysis.organs
    return {
        "schema": SCHEMA,
        "app_version": __version__,
        "input": {
            "case_id": volume.source.case_id,
            "kind": volume.source.kind,
            "size_xyz": [int(n) for n in volume.image.GetSize()],
            "spacing_mm_xyz": [float(s) for s in volume.spacing_mm_xyz],
            "orientation": "LPS",
        },
        "liver": {
            "volume_ml": float(organs.liver_ml),
            "components": int(organs.components),
            "largest_component_share": float(organs.largest_component_share),
            "touches_edge": bool(organs.touches_edge),
        },
        **({"mask_edited": True} if analysis.mask_edited else {}),
        "spleen": None if organs.spleen_ml is None else {"volume_ml": float(organs.spleen_ml)},
        "segmentation_quality": {"ensemble_dice": _number(organs.ensemble_dice)} | _predicted(organs),
        **_fibrosis(analysis),
        "models": {"segmenter": _model(analysis.segmenter), "classifier": _model(analysis.classifier)},
        "warnings": [{"code": w.code, "message": w.message} for w in analysis.warnings],
        "timings_s": {stage: round(float(seconds), 3) for stage, seconds in analysis.timings_s.items()},
    }


def _fibrosis(analysis: Analysis) -> dict[str, Any]:
    """``fibrosis``, or null with ``not_classified``: the code and the reason of each kind of fault."""
    fibrosis = analysis.fibrosis
    if fibrosis is None:
        reasons = [{"code": w.code, "reason": w.message} for w in analysis.not_classified]
        return {"fibrosis": None, "not_classified": reasons}
    return {
        "fibrosis": {
            "positive_class": fibrosis.positive_class,
            "probability": float(fibrosis.probability),
            "ensemble_range": [float(p) for p in fibrosis.ensemble_range],
            "threshold": float(fibrosis.threshold),
            "advanced": bool(fibrosis.advanced),
            "unreliable": analysis.unreliable,
            **_doubt(fibrosis),
            **_heat(analysis),
            "slices": [{"z": int(s.z), "weight": float(s.weight)} for s in fibrosis.slices],
        }
    }


def _predicted(organs: OrganMask) -> dict[str, Any]:
    """Absent where there is no score, or no prediction."""
    if organs.score is None:
        return {}
    dice = {} if organs.predicted_dice is None else {"predicted_dice": float(organs.predicted_dice)}
    hd95 = {} if organs.predicted_hd95_mm is None else {"predicted_hd95_mm": round(float(organs.predicted_hd95_mm), 1)}
    return (
        dice
        | hd95
        | {
            "score": organs.score,
            "reasons": [*map(doubt_words, organs.doubts), *organs.reasons],
            "doubts": [_region(doubt) for doubt in organs.doubts],
        }
    )


def _region(doubt: MaskDoubt) -> dict[str, Any]:
    return {
        "kind": doubt.kind,
        "first_slice": int(doubt.first_slice) + 1,
        "last_slice": int(doubt.last_slice) + 1,
        "side": doubt.side,
        "volume_ml": round(float(doubt.volume_ml), 1),
    }


def _doubt(fibrosis: Fibrosis) -> dict[str, Any]:
    """Each absent where the model has no indeterminate zone or the mask was not varied."""
    doubt: dict[str, Any] = {}
    if fibrosis.indeterminate is not None:
        doubt["indeterminate"] = [float(p) for p in fibrosis.indeterminate]
        doubt["is_indeterminate"] = bool(fibrosis.is_indeterminate)
    if fibrosis.mask_sensitivity is not None:
        doubt["mask_sensitivity"] = [float(p) for p in fibrosis.mask_sensitivity]
    return doubt


def _heat(analysis: Analysis) -> dict[str, Any]:
    """``no_heat_map`` says why there is none, where the classifier has none."""
    if analysis.heatmap is None:
        return {"heat_outside_liver": None, "no_heat_map": heat_words(analysis)}
    return {"heat_outside_liver": _number(analysis.heatmap.heat_outside_liver)}


def _model(model: ModelInfo) -> dict[str, str]:
    # The note goes wherever the result goes: a probability must not travel without its meaning.
    return {"name": model.name, "sha256": model.sha256, "trained_on": model.trained_on, "note": model.note}


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)
