"""Install a model for this site: copy, check the copy, move it into place in one step.

A model comes from a folder or from a commit of a Hugging Face Hub repository. What is checked and installed is the
copy, so that nothing can change in between.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from huggingface_hub import errors as hub
from huggingface_hub import snapshot_download

from models import registry
from models.description import MEMBER, WEIGHTS
from models.errors import ModelError
from models.registry import ModelFolder

TryOut = Callable[[ModelFolder], None]
"""Loads one member of a model and runs it once; raises an error if that fails. ``pipeline.trial_run.try_out``."""

FILES = (
    *registry.DESCRIPTIONS,
    "quality.safetensors",  # its hash is in quality.json
    "MODEL_CARD.md",
    "training.toml",  # how it was trained: nothing of it is read for a prediction, so no hash names it
    "learning_curve.png",
    "evaluation.csv",
    "corruptions.csv",
    "corruptions_before.csv",
)
INDEX = "model.safetensors.index.json"
ALLOWED = re.compile("|".join([*map(re.escape, FILES), WEIGHTS, MEMBER + "/" + re.escape(INDEX)]), re.ASCII)
FETCHED = [*FILES, "fold*/model*.safetensors", f"fold*/{INDEX}"]
"""``ALLOWED`` as the Hub's patterns, which are wider; the files beyond ``ALLOWED`` are refused after the download."""
PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".joblib")
HUB = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40})", re.ASCII)
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)
FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Exceptions that libraries raise for a network description that they cannot build or run."""


def install(
    source: str, try_out: TryOut, *, name: str | None = None, sha256: str | None = None, replace: bool = False
) -> ModelFolder:
    """Install a model into ``registry.site_folder()``.

    Args:
        source: a model folder, or ``owner/name@COMMIT`` of the Hub with all 40 hex digits of the commit.
        try_out: see ``TryOut``.
        name: name at this site; by default that of the folder or repository.
        sha256: expected ``ModelFolder.whole_sha256``.
        replace: whether to replace an installed model of this name.

    Raises:
        ModelError: anything is wrong with the source or the name; what was installed before is unchanged.
    """
    name = name or _own_name(source)
    target = registry.site_folder() / name
    if not NAME.fullmatch(name):
        raise ModelError(f"{name!r} is no name for a model; use letters, digits, dots, hyphens and underscores.")
    if (registry.SHIPPED / name).exists():
        raise ModelError(f"The name {name} belongs to what ships with the app; choose another with --name.")
    if target.exists() and not replace:
        raise ModelError(f"A model of the name {name} is installed; choose another with --name, or give --replace.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".installing-", dir=target.parent) as beside:
            copy = Path(beside) / name
            _fetch(source, copy)
            model = check(copy, try_out)
            if sha256 is not None and model.whole_sha256 != sha256.lower():
                raise ModelError(f"The model's hash is {model.whole_sha256}, not the one that was asked for.")
            _put(copy, target)
    except OSError as error:
        raise ModelError("The model cannot be written into the site's model folder; make room or rights.") from error
    return registry.read(target)


def check(folder: Path, try_out: TryOut) -> ModelFolder:
    """Check an untrusted model folder: its files, their hashes, and a trial run of each network.

    Raises:
        ModelError: names the file or member, and what is wrong with it.
    """
    check_files(folder)
    model = registry.read(folder)
    stated = set(model.description.weights)
    present = {file.relative_to(folder).as_posix() for file in folder.glob("*/*.safetensors")}
    for name in sorted(stated ^ present):
        wrong = "is missing" if name in stated else "is not named in model.json"
        raise ModelError(f"The weight file {name} {wrong}.")
    for member in model.members:
        try:
            try_out(registry.read(folder, member))
        except ModelError as error:
            raise ModelError(f"{member} cannot be used. {error}") from error
        except FAULTS as error:
            raise ModelError(f"{member} cannot be built or run as the model's JSON files describe it.") from error
    return model


def check_files(folder: Path) -> None:
    """Refuse every file that does not belong into a model folder, pickles above all, before any is opened.

    Raises:
        ModelError: names the first such file.
    """
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.is_symlink():
            raise ModelError(f"The file {name} is a link; a model holds plain files.")
        if file.is_dir() or (file.is_file() and ALLOWED.fullmatch(name)):
            continue
        if file.suffix.lower() in PICKLES:
            raise ModelError(f"The file {name} may be a pickle, which can run code; a model holds safetensors only.")
        raise ModelError(f"The file {name} does not belong into a model; remove it.")


def _own_name(source: str) -> str:
    from_hub = HUB.fullmatch(source)
    return from_hub[1].split("/")[1] if from_hub and not Path(source).is_dir() else Path(source).resolve().name


def _fetch(source: str, copy: Path) -> None:
    """Copy or download the source's files to ``copy``, which does not exist yet."""
    if Path(source).is_dir():
        check_files(Path(source))
        try:
            shutil.copytree(source, copy, symlinks=True)
        except OSError as error:
            raise ModelError("The source cannot be read, or the site's model folder is full.") from error
        return
    pinned = HUB.fullmatch(source)
    if pinned is None:
        raise ModelError(
            "The source is neither a folder nor a pinned Hub repository; write OWNER/NAME@ and the 40 hex digits of a "
            "commit."
        )
    try:
        snapshot_download(pinned[1], revision=pinned[2], local_dir=copy, allow_patterns=FETCHED)
    except (OSError, hub.HTTPError, ValueError) as error:
        raise ModelError(
            "The Hub repository cannot be fetched; check its name, the commit, your rights and the network."
        ) from error
    shutil.rmtree(copy / ".cache", ignore_errors=True)  # metadata of the Hub client


def _put(copy: Path, target: Path) -> None:
    """Rename the checked copy to ``target``; if that fails, an older model there is restored."""
    old = copy.with_name(".old")
    if target.exists():
        target.rename(old)
    try:
        copy.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
