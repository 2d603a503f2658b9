"""``python -m pipeline reviews export``."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, constants
from typer.testing import CliRunner

from pipeline.__main__ import app
from pipeline.reviews import COLUMNS, ReviewStore
from tests.fake_hub import TOKEN, fake_hub
from tests.reviews.test_store import HEADER, make_review, old_row


def export(out: Path, *sources: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["reviews", "export", "-o", str(out), *map(str, sources)])
    return result.exit_code, result.stderr


def rows_of(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.read_bytes().decode(), newline="")))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with the files of two processes."""
    folder = tmp_path / "reviews"
    one, two = ReviewStore(folder), ReviewStore(folder)
    first = one.append(make_review(comment="x;=1+1\n- two"))
    two.append(make_review(reader="R2"))
    one.append(make_review(agreement="unsure", revises=first))
    return folder


def test_files_are_merged_in_the_order_of_time_and_again_to_the_same(saved: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.csv"
    code, said = export(out, saved)
    assert (code, said) == (0, "3 reviews from 2 files; 0 repeated rows left out.\n")
    rows = rows_of(out)
    assert tuple(rows[0]) == COLUMNS
    assert [row["saved_at"] for row in rows] == sorted(row["saved_at"] for row in rows)
    assert rows[0]["comment"] == "x;'=1+1\n'- two"
    before = out.read_bytes()
    files = sorted(saved.glob("*.csv"))
    for sources in ([saved], [out], [out, saved, saved], files[::-1], [*files, out, out]):
        assert export(out, *sources)[0] == 0
        assert out.read_bytes() == before


def test_the_pages_own_folder_is_the_default(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIBROREVIEW_REVIEWS", str(saved))
    assert export(tmp_path / "all.csv")[0] == 0
    assert len(rows_of(tmp_path / "all.csv")) == 3


def test_rows_of_version_1_are_migrated(tmp_path: Path) -> None:
    row = old_row("a" * 32, comment="'=1+1", reader="r1", reason="'quoted'")
    (tmp_path / "old.csv").write_bytes(
        HEADER + row + old_row("a" * 32, comment="'=1+1", reason="'quoted'", saved_at="2026")
    )
    assert export(tmp_path / "all.csv", tmp_path / "old.csv")[0] == 0
    (new,) = rows_of(tmp_path / "all.csv")
    assert (new["schema"], new["reader"], new["comment"], new["reason"]) == ("2", "R1", "'=1+1", "'quoted'")


def test_columns_that_a_file_lacks_are_empty(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_bytes(b"review_id;schema;reader\r\n".replace(b"review_id;schema", b"schema;review_id"))
    with open(tmp_path / "old.csv", "ab") as file:
        file.write(b"1;" + b"a" * 32 + b";R1\r\n")
    assert export(tmp_path / "all.csv", tmp_path / "old.csv")[0] == 0
    assert rows_of(tmp_path / "all.csv")[0]["reader"] == "R1"


def test_a_newer_schema_is_refused_in_one_sentence(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_bytes(HEADER + old_row("a" * 32, schema="3"))
    code, said = export(tmp_path / "all.csv", saved, tmp_path / "new.csv")
    assert code == 2
    assert "newer version of FibroReview (schema 3" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "all.csv").exists()


def test_contradicting_rows_are_named_and_refused(tmp_path: Path) -> None:
    for number, verdict in enumerate(("yes", "no")):
        rows = [old_row(f"{n:032x}", advanced_fibrosis=verdict) for n in range(12)]
        (tmp_path / f"{number}.csv").write_bytes(HEADER + b"".join(rows))
    code, said = export(tmp_path / "all.csv", tmp_path / "0.csv", tmp_path / "1.csv")
    assert code == 2
    assert said.startswith(f"12 reviews are stored with different answers under one id ({0:032x}, ")
    assert "and 2 more" in said
    assert not (tmp_path / "all.csv").exists()


def test_damage_is_reported_and_costs_no_other_row(saved: Path, tmp_path: Path) -> None:
    (file, other) = sorted(saved.glob("*.csv"))
    file.write_bytes(file.read_bytes() + b"2,abc,\r\n" + b'2,def,"torn')
    code, said = export(tmp_path / "all.csv", file, other)
    assert code == 0
    assert said.endswith("File 1: 2 damaged rows left out.\n")
    assert len(rows_of(tmp_path / "all.csv")) == 3


@pytest.mark.parametrize("source", ["none.csv", "no/such/folder", "Patient Name.csv", ""])
def test_what_is_not_there_is_one_sentence_without_its_name(tmp_path: Path, source: str, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = export(tmp_path / "all.csv", source or tmp_path / "x" / "y" / "z")
    assert code == 2
    assert said.count("\n") == 1
    assert "Patient" not in said


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_bytes(b"name,age\r\nDoe,5\r\n")
    code, said = export(tmp_path / "all.csv", tmp_path / "other.csv")
    assert code == 2
    assert "no readable review" in said


def test_a_data_set_is_read_with_the_token(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_hub() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        api = HfApi(token=TOKEN)
        api.create_repo("me/data", repo_type="dataset", private=True)
        adds = [CommitOperationAdd(file.name, file.read_bytes()) for file in saved.glob("*.csv")]
        api.create_commit("me/data", adds, commit_message="m", repo_type="dataset")
        assert export(tmp_path / "local.csv", saved)[0] == 0
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        for source in ("me/data", "hf://datasets/me/data"):
            assert export(tmp_path / "hub.csv", source, saved) == (
                0,
                "3 reviews from 4 files; 3 repeated rows left out.\n",
            )
            assert (tmp_path / "hub.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()
        monkeypatch.setenv("HF_TOKEN", "wrong")
        code, said = export(tmp_path / "no.csv", "me/data")
        assert (code, said.count("\n")) == (2, 1)
        assert "HF_TOKEN" in said
