"""What readers say of analyses, and where it is kept."""

from pipeline.reviews.record import COLUMNS, Review, check
from pipeline.reviews.store import ReviewStore

__all__ = ["COLUMNS", "Review", "ReviewStore", "check"]
