"""Every mistake that a coordinator can make is found before the first reader comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import SimpleITK as sitk
import yaml

from pipeline.errors import ModelError
from pipeline.reader_study.check import Findings, check_study
from pipeline.reader_study.study_folder import StudyFolder
from tests.reader_study.prepared import MODELS, make_study


def installed(name: str, kind: str) -> str:
    return MODELS.hashes[kind]


def missing(name: str, kind: str) -> str:
    raise ModelError("There is no such model.")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study, to be copied."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIBROREVIEW_SITE_KEY", "key of the tests")
        return make_study(tmp_path_factory.mktemp("made"))[0].root


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> StudyFolder:
    import shutil

    shutil.copytree(made, tmp_path / "study")
    return StudyFolder(tmp_path / "study")


def changed(folder: StudyFolder, change: Callable[[dict], None]) -> Findings:
    content = yaml.safe_load(folder.protocol_file.read_text())
    change(content)
    folder.protocol_file.write_text(yaml.safe_dump(content))
    return check_study(folder, installed)


def test_a_new_study_has_no_mistake(folder: StudyFolder) -> None:
    found = check_study(folder, installed)
    assert found.mistakes == ()
    assert found.notes == (
        "With fewer than three readers little can be said about other readers.",
        "Invitations not used yet: R1, R2, K1.",
    )


@pytest.mark.parametrize(
    ("change", "mistake"),
    [
        (lambda study: study["cases"].append(study["cases"][1]), "occurs twice"),
        (lambda study: study["readers"].append({"reader": "R3", "experience": ""}), "Reader R3 has no account."),
        (lambda study: study["readers"].append(study["readers"][0]), "Reader R1 occurs twice."),
        (lambda study: study["readers"].pop(), "The account R2 belongs to no reader"),
        (lambda study: study.update(washout_days=28), "no washout"),
        (lambda study: study.update(design="crossover"), "needs a washout"),
        (lambda study: study["cases"].pop(), "has 1 cases that the study does not have"),
        (lambda study: study["segmenter"].update(sha256="0" * 64), "other models than the protocol names"),
        (lambda study: study["segmenter"].update(sha256="0" * 64), "another one than when the study was prepared"),
        (lambda study: [case.update(practice=True) for case in study["cases"]], "Every case is for practice"),
        (lambda study: study.update(colour="red"), "colour: Extra inputs"),
    ],
)
def test_mistakes_in_the_protocol(folder: StudyFolder, change: Callable[[dict], None], mistake: str) -> None:
    assert [line for line in changed(folder, change).mistakes if mistake in line]


def test_changed_and_missing_files_of_cases(folder: StudyFolder) -> None:
    one, two, three, four = (case.case_id for case in folder.read_protocol().cases[:4])
    image = sitk.ReadImage(str(folder.case(one) / "volume.nii.gz"))
    sitk.WriteImage(image + 1, str(folder.case(one) / "volume.nii.gz"))
    analysis = folder.case(two) / "analysis.json"
    analysis.write_text(json.dumps(json.loads(analysis.read_text()) | {"app_version": "9"}))
    (folder.case(three) / "heat.nii.gz").write_bytes(b"")
    (folder.case(four) / "volume.nii.gz").unlink()
    lines = check_study(folder, installed).mistakes
    assert f"Case {one}: its images were changed since the study was prepared." in lines
    assert f"Case {two}: its analysis was changed since the study was prepared." in lines
    assert f"Case {three}: its files were changed since the study was prepared." in lines
    assert [line for line in lines if line.startswith(f"Case {four}: its files are incomplete")]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("case_id,truth\n", "no truth of case"),
        ("case_id,truth,name\n", "1 unknown columns"),
        ("case_id\n", "needs the columns"),
        ("case_id,truth\nC1,2\n", "must be 1 or 0"),
        ("case_id,truth\nC1,1\nC1,1\n", "case C1 occurs twice"),
    ],
)
def test_mistakes_in_the_reference_standard(folder: StudyFolder, text: str, mistake: str) -> None:
    folder.reference_file.write_text(text)
    assert [line for line in check_study(folder, installed).mistakes if mistake in line]


def test_one_class_and_missing_models(folder: StudyFolder) -> None:
    cases = folder.read_protocol().cases
    folder.reference_file.write_text("case_id,truth\n" + "".join(f"{case.case_id},1\n" for case in cases))
    lines = check_study(folder, missing).mistakes
    assert "All cases have the condition: no figure can be computed." in lines
    assert "The classifier fibrosis_t2 is not installed any more." in lines
    folder.accounts_file.unlink()
    assert [line for line in check_study(folder, installed).mistakes if "accounts.json is missing" in line]
    folder.protocol_file.unlink()
    assert len(check_study(folder, installed).mistakes) == 1
