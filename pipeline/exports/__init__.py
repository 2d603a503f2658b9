"""Files of an analysis: NIfTI, JSON, and a one-page report."""

from pipeline.exports.analysis_files import write_analysis
from pipeline.exports.analysis_json import analysis_json
from pipeline.exports.report import draw_report

__all__ = ["analysis_json", "draw_report", "write_analysis"]
