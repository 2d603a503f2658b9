"""The Hub's part of a deployment: create or update the Space and the private data set of its reviews."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx2
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    SpaceHardware,
    constants,
    set_client_factory,
)
from huggingface_hub import errors as hub
from huggingface_hub.utils import validate_repo_id
from huggingface_hub.utils._http import default_client_factory

from pipeline.deploy.files import AppFiles
from pipeline.errors import DeployError

ANSWER_S = 60.0
"""Longest wait for the Hub to take or send the next bytes, s."""
REVIEWS_VARIABLE, TOKEN_SECRET, KEY_SECRET = "FIBROREVIEW_REVIEWS_DATASET", "HF_TOKEN", "FIBROREVIEW_SITE_KEY"
"""What the app reads on a Space: the data set of its reviews, the token for it, and the key of its case ids, which
would else change with every restart."""
OURS = "pipeline/page/layout.py"
"""A file by which a Space is known to hold this app."""
EMPTY = frozenset({".gitattributes", "README.md"})
"""What a new Space holds."""
HARDWARE = tuple(kind.value for kind in SpaceHardware)


@dataclass(frozen=True)
class Target:
    """Where and how the app is deployed."""

    space: str
    """``OWNER/NAME``."""
    hardware: str | None = None
    """A name of ``HARDWARE``; None leaves it as it is."""
    reviews: str | None = None
    """``OWNER/DATASET`` of the reviews."""
    private: bool = False
    """Hide the Space; a private one stays private without it."""
    token: str | None = field(default=None, repr=False)
    """For the Hub; by default that of ``hf auth login``."""
    reviews_token: str | None = field(default=None, repr=False)
    """The Space's own token, which may write to ``reviews`` and to nothing else."""


def target_faults(target: Target) -> list[str]:
    """What is wrong with the target's own words, without asking the Hub."""
    faults = []
    for name in filter(None, (target.space, target.reviews)):
        try:
            validate_repo_id(name)
            valid = name.count("/") == 1
        except hub.HFValidationError:
            valid = False
        if not valid:
            faults.append(f"{name!r} is no name on the Hub: write OWNER/NAME.")
    if target.hardware not in (None, *HARDWARE):
        faults.append(f"There is no hardware {target.hardware!r}: name one of {', '.join(HARDWARE)}.")
    return faults


def deploy(files: AppFiles, target: Target, report: Callable[[str], None], *, answer_s: float = ANSWER_S) -> str:
    """Create or update the Space, and return its address. A run that was cut off is taken up by the next.

    Args:
        files: checked by ``faults_of``.
        report: called with a sentence before each part.
        answer_s: see ``ANSWER_S``.

    Raises:
        DeployError: the Hub refuses, does not answer, or holds something else under one of the names.
    """
    api = HfApi(token=target.token)
    with _patience(answer_s):
        with _asked("log in", "your account"):
            api.whoami()
        if target.reviews:
            report(f"Data set of the reviews: {target.reviews}")
            _reviews(api, target.reviews)
        report(f"Space: {target.space}")
        _space(api, target)
        _settings(api, target)
        report(f"Sending {len(files.paths)} files, {sum(map(files.size, files.paths)) / 1e6:.1f} MB")
        _upload(api, files, target.space)
        if target.hardware:
            report(f"Hardware: {target.hardware}")
            with _asked("give this hardware", target.space):
                if api.get_space_runtime(target.space).requested_hardware != target.hardware:
                    api.request_space_hardware(target.space, SpaceHardware(target.hardware))
    return f"{api.endpoint}/spaces/{target.space}"


def _reviews(api: HfApi, name: str) -> None:
    """Create the data set, private; one that is there must be private too."""
    with _asked("create the data set", name):
        if not api.repo_exists(name, repo_type="dataset"):
            api.create_repo(name, repo_type="dataset", private=True)
        if not api.dataset_info(name).private:
            raise DeployError(f"The data set {name} is public: make it private or name another one with --reviews.")


def _space(api: HfApi, target: Target) -> None:
    """Create the Space; one that is there must be empty or hold this app."""
    name = target.space
    with _asked("create the Space", name):
        if not api.repo_exists(name, repo_type="space"):
            api.create_repo(name, repo_type="space", space_sdk="gradio", private=target.private or None)
        there = set(api.list_repo_files(name, repo_type="space"))
        if there - EMPTY and OURS not in there:
            raise DeployError(f"The name is taken: the Space {name} holds another app; choose another name.")
        if target.private and not api.space_info(name).private:
            api.update_repo_settings(name, repo_type="space", private=True)


