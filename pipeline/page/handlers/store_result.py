"""Store an analysis in the case's private folder, and publish its files when the result is revealed."""

from __future__ import annotations

from pathlib import Path

from models.files import file_sha256
from models.registry import ModelInfo
from pipeline.case import Analysis
from pipeline.exports import write_analysis
from pipeline.exports.viewer_files import write_viewer_overlays
from pipeline.page.state.open_cases import OpenCase
from pipeline.page.state.session_state import StoredResult
from pipeline.page.view.result_card import result_html
from pipeline.page.view.slice_viewer import file_address

DOWNLOADS = {
    "Liver mask (NIfTI)": "liver_mask.nii.gz",
    "Heat map (NIfTI)": "heatmap.nii.gz",
    "All organs (NIfTI)": "organs.nii.gz",
    "analysis.json": "analysis.json",
    "Report (PDF)": "report.pdf",
}


def pack(analysis: Analysis, case: OpenCase) -> StoredResult:
    """Write all files of an analysis into the case's private folder and describe it. Nothing is served yet."""
    results, overlays = case.private / "results", case.private / "overlays"
    overlays.mkdir(exist_ok=True)
    write_analysis(analysis, results)
    about = write_viewer_overlays(analysis, overlays)
    case_id = analysis.volume.source.case_id
    there = {label: name for label, name in DOWNLOADS.items() if (results / name).exists()}
    links = {label: file_address(case.served / _name(case_id, name)) for label, name in there.items()}
    return StoredResult(
        case_id=case_id,
        probability=None if analysis.fibrosis is None else analysis.fibrosis.probability,
        threshold=None if analysis.fibrosis is None else analysis.fibrosis.threshold,
        segmenter=_model(analysis.segmenter),
        classifier=_model(analysis.classifier),
        mask_sha256=file_sha256(results / "liver_mask.nii.gz"),
        html=result_html(analysis, links),
        overlays=about,
        revealed=False,
        predicted_score=analysis.organs.score,
        predicted_dice=analysis.organs.predicted_dice,
    )


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


def _model(model: ModelInfo) -> str:
    return f"{model.name}@{model.sha256}"
