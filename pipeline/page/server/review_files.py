"""Where the page keeps reviews and what was shown: a folder, and its copy at the Hub if one is set."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.page.server.settings import PageSettings
from pipeline.reviews import ReviewStore
from pipeline.reviews.hub import HubCopy, HubTarget
from pipeline.reviews.shown import ShownLedger


@dataclass(frozen=True)
class ReviewFiles:
    """The store, the ledger beside it, and their copy."""

    store: ReviewStore
    shown: ShownLedger
    copy: HubCopy | None = None

    def unpushed_words(self) -> str:
        """A sentence on reviews that are on this server only; empty if there are none or no copy is kept."""
        return self.copy.words() if self.copy else ""


def open_review_files(settings: PageSettings) -> ReviewFiles:
    """Open the folder; with a data set, read its files back first.

    Raises:
        ReviewError: the data set is public or cannot be opened.
    """
    store, shown = ReviewStore(settings.reviews), ShownLedger(settings.reviews)
    if not settings.reviews_dataset:
        return ReviewFiles(store, shown)
    target = HubTarget(
        settings.reviews_dataset,
        settings.hub_token,
        allow_public=settings.reviews_public,
        every_s=settings.reviews_push_s,
    )
    return ReviewFiles(store, shown, HubCopy(store, shown, target))
