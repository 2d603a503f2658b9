"""From untrusted bytes to a checked volume: list the series of an upload, choose one, read its voxels in LPS."""

import logging
import warnings

import gdcm
import pydicom
import SimpleITK as sitk

from pipeline.intake.archive import BUDGET, Budget
from pipeline.intake.checks import check_contrast
from pipeline.intake.identity import case_id, case_key, data_folder
from pipeline.intake.isolated import LIMITS, Limits, open_upload, read_series
from pipeline.intake.limits import GridLimits, grid_limits
from pipeline.intake.study import preselected

__all__ = [
    "BUDGET",
    "LIMITS",
    "Budget",
    "GridLimits",
    "Limits",
    "case_id",
    "case_key",
    "check_contrast",
    "data_folder",
    "grid_limits",
    "open_upload",
    "preselected",
    "read_series",
]

# These libraries quote headers and paths in their messages; a log must contain neither.
sitk.ProcessObject.SetGlobalWarningDisplay(False)
gdcm.Trace.WarningOff()
gdcm.Trace.ErrorOff()
for _name in ("pydicom", "highdicom"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=rf"{_name}(\.|$)")
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
