from __future__ import annotations

import csv
import io
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.errors import ReviewError
from pipeline.reviews import COLUMNS, Review, ReviewStore
from pipeline.reviews import folder as folder_module


def make_review(**changes: object) -> Review:
    full = Review(
        reader="R1", case_id="0f3a9c27", advanced_fibrosis="no", confidence=4, agreement="agree", segmentation_quality=1
    )
    return replace(full, **changes)  # type: ignore[arg-type]


def append_many(folder: Path, count: int) -> list[str]:
    store = ReviewStore(folder)
    return [store.append(make_review()) for _ in range(count)]


def test_a_saved_review_is_read_back(tmp_path):
    before = datetime.now(UTC)
    review_id = ReviewStore(tmp_path).append(make_review(comment='Line, one\n"two"', probability=0.25))
    table = ReviewStore(tmp_path).rows()
    assert list(table.columns) == list(COLUMNS)
    row = table.iloc[0]
    assert row["review_id"] == review_id
    assert row["comment"] == 'Line, one\n"two"'
    assert row["probability"] == "0.25"
    assert row["revises"] == ""
    assert abs((datetime.fromisoformat(row["saved_at"]) - before).total_seconds()) < 30


def test_no_reviews_is_an_empty_table(tmp_path):
    table = ReviewStore(tmp_path / "none").rows()
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == 0


def test_the_file_has_one_header_and_any_csv_reader_takes_it(tmp_path):
    store = ReviewStore(tmp_path)
    for _ in range(3):
        store.append(make_review())
    (file,) = tmp_path.glob("*.csv")
    with open(file, newline="", encoding="utf-8") as lines:
        rows = list(csv.reader(lines))
    assert rows[0] == list(COLUMNS)
    assert [len(row) for row in rows] == [len(COLUMNS)] * 4


def test_every_process_writes_a_file_of_its_own(tmp_path):
    first, second = ReviewStore(tmp_path), ReviewStore(tmp_path)
    first.append(make_review())
    second.append(make_review())
    assert len(list(tmp_path.glob("reviews-*.csv"))) == 2
    assert len(first.rows()) == 2


def test_the_row_is_on_disk_before_append_returns(tmp_path, monkeypatch):
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_size) or real(fd))
    store = ReviewStore(tmp_path)
    store.append(make_review())
    assert synced[0] == store.file.stat().st_size > 0


def test_a_double_click_is_one_row(tmp_path):
    store = ReviewStore(tmp_path)
    review = make_review()
    assert store.append(review) == store.append(review) == review.review_id
    assert ReviewStore(tmp_path).append(replace(review, active_seconds=9.0)) == review.review_id
    assert len(store.rows()) == 1


def test_simultaneous_clicks_are_one_row(tmp_path):
    review = make_review()
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(ReviewStore(tmp_path).append, [review] * 8)) == {review.review_id}
    assert len(ReviewStore(tmp_path).rows()) == 1


def test_changed_answers_under_the_same_id_are_not_lost_in_silence(tmp_path):
    store = ReviewStore(tmp_path)
    review = make_review()
    store.append(review)
    with pytest.raises(ReviewError, match="correction"):
        store.append(replace(review, agreement="disagree"))


def test_a_correction_is_a_new_row_that_names_the_old_one(tmp_path):
    old = ReviewStore(tmp_path).append(make_review())
    new = ReviewStore(tmp_path).append(make_review(agreement="unsure", revises=old))
    table = ReviewStore(tmp_path).rows()
    assert list(table["review_id"]) == [old, new]
    assert list(table["agreement"]) == ["agree", "unsure"]
    assert list(table["revises"]) == ["", old]


@pytest.mark.parametrize("change", [{"revises": "unknown"}, {"reader": "R2"}, {"case_id": "other"}])
def test_a_correction_of_nothing_or_of_anothers_review_is_refused(tmp_path, change):
    store = ReviewStore(tmp_path)
    old = store.append(make_review())
    with pytest.raises(ReviewError, match="correct"):
        store.append(make_review(**{"revises": old, **change}))
    assert len(store.rows()) == 1


