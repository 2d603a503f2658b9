"""Files of an analysis: NIfTI, JSON, and a one-page report."""

from pipeline.exports.analysis_files import write_analysis
from pipeline.exports.analysis_json import analysis_json

__all__ = ["analysis_json", "write_analysis"]
