"""A study is prepared once, resumed where it was interrupted, and refused once it would change under its readers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import SimpleITK as sitk

from pipeline.case import LIVER
from pipeline.errors import InputError, StudyError
from pipeline.reader_study.accounts import Accounts, Role
from pipeline.reader_study.case_files import CaseFiles
from pipeline.reader_study.protocol import read_protocol
from pipeline.reader_study.readers_file import read_readers
from pipeline.reader_study.study_cases import plan_cases
from pipeline.reader_study.work_list import reads_of
from pipeline.reviews.record import Review
from pipeline.reviews.store import ReviewStore
from tests.reader_study import prepared as module
from tests.reader_study.prepared import MODELS, make_study, stand_in, write_cohort, write_readers


def test_a_study_holds_pseudonyms_and_no_name(tmp_path: Path) -> None:
    folder, prepared = make_study(tmp_path)
    assert [case.practice for case in prepared.protocol.cases] == [True, False, False, False, False]
    assert list(folder.read_reference().values()).count(True) == 3
    assert prepared.protocol.positive_class == "METAVIR >= F3"
    files = [file for file in folder.root.rglob("*") if file.is_file()]
    for file in files:
        assert "Meyer" not in str(file)
        content = file.read_bytes()
        assert b"Meyer" not in content
        assert b"ecret" not in content.replace(b'"secret"', b"")  # the key of the cookies is called so
    assert folder.accounts_file.stat().st_mode & 0o077 == 0
    assert folder.reference_file.stat().st_mode & 0o077 == 0


def test_the_stored_mask_lies_on_the_stored_images(tmp_path: Path) -> None:
    folder, prepared = make_study(tmp_path, cases=2)
    files = CaseFiles(folder.case(prepared.protocol.cases[0].case_id))
    mask, volume = sitk.ReadImage(str(files.mask)), sitk.ReadImage(str(files.volume))
    assert mask.GetSize() == volume.GetSize()
    assert mask.GetDirection() == volume.GetDirection()
    assert mask.GetOrigin() == pytest.approx(volume.GetOrigin())
    organs = sitk.GetArrayFromImage(sitk.ReadImage(str(files.folder / "organs.nii.gz")))
    assert ((organs == LIVER) == (sitk.GetArrayFromImage(mask) == 1)).all()
    assert files.analysis()["input"]["case_id"] == prepared.protocol.cases[0].case_id


def test_an_interrupted_preparation_is_resumed(tmp_path: Path) -> None:
    manifest = write_cohort(tmp_path / "cohort")
    calls: list[str] = []
    analyse = stand_in(manifest, calls=calls)

    def interrupted(image: Path):
        if len(calls) == 2:
            raise KeyboardInterrupt
        return analyse(image)

    with pytest.raises(KeyboardInterrupt):
        make_study(tmp_path, analyse=interrupted)
    assert not (tmp_path / "study" / "study.yaml").exists()
    make_study(tmp_path, analyse=analyse)
    assert sorted(calls) == [f"Meyer_{number}.nii.gz" for number in range(5)]


def test_a_case_that_cannot_be_analysed_is_named_by_its_line(tmp_path: Path) -> None:
    analyse = stand_in(write_cohort(tmp_path / "cohort"))

    def faulty(image: Path):
        if image.name == "Meyer_3.nii.gz":
            raise InputError("The file is damaged.")
        return analyse(image)

    with pytest.raises(StudyError, match=r"^Line 5: The file is damaged\.$"):
        make_study(tmp_path, analyse=faulty)


def test_once_a_read_is_stored_nothing_of_a_study_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, prepared = make_study(tmp_path)
    read = reads_of(prepared.protocol, "R1")[0]
    ReviewStore(folder.reviews).append(
        Review(
            reader="R1",
            case_id=read.case_id,
            arm="unaided",
            study="trial",
            protocol_sha256=prepared.protocol.sha256,
            advanced_fibrosis="no",
            confidence=3,
        )
    )
    again = make_study(tmp_path)[1]
    assert again.protocol == prepared.protocol
    assert again.invitations == {}
    before = folder.protocol_file.read_bytes()
    with pytest.raises(StudyError, match="1 reads are stored"):
        make_study(tmp_path, question="Another?")
    assert folder.protocol_file.read_bytes() == before
    stored = {file: file.read_bytes() for file in (folder.root / "cases").rglob("*") if file.is_file()}
    updated = replace(MODELS, segmenter=replace(MODELS.segmenter, sha256="f" * 64))
    monkeypatch.setattr(module, "MODELS", updated)
    with pytest.raises(StudyError, match="1 reads are stored"):
        make_study(tmp_path)
    swapped = (
        (tmp_path / "cohort" / "manifest.csv").read_text().replace("F4", "FX").replace("F1", "F4").replace("FX", "F1")
    )
    monkeypatch.undo()
    (tmp_path / "cohort" / "manifest.csv").write_text(swapped)
    with pytest.raises(StudyError, match="1 reads are stored"):
        make_study(tmp_path)
    assert {file: file.read_bytes() for file in stored} == stored


def test_the_protocol_before_is_kept_when_nothing_was_read(tmp_path: Path) -> None:
    folder, first = make_study(tmp_path)
    make_study(tmp_path, question="Another?")
    assert read_protocol(folder.protocol_file.with_name("study.earlier.yaml")) == first.protocol


def test_one_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="one class"):
        plan_cases(write_cohort(tmp_path, stages=("F3",)), "trial")


def test_practice_cases_by_number_or_by_column(tmp_path: Path) -> None:
    manifest = write_cohort(tmp_path, cases=3, practice=1)
    assert [case.practice for case in plan_cases(manifest, "trial").cases] == [True, False, False, False]
    assert [case.practice for case in plan_cases(manifest, "trial", 2).cases] == [True, True, False, False]
    with pytest.raises(StudyError, match="--practice"):
        plan_cases(manifest, "trial", 4)
    assert plan_cases(manifest, "one").cases[0].case_id != plan_cases(manifest, "two").cases[0].case_id


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("reader\nR1\nr1\n", "Line 3: reader R1 occurs twice"),
        ("reader\nMeyer\n", "Line 2: reader must be a code"),
        ("reader,role\nR1,boss\n", "Line 2: role must be"),
        ("name\nR1\n", "lacks the column reader"),
        ("reader,role\nK1,coordinator\n", "names no reader"),
        ("reader\nCOORD1\n", "coordinator's code"),
    ],
)
def test_mistakes_in_the_readers_file_are_named_without_quoting_it(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "readers.csv").write_text(text)
    with pytest.raises(StudyError, match=fault) as error:
        read_readers(tmp_path / "readers.csv")
    assert "Meyer" not in str(error.value)


def test_readers_have_codes_roles_and_experience_only(tmp_path: Path) -> None:
    people = read_readers(write_readers(tmp_path))
    assert [(one.reader, one.experience) for one in people.readers] == [("R1", "10 years"), ("R2", "10 years")]
    assert people.coordinators == ("K1",)
    assert people.ignored == 2


def test_an_invitation_sets_one_password_once(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "accounts.json")
    tokens = accounts.update([("R1", Role.READER), ("K1", Role.COORDINATOR)])
    with pytest.raises(StudyError, match="10 to 200"):
        accounts.set_password(tokens["R1"], "short")
    assert accounts.check_password("R1", "correct horse") is None
    assert accounts.set_password(tokens["R1"], "correct horse").code == "R1"
    found = accounts.check_password("r1", "correct horse")
    assert found is not None
    assert found.role is Role.READER
    assert accounts.check_password("R1", "correct hors") is None
    assert accounts.check_password("R7", "correct horse") is None
    with pytest.raises(StudyError, match="used already"):
        accounts.set_password(tokens["R1"], "another horse")
    text = (tmp_path / "accounts.json").read_text()
    assert not any(secret in text for secret in (*tokens.values(), "correct horse"))
    assert "$argon2id$" in text
    accounts.invite("R1")
    assert accounts.check_password("R1", "correct horse") is None
    assert len(json.loads((tmp_path / "accounts.json").read_text())["accounts"]) == 2
    for wrong in ("", "x", tokens["K1"][:-1]):
        with pytest.raises(StudyError, match="not valid"):
            accounts.set_password(wrong, "correct horse")


def test_files_of_a_case_are_rewritten_when_its_images_change(tmp_path: Path) -> None:
    folder, prepared = make_study(tmp_path, cases=2)
    file = tmp_path / "cohort" / "Meyer_2.nii.gz"
    sitk.WriteImage(sitk.ReadImage(str(file)) + 1, str(file))
    calls: list[str] = []
    again = make_study(tmp_path, analyse=stand_in(file, calls=calls))[1]
    assert calls == ["Meyer_2.nii.gz"]
    pairs = zip(prepared.protocol.cases, again.protocol.cases, strict=True)
    assert [one.image_sha256 == other.image_sha256 for one, other in pairs] == [True, True, False]
    assert folder.read_protocol() == again.protocol


def test_another_preparation_keeps_accounts_and_drops_those_of_others(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "accounts.json")
    tokens = accounts.update([("R1", Role.READER), ("R2", Role.READER), ("K1", Role.COORDINATOR)])
    accounts.set_password(tokens["R1"], "correct horse")
    again = accounts.update([("R1", Role.READER), ("R3", Role.READER), ("K1", Role.READER)])
    assert set(again) == {"R3", "K1"}
    assert [account.code for account in accounts.all()] == ["R1", "R3", "K1"]
    assert accounts.check_password("R1", "correct horse") is not None
