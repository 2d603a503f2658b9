"""Errors that we can explain to the user.

Every message is one sentence that says what to do, and holds no path, no file name and nothing about the patient: it is
shown on the page and printed by the command line as it is.
"""


class PipelineError(Exception):
    """A fault that we can explain to the user. The base of every error below."""


class InputError(PipelineError):
    """The upload cannot be read as an image: wrong kind of file, damaged, or too large."""


class SeriesError(InputError):
    """A DICOM series does not form one regular MR volume."""


class SegmentationError(PipelineError):
    """No usable liver was found in the volume."""


class ModelError(PipelineError):
    """A model is missing, damaged, or does not fit this software."""


class ManifestError(PipelineError):
    """A manifest or data folder given to a command is wrong; the message names the row or file."""


class ReviewError(PipelineError):
    """A review is incomplete or could not be stored."""


class Cancelled(PipelineError):  # noqa: N818 - not a fault, but it ends a run the same way
    """The user stopped the analysis."""