def test_an_incomplete_review_is_not_stored(tmp_path):
    store = ReviewStore(tmp_path)
    with pytest.raises(ReviewError):
        store.append(make_review(agreement=""))
    assert len(store.rows()) == 0


def test_a_row_cut_short_by_a_crash_is_left_out_and_the_others_stay(tmp_path):
    store = ReviewStore(tmp_path)
    kept = store.append(make_review())
    store.append(make_review(comment="cut\nhere"))
    whole = store.file.read_bytes()
    for cut in (1, 2, 30, 60):
        store.file.write_bytes(whole[:-cut])
        assert list(ReviewStore(tmp_path).rows()["review_id"]) == [kept]


def test_a_full_disk_is_reported_and_leaves_no_partial_row(tmp_path, monkeypatch):
    store = ReviewStore(tmp_path)
    store.append(make_review())
    whole = store.file.read_bytes()

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ReviewError, match="could not be saved"):
            store.append(make_review())
    assert store.file.read_bytes() == whole
    store.append(make_review())
    assert len(store.rows()) == 2


def test_threads_and_processes_at_once_lose_no_row(tmp_path):
    store = ReviewStore(tmp_path)
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=fresh) as processes, ThreadPoolExecutor(4) as threads:
        others = [processes.submit(append_many, tmp_path, 10) for _ in range(2)]
        mine = list(threads.map(store.append, [make_review(reader=f"T{n}") for n in range(20)]))
        ids = mine + [review_id for future in others for review_id in future.result()]
    table = store.rows()
    assert len(ids) == 40
    assert set(table["review_id"]) == set(ids)


class HalfDisk:
    """A file that takes a part of what it is given, and then no more."""

    def __init__(self, file) -> None:
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> object:
        return getattr(self.file, name)

    def write(self, data: bytes) -> int:
        self.file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("before", [0, 1])
def test_half_a_written_row_is_taken_back(tmp_path, monkeypatch, before):
    store = ReviewStore(tmp_path)
    kept = append_all(store, before)
    real = open
    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "open", lambda *given, **named: HalfDisk(real(*given, **named)), raising=False)
        with pytest.raises(ReviewError, match="could not be saved"):
            store.append(make_review())
    kept += append_all(store, 2)
    assert list(ReviewStore(tmp_path).rows()["review_id"]) == kept
    assert store.file.read_bytes().startswith(b"schema,")


def append_all(store: ReviewStore, count: int) -> list[str]:
    return [store.append(make_review()) for _ in range(count)]


def test_a_write_in_pieces_is_one_row(tmp_path, monkeypatch):
    class Slow(HalfDisk):
        def write(self, data: bytes) -> int:
            return self.file.write(data[:7])

    store = ReviewStore(tmp_path)
    real = open
    monkeypatch.setattr(folder_module, "open", lambda *given, **named: Slow(real(*given, **named)), raising=False)
    kept = append_all(store, 2)
    assert list(store.rows()["review_id"]) == kept


def test_rows_damaged_by_hand_are_left_out_and_saving_continues(tmp_path, caplog):
    store = ReviewStore(tmp_path)
    kept = append_all(store, 2)
    edited = tmp_path / "reviews-edited.csv"
    edited.write_bytes(b"schema,review_id\r\n1,abc,R1\r\n" + b"1" + b"," * (len(COLUMNS) - 1) + b'\r\n1,"open\r\n')
    kept += append_all(store, 1)
    assert [review_id for review_id in store.rows()["review_id"] if review_id] == kept
    assert "reviews-edited.csv" in caplog.text
    assert str(tmp_path) not in caplog.text


