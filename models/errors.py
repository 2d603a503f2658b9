"""Errors with a message for the user, as far as models raise them; ``pipeline.errors`` adds the others.

Every message is one sentence that says what to do, and holds no path, no file name and nothing about the patient: it is
shown on the page and printed by the command line as it is.
"""


class PipelineError(Exception):
    """An error with a message for the user; base of every error of this software."""


class ModelError(PipelineError):
    """A model is missing, damaged, or does not fit this software."""


class SegmentationError(PipelineError):
    """No usable liver was found in the volume."""
