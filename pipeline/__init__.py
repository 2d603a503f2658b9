"""FibroReview: from an uploaded liver MRI to a stored review."""

__version__ = "0.1.0"
RESEARCH_USE = "Research use only. Not a medical device."
"""Stands on the page, on every report and in the command line's answers."""
