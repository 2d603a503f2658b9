"""Store an analysis in the case's private folder, and publish its files when the result is revealed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from models.files import file_sha256
from models.registry import ModelInfo
from pipeline.case import LIVER, SPLEEN, Analysis, OrganMask, view
from pipeline.exports import write_analysis
from pipeline.exports.viewer_files import write_viewer_heat, write_viewer_overlays
from pipeline.page.state.open_cases import OpenCase
from pipeline.page.state.session_state import StoredResult
from pipeline.page.view.result_card import MaskComparison, result_html
from pipeline.page.view.slice_viewer import file_address

DOWNLOADS = {
    "Liver mask (NIfTI)": "liver_mask.nii.gz",
    "Heat map (NIfTI)": "heatmap.nii.gz",
    "All organs (NIfTI)": "organs.nii.gz",
    "analysis.json": "analysis.json",
    "Report (PDF)": "report.pdf",
}
ORIGINALS = {"Model's liver mask (NIfTI)": "liver_mask.nii.gz", "Model's report (PDF)": "report.pdf"}
"""Downloads of the result on the segmenter's mask beside those of the result on a corrected one."""
LABELS = "labels.nii.gz"
"""The segmenter's organs on the volume's grid, in the private folder."""


def pack(analysis: Analysis, case: OpenCase, chosen: tuple[str, str] = ("", "")) -> StoredResult:
    """Write all files of an analysis into the case's private folder and describe it. Nothing is served yet.

    Args:
        chosen: names of segmenter and classifier, as they were chosen.
    """
    results, overlays = case.private / "results", case.private / "overlays"
    overlays.mkdir(exist_ok=True)
    write_analysis(analysis, results)
    sitk.WriteImage(analysis.organs.labels, str(case.private / LABELS), useCompression=True, compressionLevel=1)
    about = write_viewer_overlays(analysis, overlays)
    case_id = analysis.volume.source.case_id
    there = {label: name for label, name in DOWNLOADS.items() if (results / name).exists()}
    links = {label: file_address(case.served / _name(case_id, name)) for label, name in there.items()}
    return StoredResult(
        **_described(analysis),
        mask_sha256=file_sha256(results / "liver_mask.nii.gz"),
        html=result_html(analysis, links),
        overlays=_editable(about, case_id, 0),
        revealed=False,
        predicted_score=analysis.organs.score,
        predicted_dice=analysis.organs.predicted_dice,
        chosen=chosen,
        knows_spleen=analysis.organs.spleen_ml is not None,
    )


def _described(analysis: Analysis) -> dict[str, Any]:
    return {
        "case_id": analysis.volume.source.case_id,
        "probability": None if analysis.fibrosis is None else analysis.fibrosis.probability,
        "threshold": None if analysis.fibrosis is None else analysis.fibrosis.threshold,
        "segmenter": _model(analysis.segmenter),
        "classifier": _model(analysis.classifier),
    }


def _editable(overlays: Mapping[str, Any], case_id: str, turn: int) -> dict[str, Any]:
    """Overlays whose liver mask may be corrected. ``turn`` counts the classifications of this case."""
    return {**overlays, "edit": {"case": case_id, "turn": turn}}


def model_organs(case: OpenCase, result: StoredResult) -> OrganMask:
    """The segmenter's organs, as far as classifying a corrected mask needs them.

    Raises:
        OSError: they are not there any more.
    """
    try:
        labels = sitk.ReadImage(str(case.private / LABELS))
    except RuntimeError as error:  # SimpleITK's own text holds the full path
        raise OSError("The organs could not be read.") from error
    voxels = view(labels)
    voxel_ml = labels.GetSpacing()[0] * labels.GetSpacing()[1] * labels.GetSpacing()[2] / 1000
    return OrganMask(
        labels=labels,
        liver_ml=float((voxels == LIVER).sum()) * voxel_ml,
        spleen_ml=float((voxels == SPLEEN).sum()) * voxel_ml if result.knows_spleen else None,
        components=1,
        largest_component_share=1.0,
        touches_edge=False,
        score=result.predicted_score,
    )


def pack_correction(analysis: Analysis, case: OpenCase, shown: StoredResult, organs: OrganMask) -> StoredResult:
    """Write the files of an analysis on a corrected mask beside those of the segmenter's, and serve them.

    Args:
        shown: the revealed result before; ``organs``: the segmenter's.
    """
    from pipeline.statistics.overlap import dice  # loads scipy.ndimage, which the page starts without

    model, results = shown.on_models_mask, case.private / "results_edited"
    write_analysis(analysis, results)
    mask_sha256 = file_sha256(results / "liver_mask.nii.gz")
    there = {label: name for label, name in DOWNLOADS.items() if (results / name).exists()}
    for name in DOWNLOADS.values():
        _move(results / name, case.served / _name(model.case_id, _edited(name)))
    links = {
        **{label: file_address(case.served / _name(model.case_id, _edited(name))) for label, name in there.items()},
        **{label: file_address(case.served / _name(model.case_id, name)) for label, name in ORIGINALS.items()},
    }
    turn = shown.overlays["edit"]["turn"] + 1
    overlays = {**model.overlays, **write_viewer_heat(analysis, case.served, f"heat_{turn}.nii.gz")}
    compared = MaskComparison(
        probability=model.probability,
        liver_ml=organs.liver_ml,
        dice=dice(organs.liver, analysis.organs.liver),
    )
    return StoredResult(
        **_described(analysis),
        mask_sha256=mask_sha256,
        html=result_html(analysis, links, compared),
        overlays=_editable(overlays, model.case_id, turn),
        revealed=True,
        chosen=model.chosen,
        knows_spleen=model.knows_spleen,
        of_model=model,
    )


def without_correction(shown: StoredResult) -> StoredResult:
    """The revealed result on the segmenter's mask, again."""
    model = shown.on_models_mask
    turn = shown.overlays["edit"]["turn"] + 1
    return replace(model, revealed=True, overlays=_editable(model.overlays, model.case_id, turn))


def reveal(case: OpenCase, result: StoredResult) -> None:
    """Move overlays and downloads to where the page can fetch them. Files are named by the case."""
    for name in DOWNLOADS.values():
        _move(case.private / "results" / name, case.served / _name(result.case_id, name))
    for overlay in (case.private / "overlays").iterdir():
        _move(overlay, case.served / overlay.name)


def _move(file: Path, to: Path) -> None:
    if file.exists():
        file.replace(to)


def _name(case_id: str, name: str) -> str:
    return f"{case_id}_{name}"


def _edited(name: str) -> str:
    """``liver_mask_edited.nii.gz`` of ``liver_mask.nii.gz``."""
    stem, dot, suffix = name.partition(".")
    return f"{stem}_edited{dot}{suffix}"


def _model(model: ModelInfo) -> str:
    return f"{model.name}@{model.sha256}"
