"""Errors that we can explain to the user: those of ``models.errors`` and of the pipeline's own rooms."""

from models.errors import ModelError, PipelineError, SegmentationError

__all__ = [
    "Cancelled",
    "ConfigError",
    "DeployError",
    "GpuError",
    "InputError",
    "ManifestError",
    "ModelError",
    "PipelineError",
    "ReadingsError",
    "ReviewError",
    "ScoreError",
    "SegmentationError",
    "SeriesError",
    "StudyError",
]


class InputError(PipelineError):
    """The upload cannot be read as an image: wrong kind of file, damaged, or too large."""


class SeriesError(InputError):
    """A DICOM series does not form one regular MR volume."""


class ManifestError(PipelineError):
    """A manifest or data folder given to a command is wrong; the message names the row or file."""


class ConfigError(PipelineError):
    """The configuration of a training or of the server is wrong; the message names the setting."""


class DeployError(PipelineError):
    """The app cannot be put on a Space; the message says what to do."""


class GpuError(PipelineError):
    """A GPU has too little memory, failed, or is not to be had."""


class ReadingsError(PipelineError):
    """The readings of a reader study cannot be analysed; the message says why, and names lines but no case."""


class ReviewError(PipelineError):
    """A review is incomplete or could not be stored."""


class ScoreError(PipelineError):
    """A score or probability that figures are to be computed from is not a finite number."""


class StudyError(PipelineError):
    """A reader study cannot be prepared, opened or analysed; the message says what to do."""


class Cancelled(PipelineError):  # noqa: N818 - not a fault, but it ends a run the same way
    """The user stopped the analysis."""
