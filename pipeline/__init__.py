"""FibroReview: from an uploaded liver MRI to a stored review."""

__version__ = "0.1.0"
