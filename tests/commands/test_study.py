"""``python -m pipeline study init | check | invite``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipeline.__main__ import app
from pipeline.commands import study as command
from pipeline.reader_study.study_folder import StudyFolder
from tests.reader_study.prepared import MODELS, stand_in, write_cohort, write_readers


@pytest.fixture
def with_stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network runs."""
    monkeypatch.setattr(command, "_analyse", lambda *_: stand_in(tmp_path))
    monkeypatch.setattr(command, "_models", lambda *_: MODELS)


def init(tmp_path: Path, *options: str, cases: int = 2, practice: int = 1) -> Result:
    manifest = write_cohort(tmp_path / "cohort", cases=cases, practice=practice)
    given = ["study", "init", str(tmp_path / "study"), "--cases", str(manifest), "--seed", "3"]
    return CliRunner().invoke(app, [*given, "--readers", str(write_readers(tmp_path)), *options])


@pytest.mark.usefixtures("with_stand_in")
def test_init_says_what_will_happen_and_hands_out_invitations(tmp_path: Path) -> None:
    done = init(tmp_path, "--design", "crossover", "--address", "https://reading.example.org/")
    assert "Study study: crossover, 2 readers, 2 cases (1 with METAVIR >= F3), 1 for practice." in done.stdout
    assert "Each reader does 6 reads: two sittings, at least 28 days apart." in done.stdout
    links = re.findall(r"^(\w+)  https://reading\.example\.org/invite#(\S{32})$", done.stdout, re.MULTILINE)
    assert [code for code, _ in links] == ["R1", "R2", "K1"]
    assert not any(token in StudyFolder(tmp_path / "study").accounts_file.read_text() for _, token in links)
    assert "2 other columns of the readers' file were not read." in done.stdout
    # The stand-in's models are none that are installed.
    assert done.exit_code == 2
    assert "The segmenter liver_t2 is another one" in done.stderr


@pytest.mark.usefixtures("with_stand_in")
def test_faults_are_one_line_each(tmp_path: Path) -> None:
    wrong = init(tmp_path, "--design", "sequential", "--washout-days", "28")
    assert (wrong.exit_code, wrong.stderr.count("\n")) == (2, 1)
    assert "no washout" in wrong.stderr
    assert not (tmp_path / "study").exists()
    wrong = init(tmp_path, "--design", "sequential", "--name", "a name")
    assert (wrong.exit_code, wrong.stderr.count("\n")) == (2, 1)
    found = CliRunner().invoke(app, ["study", "check", str(tmp_path)])
    assert (found.exit_code, found.stderr.count("\n")) == (2, 1)


@pytest.mark.usefixtures("with_stand_in")
def test_a_new_invitation(tmp_path: Path) -> None:
    init(tmp_path, "--design", "sequential")
    made = CliRunner().invoke(app, ["study", "invite", str(tmp_path / "study"), "r1"])
    assert re.search(r"^R1  http://127\.0\.0\.1:7860/invite#\S{32}$", made.stdout, re.MULTILINE)
    assert CliRunner().invoke(app, ["study", "invite", str(tmp_path / "study"), "R9"]).exit_code == 2


@pytest.mark.slow
def test_a_study_by_the_shipped_models_has_no_mistake(tmp_path: Path) -> None:
    done = init(tmp_path, "--design", "sequential", "--device", "cpu", practice=0)
    assert done.exit_code == 0, done.stderr
    checked = CliRunner().invoke(app, ["study", "check", str(tmp_path / "study")])
    assert (checked.exit_code, checked.stdout.splitlines()[-1]) == (0, "No mistakes.")
