"""Reviews kept in a private data set of the Hugging Face Hub, for servers whose disk is lost at a restart.

At start all earlier files are read back; then this process's files are pushed as they grow. A review is acknowledged
once it is on this server's disk; ``HubCopy.unpushed`` counts those that are nowhere else yet.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import tempfile
import threading
from pathlib import Path

from filelock import FileLock, Timeout
from huggingface_hub import CommitScheduler, HfApi
from huggingface_hub import errors as hub
from huggingface_hub.hf_api import RepoFile

from pipeline.errors import ReviewError
from pipeline.reviews import shown, store
from pipeline.reviews.csv_rows import END
from pipeline.reviews.hub_client import FAULTS, HubTarget, download, kind_of, set_patience, until_answered
from pipeline.reviews.shown import ShownLedger
from pipeline.reviews.store import ReviewStore

FIRST_RETRY_S, LAST_RETRY_S = 5.0, 300.0
CLOSE_S = 20.0
"""Longest wait for the last push, s: a Space is killed 30 s after it was asked to stop."""
HEADER_MOST = 8192
"""Bytes within which a file's header ends."""
log = logging.getLogger(__name__)


class HubCopy:
    """The copy at the Hub of the reviews and of what was shown."""

    def __init__(self, reviews: ReviewStore, ledger: ShownLedger, target: HubTarget) -> None:
        """Read the earlier files back into the folder, then push what is new until ``close``.

        Raises:
            ReviewError: the data set is public, cannot be reached, or must not be written.
        """
        set_patience()
        api = HfApi(token=target.token)
        private = until_answered(lambda: _is_private(api, target.dataset), target)
        if not private and not target.allow_public:
            raise ReviewError(
                f"The data set {target.dataset} is public: make it private at the Hub, or set "
                "FIBROREVIEW_REVIEWS_PUBLIC=1 if everyone may read the reviews."
            )
        reviews.folder.mkdir(parents=True, exist_ok=True)
        stored = until_answered(lambda: _read_back(api, target.dataset, reviews.folder), target)
        self._locks = [_owner_lock(reviews.file)]
        self._locks[0].acquire(blocking=False)
        mine = [reviews.file, ledger.file, *self._leftovers(reviews.folder, stored)]
        self._pusher = until_answered(lambda: _Pusher(api, target, reviews.folder, mine), target)
        reviews.writing = ledger.writing = self._pusher.lock
        atexit.register(self.close)

    def _leftovers(self, folder: Path, stored: dict[str, int]) -> list[Path]:
        """Files of processes that ended before their last push; those of living ones are theirs to push."""
        found = []
        for path in [*folder.glob(store.PATTERN), *folder.glob(shown.PATTERN)]:
            if stored.get(path.name) == path.stat().st_size:
                continue
            lock = _owner_lock(path)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            self._locks.append(lock)
            found.append(path)
        return found

    def unpushed(self) -> int:
        """Number of acknowledged reviews that are not stored outside this server yet."""
        return self._pusher.unpushed()

    def words(self) -> str:
        """A sentence on what is not pushed yet; empty if all is."""
        count = self.unpushed()
        if not count:
            return ""
        said = f"{count} review{'s' if count > 1 else ''} not yet stored outside this server"
        return f"{said}: the last attempt failed and will be repeated." if self._pusher.failures else f"{said}."

    def push(self) -> bool:
        """Push now; whether all is stored at the Hub."""
        return self._pusher.push_now()

    def close(self, within_s: float = CLOSE_S) -> None:
        """Push for the last time, within this time, and stop. Once is enough."""
        atexit.unregister(self.close)
        self._pusher.close(within_s)
        for lock in self._locks:
            lock.release(force=True)
        if count := self.unpushed():
            log.error("%d reviews were not stored outside this server.", count)