def _settings(api: HfApi, target: Target) -> None:
    """Set secrets and variables before the files arrive, so that the first start has them."""
    with _asked("set the Space's secrets", target.space):
        there = api.get_space_secrets(target.space)
        if KEY_SECRET not in there:
            api.add_space_secret(target.space, KEY_SECRET, secrets.token_hex(32))
        if not target.reviews:
            return
        if target.reviews_token:
            api.add_space_secret(target.space, TOKEN_SECRET, target.reviews_token)
        elif TOKEN_SECRET not in there:
            raise DeployError(
                f"The Space needs a token of its own for {target.reviews}: make one at the Hub that may write to this "
                "data set only, and give it in the variable FIBROREVIEW_REVIEWS_TOKEN."
            )
        api.add_space_variable(target.space, REVIEWS_VARIABLE, target.reviews)


def _upload(api: HfApi, files: AppFiles, name: str) -> None:
    """One commit that makes the Space hold these files and no others."""
    with _asked("take the files", name):
        head = api.space_info(name)
        there = {sibling.rfilename for sibling in head.siblings or ()}
        stale = sorted(there - set(files.paths) - {".gitattributes"})
        api.create_commit(
            name,
            [
                *(CommitOperationAdd(path, str(files.root / path)) for path in files.paths),
                *(CommitOperationDelete(path, is_folder=False) for path in stale),
            ],
            commit_message="Deploy FibroReview",
            repo_type="space",
            parent_commit=head.sha,
        )


@contextmanager
def _patience(answer_s: float) -> Iterator[None]:
    """Let no request wait for ever, as the Hub's client does by default.

    Xet, which it prefers for binary files, knows no such limit: 36 MB go as well by LFS.
    """

    def client() -> httpx2.Client:
        made = default_client_factory()
        made.timeout = httpx2.Timeout(answer_s)
        return made

    set_client_factory(client)
    before, constants.HF_HUB_DISABLE_XET = constants.HF_HUB_DISABLE_XET, True
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_XET = before
        set_client_factory(default_client_factory)


@contextmanager
def _asked(what: str, name: str) -> Iterator[None]:
    """Turn the Hub's answers into sentences. ``what`` was asked of it, as in "the Hub did not ..."."""
    try:
        yield
    except DeployError:
        raise
    except (httpx2.HTTPError, OSError, ValueError, RuntimeError) as error:
        # The client wraps the fault of an upload into a RuntimeError.
        wrapped = isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception)
        raise DeployError(_sentence(error.__cause__ if wrapped else error, what, name)) from error


def _sentence(error: BaseException | None, what: str, name: str) -> str:
    match error:
        case hub.HfHubHTTPError():
            return _status_sentence(error, what, name)
        case hub.LocalTokenNotFoundError():
            return "You are not logged in to the Hub: run hf auth login with a token that may write."
        case httpx2.TimeoutException() | TimeoutError():
            return f"The Hub did not {what} in time ({name}): check the network and run the command again; it goes on."
        case ValueError():
            return f"The Hub's answer cannot be read, or it refuses the header of README.md ({name})."
    return f"The Hub could not be reached to {what} ({name}): check the network and run the command again."


def _status_sentence(error: hub.HfHubHTTPError, what: str, name: str) -> str:
    status = error.response.status_code
    if status == 401:
        return "The Hub does not accept your token: run hf auth login with a token that may write."
    if status in (402, 403):
        return f"The Hub does not let you {what} ({name}): check your rights, plan and token there."
    if status == 404:
        return f"The Hub does not know {name}, or your token may not see it."
    if status in (409, 412):
        return f"The name {name} is taken, or somebody changes it right now: choose another, or run the command again."
    if status == 429:
        return "The Hub asks you to wait, after too many requests: run the command again later; it goes on."
    if status in (400, 413, 422):
        said = " ".join(str(error.server_message or "no reason given").split())
        return f"The Hub refuses to {what} ({name}): {said[:300]}"
    return f"The Hub has a fault ({status}) and did not {what} ({name}): run the command again later."
