"""Readers' reviews of analyses, and their store."""

from pipeline.reviews.record import COLUMNS, Review, check
from pipeline.reviews.store import ReviewStore

__all__ = ["COLUMNS", "Review", "ReviewStore", "check"]