def test_an_editors_own_line_ends_lose_no_row(tmp_path):
    store = ReviewStore(tmp_path)
    kept = append_all(store, 2)
    store.file.write_bytes(b"\xef\xbb\xbf" + store.file.read_bytes().replace(b"\r\n", b"\n"))
    assert list(ReviewStore(tmp_path).rows()["review_id"]) == kept


@pytest.mark.parametrize(
    ("arm", "after_reveal", "seen"),
    [("open", True, True), ("open", False, True), ("unaided", False, False), ("aided", True, True)],
)
def test_who_has_seen_the_result_of_a_case_is_known_from_the_rows(tmp_path, arm, after_reveal, seen):
    store = ReviewStore(tmp_path)
    judged = {} if after_reveal else {"agreement": "", "segmentation_quality": None}
    review_id = store.append(make_review(arm=arm, after_reveal=after_reveal, **judged))
    assert store.has_seen_the_ai("R1", "0f3a9c27") is seen
    assert not store.has_seen_the_ai("R1", "0f3a9c27", besides=[review_id])
    assert not store.has_seen_the_ai("R2", "0f3a9c27")
    assert not store.has_seen_the_ai("R1", "other")


def old_row(review_id: str, **cells: str) -> bytes:
    """A row as version 0.1.0 wrote it."""
    row = dict.fromkeys(COLUMNS, "") | {"schema": "1", "review_id": review_id, "reader": "R1", "case_id": "0f3a9c27"}
    text = io.StringIO()
    csv.DictWriter(text, COLUMNS, lineterminator="\r\n").writerow({**row, **cells})
    return text.getvalue().encode()


HEADER = ",".join(COLUMNS).encode() + b"\r\n"
LONG = "|".join(map(str, range(40_000)))
DAMAGE = {
    "a cell above the limit of Python's reader": old_row("b" * 32, slices_viewed=LONG),
    "a quotation mark that nothing closes": b"1," + b"b" * 32 + b',"open\r\n',
    "a quotation mark in the middle": old_row("b" * 32, comment="x").replace(b",x,", b',"x" y,'),
    "too few cells": b"1," + b"b" * 32 + b",2026\r\n",
    "too many cells": old_row("b" * 32).replace(b"\r\n", b",,,\r\n"),
    "a block of zeros": b"\0" * 4096 + b"\r\n",
    "zeros in a row": old_row("b" * 32, comment="x").replace(b",x,", b",\0\0,"),
    "a row without an end inside": b"1," + b"b" * 32 + b',2026,"a\nb\r\n',
    "another encoding": old_row("b" * 32, comment="M").replace(b",M,", b",M\xfcller,"),
    "no text": bytes(range(128, 256)) + b"\r\n",
    "a long line": b"x" * 300_000 + b"\r\n",
    "a schema that is no number": old_row("b" * 32).replace(b"1,", b"9" * 5000 + b",", 1),
    "a second header": HEADER,
    "empty lines": b"\r\n\r\n",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
def test_damage_hides_no_other_row(tmp_path, damage, line_end):
    content = HEADER + old_row("a" * 32) + damage + old_row("c" * 32, comment="two\nlines") + old_row("d" * 32)
    (tmp_path / "reviews-old.csv").write_bytes(content.replace(b"\r\n", line_end))
    store = ReviewStore(tmp_path)
    assert set(store.rows()["review_id"]) - {"b" * 32} == {"a" * 32, "c" * 32, "d" * 32}
    assert store.find(["c" * 32])[0]["comment"] == "two\nlines"
    new = store.append(make_review(revises="d" * 32, reader="r1"))
    assert [row["review_id"] for row in store.find(["a" * 32, "d" * 32, new, "none"])] == ["a" * 32, "d" * 32, new]
    assert store.damaged() <= 1


def test_a_long_cell_of_an_old_file_is_read_and_damage_is_counted(tmp_path):
    (tmp_path / "reviews-old.csv").write_bytes(HEADER + DAMAGE["too few cells"] + old_row("b" * 32, slices_viewed=LONG))
    store = ReviewStore(tmp_path)
    assert store.find(["b" * 32])[0]["slices_viewed"] == LONG
    assert store.damaged() == 1
    with pytest.raises(ReviewError, match="saved already"):
        store.append(make_review(review_id="b" * 32))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_spreadsheets_own_encoding_and_separator_are_read(tmp_path, encoding, separator):
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, delimiter=separator, lineterminator="\r\n")
    writer.writeheader()
    writer.writerow(dict.fromkeys(COLUMNS, "") | {"schema": "2", "review_id": "a" * 32, "comment": "Ü,\n;"})
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    (tmp_path / "reviews-edited.csv").write_bytes(mark + text.getvalue().encode(encoding))
    assert ReviewStore(tmp_path).find(["a" * 32])[0]["comment"] == "Ü,\n;"


