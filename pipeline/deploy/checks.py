"""What is checked before anything is sent; every fault is one sentence that says what to do."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pipeline.deploy.examples import example_faults
from pipeline.deploy.files import AppFiles, allowed
from pipeline.deploy.secret_patterns import is_dicom, secret_in, suspicious_name

LARGEST = 10_000_000
"""Bytes of the largest file that a Space takes without LFS."""
PYTHON = "3.12"
"""Python of the Space; ZeroGPU has 3.10 and 3.12."""
SPACE = {
    "python_full_version": "3.12.12",
    "python_version": PYTHON,
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "os_name": "posix",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "extra": "",
}
"""A Space as the markers of requirements.txt see it."""
COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
NEEDED = ("app.py", "README.md", "LICENSE", "requirements.txt")
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
UV_TIMEOUT_S = 120
NO_ANSWER = ("network was disabled", "not found in the cache")
"""Words of uv where it could not look a package up."""


def faults_of(files: AppFiles, own_token: str | None = None) -> list[str]:
    """Everything that speaks against deploying these files; empty where nothing does.

    Args:
        own_token: the token of whoever deploys, which no file may hold.
    """
    missing = [f"{name} is missing: restore it." for name in NEEDED if name not in files.paths]
    return [
        *missing,
        *(f"{path} is not committed: commit it or undo the change." for path in files.uncommitted),
        *(fault for path in files.paths for fault in _file_faults(files, path, own_token)),
        *_names(files),
        *([] if missing else [*header_faults(files.root), *requirement_faults(files.root / "requirements.txt")]),
    ]


def _file_faults(files: AppFiles, path: str, own_token: str | None) -> Iterator[str]:
    """Faults of one file that would be sent."""
    file = files.root / path
    if file.is_symlink():
        yield f"{path} is a link: put the file itself there."
        return
    size = files.size(path)
    if size > LARGEST:
        yield f"{path} has {size / 1e6:.1f} MB: a Space takes files up to {LARGEST / 1e6:.0f} MB."
        return
    content = file.read_bytes()
    if content.startswith(LFS_POINTER):
        yield f"{path} is a pointer of Git LFS and not the file: run git lfs pull."
    if is_dicom(content):
        yield f"{path} is a DICOM file: take it out, it may hold a patient's images."
    yield from example_faults(files.root, path)
    if what := secret_in(content, own_token):
        yield f"{path} holds what looks like {what}: take it out, and revoke it if it was ever committed."


def _names(files: AppFiles) -> Iterator[str]:
    """Faults by name, in what is sent and in what lies beside it: a public checkout is as public as the Space."""
    for path in (*files.paths, *files.others):
        if why := suspicious_name(path):
            yield f"{path} {why}: move it out of the app's folder" + (
                "." if allowed(path) else "; it would not be sent, but should not lie there."
            )


def header_faults(root: Path) -> Iterator[str]:
    """Faults of the YAML header of README.md, which configures the Space."""
    header = _header(root / "README.md")
    if header is None:
        yield "README.md does not begin with a YAML header between two lines of ---: a Space is configured by it."
        return
    pinned = _pins(root / "requirements.txt").get("gradio", "")
    wanted = {"sdk": "gradio", "sdk_version": pinned, "python_version": PYTHON, "app_file": "app.py"}
    for name, value in wanted.items():
        if value and header.get(name) != value:
            yield f'README.md: {name} must be "{value}", and is {_shown(header.get(name))}.'
    for name in ("title", "license", "emoji"):
        if not isinstance(header.get(name), str) or not header[name].strip():
            yield f"README.md: the header has no {name}."
    for name in ("colorFrom", "colorTo"):
        if header.get(name, COLOURS[0]) not in COLOURS:
            yield f"README.md: {name} must be one of {', '.join(COLOURS)}."
    if len(str(header.get("short_description", ""))) > 60:
        yield "README.md: short_description has more than 60 characters, which the Hub refuses."


def _header(readme: Path) -> dict[str, Any] | None:
    import yaml
    from huggingface_hub import metadata_load

    try:
        header = metadata_load(readme)
    except (ValueError, yaml.YAMLError, UnicodeDecodeError):
        return None
    return header if isinstance(header, dict) else None


def _shown(value: object) -> str:
    return "missing" if value is None else f'"{value}"' if isinstance(value, str) else f"{value} without quotes"


def requirement_faults(file: Path) -> Iterator[str]:
    """Faults of requirements.txt on the Space's Python, as far as they show without a package index."""
    faults = [fault for line in _requirements(file) if (fault := _line_fault(line))]
    if "gradio" not in _pins(file):
        faults.append(f"requirements.txt: gradio is not pinned for Python {PYTHON}; run make lock.")
    yield from faults
    if not faults and (fault := _unresolved(file)):
        yield fault


def _line_fault(line: str) -> str | None:
    requirement = _parsed(line)
    if requirement is None:
        return f"requirements.txt: {line!r} is no plain requirement; write NAME==VERSION."
    if requirement.url:
        return f"requirements.txt: {requirement.name} comes from an address; write NAME==VERSION."
    if [spec.operator for spec in requirement.specifier] != ["=="]:
        return f"requirements.txt: {requirement.name} is not pinned; run make lock."
    return None


def _requirements(file: Path) -> Iterator[str]:
    """Requirement lines, without comments."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if text := re.split(r"(?:^|\s)#", line)[0].strip():
            yield text


def _parsed(line: str) -> Requirement | None:
    try:
        return Requirement(line)
    except InvalidRequirement:
        return None


def _pins(file: Path) -> dict[str, str]:
    """Version by name of what the Space will install."""
    found = filter(None, map(_parsed, _requirements(file)))
    there = [one for one in found if one.marker is None or one.marker.evaluate(dict(SPACE))]
    return {canonicalize_name(one.name): spec.version for one in there for spec in one.specifier}


def _unresolved(file: Path) -> str | None:
    """uv's word on whether the pins agree on the Space's Python; None where they do, or it cannot tell offline."""
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.is_file() else shutil.which("uv")
    if uv is None:
        return None
    command = [uv, "pip", "compile", "--offline", "--no-header", "--python-version", PYTHON, "--python-platform"]
    try:
        answer = subprocess.run(
            [*command, "x86_64-manylinux_2_28", str(file)],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=UV_TIMEOUT_S,
            cwd=file.parent,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    if answer.returncode == 0 or any(words in answer.stderr for words in NO_ANSWER):
        return None
    reason = " ".join(re.sub(r"[^\x20-\x7e]+", " ", answer.stderr).split())
    return f"requirements.txt cannot be installed on Python {PYTHON}: {reason[:300]}"