class _Pusher(CommitScheduler):
    """A scheduler that does not hide failures: it counts them, retries sooner, and asks the Hub what it has stored."""

    def __init__(self, api: HfApi, target: HubTarget, folder: Path, mine: list[Path]) -> None:
        self.mine, self.every_s = mine, target.every_s
        self.failures = 0
        self._stored: dict[str, int] = {}
        self._pushing, self._wake = threading.Lock(), threading.Event()
        self._closing, self._closed = threading.Event(), threading.Event()
        super().__init__(
            repo_id=target.dataset,
            repo_type="dataset",
            folder_path=folder,
            every=target.every_s / 60,
            private=True,
            allow_patterns=[path.name for path in mine],
            hf_api=api,
        )
        atexit.unregister(self._push_to_hub)  # waits for a Hub that does not answer; ``close`` does not

    def _run_scheduler(self) -> None:
        """Push at every interval, sooner after a failure, and once more at the end."""
        while not self._closing.is_set():
            self.push_now()
            retry_s = min(FIRST_RETRY_S * 2 ** min(max(self.failures - 1, 0), 10), LAST_RETRY_S)
            self._wake.wait(retry_s if self.failures else self.every_s)
        self.push_now()
        self._closed.set()

    def push_now(self) -> bool:
        """Push what is new and check that it is stored. Never raises."""
        with self._pushing:
            try:
                sizes = {path: path.stat().st_size for path in self._files()}
                waiting = {path: size for path, size in sizes.items() if self._stored.get(path.name, 0) < size}
                for path in waiting:
                    self.last_uploaded.pop(self.folder_path / path.name, None)
                if waiting:
                    self.push_to_hub()
                    self._verify(waiting)
            except (*FAULTS, ReviewError) as error:
                self.failures += 1
                log.warning("push of the reviews: %s, failure %d in a row", kind_of(error), self.failures)
                return False
            self.failures = 0
            return True

    def unpushed(self) -> int:
        return sum(_rows_behind(path, self._stored.get(path.name, 0)) for path in self._files() if _holds_reviews(path))

    def close(self, within_s: float) -> None:
        self._closing.set()
        self._wake.set()
        self._closed.wait(within_s)

    def _files(self) -> list[Path]:
        return [path for path in self.mine if path.exists()]

    def _verify(self, sent: dict[Path, int]) -> None:
        """Ask the Hub what it has of our files. ``sent``: the least size of each, bytes.

        Raises:
            ReviewError: it stored less or something else.
        """
        entries = self.api.get_paths_info(self.repo_id, [path.name for path in sent], repo_type="dataset")
        there = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
        equal = {path: there[path.name].size for path in sent if path.name in there and _equal(path, there[path.name])}
        self._stored.update({path.name: size for path, size in equal.items()})
        if any(equal.get(path, 0) < size for path, size in sent.items()):
            raise ReviewError("The Hub stored something else than was sent.")


def _is_private(api: HfApi, dataset: str) -> bool:
    """Whether the data set is private; one that does not exist is made so."""
    try:
        return bool(api.dataset_info(dataset).private)
    except hub.HfHubHTTPError as error:
        if error.response.status_code != 404:
            raise
    api.create_repo(dataset, repo_type="dataset", private=True)
    return bool(api.dataset_info(dataset).private)


def _read_back(api: HfApi, dataset: str, folder: Path) -> dict[str, int]:
    """Copy all files of the data set into the folder; sizes of what is equal in both, by name.

    Where both sides have a file of that name, the longer one is kept; if neither continues the other, both are.
    """
    sizes = {}
    with tempfile.TemporaryDirectory(prefix=".hub-", dir=folder) as copy:
        patterns = [store.PATTERN, shown.PATTERN]
        download(api, dataset, Path(copy))
        for theirs in [file for pattern in patterns for file in sorted(Path(copy).glob(pattern))]:
            ours, content = folder / theirs.name, theirs.read_bytes()
            local = ours.read_bytes() if ours.exists() else b""
            if local.startswith(content) and len(local) > len(content):
                continue
            if not content.startswith(local):
                digest = hashlib.sha256(local).hexdigest()[:32]
                ours.rename(ours.with_name(f"{ours.name.partition('-')[0]}-{digest}.csv"))
            theirs.replace(ours)
            sizes[ours.name] = len(content)
    return sizes


def _owner_lock(path: Path) -> FileLock:
    """Held by the process that writes this file; the system releases it when the process ends."""
    return FileLock(path.with_suffix(".owner"))


def _holds_reviews(path: Path) -> bool:
    return path.name.startswith(f"{store.KIND}-")


def _rows_behind(path: Path, start: int) -> int:
    """Number of rows that end behind ``start``: each has one CR LF, at its end."""
    with open(path, "rb") as file:
        header_end = file.read(HEADER_MOST).find(END.encode()) + len(END)
        file.seek(max(start - 1, 0))  # a line end of which only the CR is there has not ended
        ends = file.read().count(END.encode())
    return max(ends - 1, 0) if start < header_end else ends


def _equal(path: Path, entry: RepoFile) -> bool:
    """Whether the Hub's file is how ours begins, by the hash that the Hub gives; empty is not."""
    with open(path, "rb") as file:
        content = file.read(entry.size)
    if entry.lfs:
        return hashlib.sha256(content).hexdigest() == entry.lfs.sha256
    return entry.size > 0 and hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == entry.blob_id
