"""What goes along, and what is refused before anything is sent."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pydicom
import pytest
from typer.testing import CliRunner

from pipeline.__main__ import app
from pipeline.deploy import checks
from pipeline.deploy.checks import faults_of, header_faults, requirement_faults
from pipeline.deploy.files import files_of
from pipeline.deploy.secret_patterns import secret_in, suspicious_name
from pipeline.errors import DeployError
from tests.deploy.conftest import README, SENT, git

HERE = Path(__file__).parents[2]
# Put together here, so that no form of a secret stands in this file.
A_TOKEN = "hf_" + "aB3" * 12
SECRETS = [
    A_TOKEN,
    "ghp_" + "x1Y2" * 9,
    "github_pat_" + "a1_" * 12,
    "glpat-" + "a1" * 10,
    "-----BEGIN " + "OPENSSH PRIVATE KEY-----",
    "-----BEGIN " + "PRIVATE KEY-----",
    "AKIA" + "A1B2C3D4E5F6G7H8",
    "AIza" + "b" * 35,
    "sk-" + "proj-" + "a1B2" * 10,
    "xoxb-" + "1234567890-abcdefghij",
    "pypi-AgE" + "a" * 40,
    "npm_" + "a" * 36,
    "eyJ" + "a" * 20 + ".eyJ" + "b" * 20 + "." + "c" * 20,
    "https://" + "me:hunter22@" + "example.org",
    "password = " + '"correct-horse-battery-5"',
    '"api_key": ' + "'0123456789abcdef'",
]


@pytest.fixture(autouse=True)
def without_uv(monkeypatch):
    """A call of uv takes longer than all the rest."""
    monkeypatch.setattr(checks, "_unresolved", lambda file: None)


def write(folder: Path, name: str, content: str | bytes) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


def only(faults: list[str]) -> str:
    assert len(faults) == 1, faults
    assert "\n" not in faults[0]
    return faults[0]


def test_what_the_app_needs_goes_along_and_nothing_else(checkout):
    files = files_of(checkout)
    assert sorted(files.paths) == SENT
    assert faults_of(files) == []


def test_a_plain_folder_gives_the_same_list(plain):
    write(plain, "pipeline/__pycache__/x.py", "")
    write(plain, ".venv/lib/pipeline/x.py", "")
    write(plain, "assets/node_modules/x.js", "")
    files = files_of(plain)
    assert sorted(files.paths) == SENT
    assert faults_of(files) == []


def test_ignored_files_stay_here(checkout):
    write(checkout, ".gitignore", "models/site/\n")
    git(checkout, "add", "-A")
    git(checkout, "commit", "-q", "-m", "Ignore")
    write(checkout, "models/site/model.json", "{}")
    assert "models/site/model.json" not in files_of(checkout).paths
    assert faults_of(files_of(checkout)) == []


@pytest.mark.parametrize("name", ["pipeline/page/layout.py", "pipeline/new.py", "assets/examples/two.nii.gz"])
def test_uncommitted_files_are_refused(checkout, name):
    write(checkout, name, b"another")
    assert only(faults_of(files_of(checkout))).startswith(f"{name} is not committed")


def test_a_change_that_git_was_told_to_overlook_is_refused(checkout):
    for mark, name in (("--assume-unchanged", "app.py"), ("--skip-worktree", "assets/style.css")):
        git(checkout, "update-index", mark, name)
        write(checkout, name, "other")
    assert [fault.split()[0] for fault in faults_of(files_of(checkout))] == ["app.py", "assets/style.css"]


def test_uncommitted_files_that_do_not_go_along_do_not_matter(checkout):
    write(checkout, "tests/test_more.py", "")
    write(checkout, "notes.txt", "")
    assert faults_of(files_of(checkout)) == []


def test_a_folder_that_an_outer_checkout_does_not_know_is_plain(checkout):
    inner = checkout / "runs" / "copy"
    for name in SENT:
        write(inner, name, (checkout / name).read_bytes())
    assert sorted(files_of(inner).paths) == SENT
    assert faults_of(files_of(inner)) == []


def test_a_folder_without_the_app_is_refused(tmp_path):
    with pytest.raises(DeployError, match=r"app\.py"):
        files_of(tmp_path)


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_in_any_file_is_refused(plain, secret):
    write(plain, "pipeline/keys.py", f"VALUE = 1  # {secret}\n")
    fault = only(faults_of(files_of(plain)))
    assert fault.startswith("pipeline/keys.py holds")
    assert secret not in fault, "the message does not spread the secret"


def test_ones_own_token_is_found_whatever_its_form(plain):
    write(plain, "models/liver/fold0/model.safetensors", b"\0" * 100_000 + b"plain-word-token")
    assert "your own token" in only(faults_of(files_of(plain), "plain-word-token"))


@pytest.mark.parametrize(
    "harmless",
    [
        "token = settings.token",
        "password: str",
        "hf_hub_download",
        "risk-" + "a" * 40,
        "api_key = ''",
        "TOKEN = 'FIBROREVIEW_REVIEWS_TOKEN'",
    ],
)
def test_words_about_secrets_are_none(harmless):
    assert secret_in(harmless.encode()) is None


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".env.local",
        "prod.env",
        "id_rsa",
        "server.key",
        "tls/cert.pem",
        "credentials.json",
        "scan.dcm",
        "pipeline/CASE.DCM",
        "patient.nii.gz",
        "models/p.nii",
        "assets/p.mha",
        "DICOMDIR",
        "reviews.csv",
        "reviews/2026.csv",
    ],
)
@pytest.mark.parametrize("kind", ["plain", "checkout"])
def test_patients_keys_and_reviews_are_refused_by_name(request, kind, name):
    folder = request.getfixturevalue(kind)
    write(folder, name, "x")
    if kind == "checkout":
        git(folder, "add", "-f", name)
        git(folder, "commit", "-q", "-m", "Add")
    assert only(faults_of(files_of(folder))).startswith(f"{name} may hold")


def test_code_about_them_and_examples_may_stay():
    for name in ("pipeline/secrets.py", "assets/examples/one.nii.gz", "pipeline/reviews.py", "docs/credentials.md"):
        assert suspicious_name(name) is None


def test_dicom_under_another_name_is_refused(plain):
    write(plain, "assets/examples/case.nii.gz", b"\0" * 128 + b"DICM")
    assert "DICOM" in only(faults_of(files_of(plain)))


def zip_of(*members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number, content in enumerate(members):
            archive.writestr(f"IM{number}", content)
    return packed.getvalue()


def dicom(removed: str | None) -> bytes:
    header = pydicom.Dataset()
    header.PatientName = "Somebody"
    if removed is not None:
        header.PatientIdentityRemoved = removed
    file = io.BytesIO()
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = pydicom.uid.MRImageStorage
    header.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    header.save_as(file, enforce_file_format=True)
    return file.getvalue()


@pytest.mark.parametrize(
    "members",
    [[dicom(None)], [dicom("NO")], [dicom("YES"), dicom(None)], [dicom("YES"), b"notes"], [b"\0" * 128 + b"DICM\1"]],
    ids=["not said", "not removed", "one of two", "another file", "damaged"],
)
def test_an_example_that_may_be_a_patient_is_refused(plain, members):
    write(plain, "assets/examples/case.zip", zip_of(*members))
    assert "may hold a patient's images" in only(faults_of(files_of(plain)))


def test_an_example_without_a_patient_and_a_damaged_one(plain):
    write(plain, "assets/examples/case.zip", zip_of(dicom("YES"), dicom("YES")))
    assert faults_of(files_of(plain)) == []
    write(plain, "assets/examples/case.zip", b"PK no zip")
    assert "damaged" in only(faults_of(files_of(plain)))


def test_large_files_links_and_pointers_are_refused(plain):
    write(plain, "models/liver/fold1/model.safetensors", b"\0" * (checks.LARGEST + 1))
    assert "10.0 MB" in only(faults_of(files_of(plain)))
    write(plain, "models/liver/fold1/model.safetensors", b"\0" * checks.LARGEST)
    assert faults_of(files_of(plain)) == []
    write(plain, "models/liver/fold1/model.safetensors", checks.LFS_POINTER + b"v1\noid sha256:1\n")
    assert "git lfs pull" in only(faults_of(files_of(plain)))
    (plain / "models/liver/fold1/model.safetensors").unlink()
    (plain / "pipeline" / "linked.py").symlink_to("/etc/hostname")
    assert "is a link" in only(faults_of(files_of(plain)))


@pytest.mark.parametrize("name", checks.NEEDED[1:])
def test_what_is_missing_is_named(plain, name):
    os.unlink(plain / name)
    assert only(faults_of(files_of(plain))).startswith(f"{name} is missing")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("sdk: gradio", "sdk: docker", "sdk must be"),
        ("sdk: gradio\n", "", "is missing"),
        ("6.31.0", "6.30.0", 'sdk_version must be "6.31.0", and is "6.30.0"'),
        ('"3.12"', '"3.13"', "python_version"),
        ('"3.12"', "3.12", "without quotes"),
        ("app_file: app.py", "app_file: main.py", "app_file"),
        ("license: apache-2.0\n", "", "no license"),
        ("title: FibroReview\n", "", "no title"),
        ("emoji: 🩻", "colorFrom: teal\nemoji: 🩻", "colorFrom"),
        ("emoji: 🩻", f"short_description: {'x' * 61}\nemoji: 🩻", "60 characters"),
        ("---\ntitle", "title", "does not begin with a YAML header"),
        ("title: FibroReview", "title: [", "does not begin with a YAML header"),
    ],
)
def test_each_fault_of_the_header_is_named(plain, old, new, said):
    assert old in README
    write(plain, "README.md", README.replace(old, new))
    assert said in only(list(header_faults(plain)))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("numpy", "numpy is not pinned"),
        ("numpy>=2", "numpy is not pinned"),
        ("-e .", "no plain requirement"),
        ("-r more.txt", "no plain requirement"),
        ("mine @ file:///opt/mine", "comes from an address"),
        ("numpy==2.0 ; python_version = '3'", "no plain requirement"),
    ],
)
def test_each_fault_of_the_requirements_is_named(plain, line, said):
    write(plain, "requirements.txt", f"gradio==6.31.0\n{line}\n")
    assert said in only(list(requirement_faults(plain / "requirements.txt")))


def test_markers_are_those_of_the_space(plain):
    write(plain, "requirements.txt", "gradio==6.31.0 ; python_version < '3.12'\n")
    assert "not pinned for Python 3.12" in only(list(requirement_faults(plain / "requirements.txt")))
    write(
        plain, "requirements.txt", "gradio==6.0 ; sys_platform == 'win32'\ngradio==6.31.0 ; sys_platform == 'linux'\n"
    )
    assert list(header_faults(plain)) == []


UNRESOLVED = checks._unresolved


def test_pins_that_contradict_each_other_are_found_without_an_index(plain, monkeypatch):
    monkeypatch.setattr(checks, "_unresolved", UNRESOLVED)
    write(plain, "requirements.txt", "gradio==6.31.0\n")
    assert list(requirement_faults(plain / "requirements.txt")) == [], "what uv cannot look up is no fault"
    write(plain, "requirements.txt", "gradio==6.31.0\ngradio==6.30.0\n")
    if UNRESOLVED(plain / "requirements.txt") is None:
        pytest.skip("no uv here")
    assert "cannot be installed" in only(list(requirement_faults(plain / "requirements.txt")))


def test_a_dry_run_lists_and_contacts_nobody(checkout, hub):
    found = CliRunner().invoke(app, ["deploy", "me/app", "--dry-run", "--folder", str(checkout)])
    assert found.exit_code == 0, found.output
    assert [line.split()[-1] for line in found.output.splitlines()[: len(SENT)]] == sorted(SENT)
    total = sum((checkout / path).stat().st_size for path in SENT)
    assert f"{total:,}  bytes in {len(SENT)} files" in found.output
    assert hub.asked == []


def test_the_command_prints_the_address(checkout, hub, monkeypatch):
    monkeypatch.setenv("FIBROREVIEW_REVIEWS_TOKEN", "only-for-reviews")
    words = ["deploy", "me/app", "--hardware", "zero-a10g", "--reviews", "me/reviews", "--folder", str(checkout)]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0, found.output
    assert found.stdout == f"{hub.address}/spaces/me/app\n"
    assert hub.repo("spaces/me/app").hardware == "zero-a10g"


def test_the_command_sends_nothing_that_is_faulty(checkout, hub):
    write(checkout, "app.py", f"TOKEN = {A_TOKEN!r}\n")
    found = CliRunner().invoke(app, ["deploy", "app", "--folder", str(checkout)])
    assert found.exit_code == 2
    assert len(found.stderr.splitlines()) == 3
    assert A_TOKEN not in found.output
    assert hub.asked == []


def test_this_app_can_be_deployed():
    """Whatever is uncommitted while it is worked on."""
    files = files_of(HERE)
    assert [fault for fault in faults_of(files) if "is not committed" not in fault] == []
    assert sum(map(files.size, files.paths)) < 60e6
    assert not [path for path in files.paths if path.startswith(("tests/", "benchmarks/", "docs/", "assets/screens"))]
