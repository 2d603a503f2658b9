from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_hub import TOKEN, FakeHub, fake_hub

README = """---
title: FibroReview
emoji: 🩻
sdk: gradio
sdk_version: 6.31.0
python_version: "3.12"
app_file: app.py
license: apache-2.0
---
# FibroReview
"""
CONTENT = {
    "app.py": "print('the page')\n",
    "README.md": README,
    "LICENSE": "Apache License\n",
    "requirements.txt": "gradio==6.31.0\n    # via -r requirements.in\nolder==0.2.2 ; python_full_version >= '3.13'\n",
    "pipeline/__init__.py": "",
    "pipeline/page/layout.py": "'''The page.'''\n",
    "pipeline/page/view/templates/card.html.j2": "<p>{{ words }}</p>\n",
    "models/liver/model.json": "{}\n",
    "models/liver/fold0/model.safetensors": "\0weights",
    "assets/style.css": "p {}\n",
    "assets/examples/one.nii.gz": "\0image",
    "tests/test_app.py": "assert True\n",
    "docs/readme.md": "Words.\n",
    "assets/screenshots/page.png": "\0png",
}
SENT = sorted(set(CONTENT) - {"tests/test_app.py", "docs/readme.md", "assets/screenshots/page.png"})


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A small app in a plain folder."""
    folder = tmp_path / "app"
    for name, text in CONTENT.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def checkout(plain: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same as a clean git checkout."""
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    git(plain, "init", "-q")
    git(plain, "add", "-A")
    git(plain, "commit", "-q", "-m", "Add the app")
    return plain


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with fake_hub() as made:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", made.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS", True)
        # The client waits seconds between its attempts.
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
        yield made
