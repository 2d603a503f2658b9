"""Which files go to a Space: those that the running app needs, by a list of what is allowed."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from models.install import FILES as MODEL_FILES
from models.install import INDEX
from pipeline.errors import DeployError

ALLOWED = (
    "app.py",
    "README.md",
    "LICENSE",
    "NOTICE",
    "requirements.txt",
    "packages.txt",
    "pipeline/**/*.py",
    "pipeline/**/*.j2",
    "models/**/*.py",
    "models/cards/*.j2",
    *(f"models/*/{name}" for name in MODEL_FILES),
    "models/*/*/model*.safetensors",
    f"models/*/*/{INDEX}",
    "assets/*.css",
    "assets/viewer/**/*.js",
    "assets/package.json",
    "assets/package-lock.json",
    "assets/examples/**/*.nii.gz",
    "assets/examples/**/*.zip",
)
"""Paths relative to the app's folder; ``*`` stays within a folder, ``**/`` is any number of folders."""
NOT_OURS = (".git", ".venv", "node_modules", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache")
"""Folders that other programs make; nothing in them is looked at where there is no git."""


@dataclass(frozen=True)
class AppFiles:
    """The files of an app's folder."""

    root: Path
    paths: tuple[str, ...]
    """What goes to the Space, relative to ``root``, with ``/``."""
    others: tuple[str, ...]
    """What else the folder or its git holds, ignored files not counted."""
    uncommitted: tuple[str, ...]
    """Files that would go along but differ from the last commit, or are not in it."""

    def size(self, path: str) -> int:
        """Bytes."""
        return (self.root / path).stat().st_size


def files_of(root: Path) -> AppFiles:
    """List what would go to a Space: committed files of a git checkout, or the files of a plain folder.

    Raises:
        DeployError: this is no folder of the app, or git does not answer.
    """
    if not (root / "app.py").is_file():
        raise DeployError("This folder does not hold the app: there is no app.py in it.")
    tracked = _tracked(root)
    if tracked is None:
        found = sorted(_plain(root))
        return AppFiles(root, tuple(filter(allowed, found)), tuple(p for p in found if not allowed(p)), ())
    # Tracked as they are: a change that git was told to overlook would go along unseen.
    changed = {*_git(root, "diff", "--name-only", "--relative", "-z", "HEAD"), *_overlooked(root)}
    new = _git(root, "ls-files", "--others", "--exclude-standard", "-z")
    there = [path for path in tracked if os.path.lexists(root / path)]
    return AppFiles(
        root,
        tuple(filter(allowed, there)),
        tuple(path for path in there if not allowed(path)),
        tuple(sorted(path for path in (*changed, *new) if allowed(path))),
    )


def allowed(path: str) -> bool:
    """Whether the running app needs this file."""
    return any(pattern.fullmatch(path) for pattern in _PATTERNS)


def _pattern(glob: str) -> re.Pattern[str]:
    """``Path.full_match`` of Python 3.13 for our two wildcards; a name that begins with a dot matches neither."""
    parts = re.split(r"(\*\*/|\*)", glob)
    words = {"**/": r"(?:[^/.][^/]*/)*", "*": r"[^/.][^/]*?" if glob.startswith("*") else r"[^/]*?"}
    return re.compile("".join(words.get(part, re.escape(part)) for part in parts))


_PATTERNS = tuple(map(_pattern, ALLOWED))


def _plain(root: Path) -> Iterable[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in NOT_OURS]
        for name in names:
            yield (Path(folder) / name).relative_to(root).as_posix()


def _tracked(root: Path) -> list[str] | None:
    """Files that git tracks in the folder; None where the folder is not in git, or git ignores or does not know it."""
    if not any((folder / ".git").exists() for folder in (root.resolve(), *root.resolve().parents)):
        return None
    tracked = _git(root, "ls-files", "-z")
    return tracked if "app.py" in tracked else None


def _overlooked(root: Path) -> list[str]:
    """Files marked ``assume-unchanged`` or ``skip-worktree``, whose changes git does not report."""
    marked = _git(root, "ls-files", "-v", "-z")
    return [line[2:] for line in marked if line[:1].islower() or line[:1] == "S"]


def _git(root: Path, *arguments: str) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, check=True, timeout=60, env=environment
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise DeployError(
            "git does not answer, which says what is committed: install it, commit once, or deploy a plain copy."
        ) from error
    return [name for name in answer.stdout.decode("utf-8", "surrogateescape").split("\0") if name]
