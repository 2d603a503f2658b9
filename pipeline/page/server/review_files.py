"""Where the page keeps reviews and what was shown: a folder, and its copy at the Hub if one is set."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from pipeline.intake.faults import describe
from pipeline.page.server.settings import PageSettings
from pipeline.reviews import ReviewStore
from pipeline.reviews.hub import HubCopy, HubTarget
from pipeline.reviews.shown import ShownLedger

log = logging.getLogger(__name__)


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
    copy = _open_copy(settings, store, shown) if settings.reviews_dataset else None
    # The first look reads every row; no reader has to wait for it.
    threading.Thread(target=_look, args=(store,), name="read-reviews", daemon=True).start()
    return ReviewFiles(store, shown, copy)


def _look(store: ReviewStore) -> None:
    try:
        store.damaged()
    except OSError as error:  # said to the reader at the first save
        log.warning("reviews at the start: %s", describe(error))


def _open_copy(settings: PageSettings, store: ReviewStore, shown: ShownLedger) -> HubCopy:
    """Raises as ``open_review_files``."""
    target = HubTarget(
        settings.reviews_dataset,
        settings.hub_token,
        allow_public=settings.reviews_public,
        every_s=settings.reviews_push_s,
    )
    return HubCopy(store, shown, target)