def test_a_comment_that_looks_like_a_row_is_a_comment(tmp_path):
    store = ReviewStore(tmp_path)
    comment = f'"\n2,{"e" * 32},"\n2,{"f" * 32},x'
    ids = [store.append(make_review(comment=comment)), store.append(make_review())]
    assert [row["review_id"] for row in ReviewStore(tmp_path).find([*ids, "e" * 32, "f" * 32])] == ids
    assert store.rows()["comment"].tolist() == [comment, ""]
    assert store.damaged() == 0


def test_codes_that_differ_in_case_are_one_reader(tmp_path):
    store = ReviewStore(tmp_path)
    old = store.append(make_review(reader="r1"))
    store.append(make_review(reader="R1", agreement="unsure", revises=old))
    assert store.rows()["reader"].tolist() == ["R1", "R1"]
    assert store.has_seen_the_ai("r1", "0f3a9c27")


def test_half_a_row_that_could_not_be_taken_back_spoils_no_other(tmp_path):
    store = ReviewStore(tmp_path)
    kept = append_all(store, 1)
    with open(store.file, "ab") as file:
        file.write(b'2,abc,"half')
    kept += append_all(store, 2)
    for reader in (store, ReviewStore(tmp_path)):
        assert [row["review_id"] for row in reader.find(kept)] == kept
    assert store.rows()["review_id"].tolist() == kept


@pytest.mark.parametrize("change", ["replaced", "shortened", "deleted", "rewritten"])
def test_what_others_do_to_the_files_is_noticed(tmp_path, change):
    other, store = ReviewStore(tmp_path), ReviewStore(tmp_path)
    first, second = append_all(other, 2)
    assert len(store.find([first, second])) == 2
    whole = other.file.read_bytes()
    rows = whole.split(b"\r\n")
    if change == "replaced":
        (tmp_path / "x").write_bytes(b"\r\n".join([rows[0], rows[2], rows[1], b""]))
        (tmp_path / "x").replace(other.file)
    elif change == "shortened":
        other.file.write_bytes(b"\r\n".join([rows[0], rows[1], b""]))
    elif change == "deleted":
        other.file.unlink()
    else:
        other.file.write_bytes(whole.replace(b"0f3a9c27", b"0f3a9c2"))
    there = {"replaced": [first, second], "shortened": [first], "deleted": [], "rewritten": [first, second]}[change]
    assert [row["review_id"] for row in store.find([first, second])] == there
    third = store.append(make_review())
    assert [row["review_id"] for row in store.find([first, second, third])] == [*there, third]


def test_saving_reads_nothing_of_the_rows_before(tmp_path, monkeypatch):
    (tmp_path / "reviews-old.csv").write_bytes(HEADER + b"".join(old_row(f"{n:032x}") for n in range(2000)))
    store = ReviewStore(tmp_path)
    append_all(store, 2)
    read: list[int] = []
    real = folder_module._part
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("a whole file was read"))
    monkeypatch.setattr(folder_module, "_part", lambda fd, start, end: read.append(end - start) or real(fd, start, end))
    append_all(store, 3)
    assert sum(read) < 4000
