"""The command line with stand-in models: what it prints, writes and leaves behind."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from unittest.mock import create_autospec

import pytest
import SimpleITK as sitk
from rich.console import Console
from rich.progress import Progress
from typer.testing import CliRunner, Result

from pipeline import __main__ as cli
from pipeline.case import Step, Study, Volume
from pipeline.errors import ManifestError, ModelError, SegmentationError
from pipeline.intake import read_series
from pipeline.simulation.options import SimulationOptions
from pipeline.training.segmenter.options import ExportOptions, SegmenterTraining
from tests.builders import NOTE, make_analysis
from tests.phantoms import make_volume_image, write_dicom_series, zip_folder

ROOT = Path(__file__).parents[2]
MODELS = [ROOT / "models" / name / "model.json" for name in ("liver_t2", "fibrosis_t2")]
SHARES = (0.1, 0.4, 0.9)


class StandIn(ModuleType):
    """``pipeline.analysis`` without torch: remembers what it was asked, and answers with a hand-made analysis."""

    def __init__(self) -> None:
        super().__init__("pipeline.analysis")
        self.loaded: list[tuple[str, str, str, bool]] = []
        self.volumes: list[Volume] = []
        self.fault: Exception | None = None
        self.analysis = make_analysis()

    def load_models(self, segmenter: str, classifier: str, device: str, *, exact: bool) -> str:
        sys.stdout.write("a library that prints")
        warnings.warn("a library that warns", stacklevel=1)
        if segmenter == "none":
            raise ModelError("There is no segmenter of this name.")
        self.loaded.append((segmenter, classifier, device, exact))
        return "models"

    def analyze_steps(self, study: Study, key: str, models: str, *, any_input: bool) -> Iterator[Step]:
        self.volumes.append(read_series(study, key))
        for share in SHARES:
            yield Step("Working", share)
        if self.fault:
            raise self.fault
        yield Step("Done", 1.0, replace(self.analysis, timings_s={"read": 0.5, "segment": 2.0, "total": 2.5}))


@pytest.fixture
def models(monkeypatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, "pipeline.analysis", stand_in)
    return stand_in


@pytest.fixture
def nifti(tmp_path) -> Path:
    file = tmp_path / "input.nii.gz"
    sitk.WriteImage(make_volume_image(), str(file))
    return file


@pytest.fixture(scope="module")
def two_series(tmp_path_factory) -> Path:
    """A zip with an axial T2 and a sagittal series."""
    folder = tmp_path_factory.mktemp("study") / "study"
    write_dicom_series(make_volume_image(), folder / "axial")
    write_dicom_series(make_volume_image((24, 24, 24), orientation="PIL"), folder / "sagittal")
    return zip_folder(folder)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def refused(result: Result) -> str:
    """The one line on standard error."""
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return result.stderr.strip()


def test_analyze_writes_all_files_and_keeps_the_input(models, nifti, tmp_path):
    before = nifti.read_bytes()
    result = run("analyze", nifti, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "analysis.json",
        "liver_mask.nii.gz",
        "organs.nii.gz",
        "heatmap.nii.gz",
        "report.pdf",
        "report.png",
    }
    assert nifti.read_bytes() == before
    assert models.volumes[0].image.GetSize() == make_volume_image().GetSize()


def test_the_summary_names_probability_note_and_research_use(models, nifti, tmp_path):
    answer = run("analyze", nifti, "-o", tmp_path / "out").stdout
    assert "LSM > 12 kPa: 0.62" in answer
    assert NOTE in answer
    assert "Research use only. Not a medical device." in answer
    assert "Warning: The slices are 20 mm apart" in answer


def test_the_summary_tells_the_ensembles_range_and_an_indeterminate_answer(models, nifti, tmp_path):
    answer = run("analyze", nifti, "-o", tmp_path / "out").stdout
    assert "0.62, positive: at or above the operating point 0.48" in answer
    assert "The ensemble's members, lowest to highest: 0.51 to 0.70" in answer
    fibrosis = replace(models.analysis.fibrosis, indeterminate=(0.3, 0.7))
    models.analysis = replace(models.analysis, fibrosis=fibrosis)
    answer = run("analyze", nifti, "-o", tmp_path / "out").stdout
    assert "0.62, indeterminate:" in answer
    assert "between the rule-out point 0.30 and the rule-in point 0.70" in answer


def test_json_is_the_file_and_nothing_else(models, nifti, tmp_path):
    result = run("analyze", nifti, "-o", tmp_path / "out", "--json")
    assert result.stdout == (tmp_path / "out" / "analysis.json").read_text()
    assert result.stderr == ""
    timings = json.loads(result.stdout)["timings_s"]
    assert list(timings) == ["read", "segment", "write", "total"]
    assert timings["total"] == pytest.approx(2.5 + timings["write"], abs=0.01)


def test_json_alone_writes_no_files(models, nifti, tmp_path):
    assert json.loads(run("analyze", nifti, "--json").stdout)["schema"] == 1
    assert list(tmp_path.iterdir()) == [nifti]


def test_without_a_folder_nothing_is_computed(models, nifti):
    result = run("analyze", nifti)
    assert result.exit_code == 2
    assert "-o" in result.stderr
    assert models.volumes == []


def test_models_and_device_are_passed_on(models, nifti):
    named = ["--segmenter", "liver_t2/fold1", "--classifier", "/x", "--device", "cpu"]
    run("analyze", nifti, "--json", *named)
    run("analyze", nifti, "--json", *named, "--exact")
    assert models.loaded == [("liver_t2/fold1", "/x", "cpu", exact) for exact in (False, True)]


def damaged(tmp_path: Path, content: bytes, name: str) -> Path:
    file = tmp_path / name
    file.write_bytes(content)
    return file


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path / "missing.nii.gz",
        lambda path: damaged(path, b"", "empty.nii.gz"),
        lambda path: damaged(path, b"\x1f\x8b not gzip", "damaged.nii.gz"),
        lambda path: damaged(path, b"some words\n", "words.txt"),
        lambda path: damaged(path, b"PK\x05\x06" + b"\0" * 18, "empty.zip"),
    ],
    ids=["missing", "empty", "damaged", "text", "empty zip"],
)
def test_a_wrong_input_is_one_line_and_leaves_nothing(models, tmp_path, make: Callable[[Path], Path]):
    source = make(tmp_path)
    message = refused(run("analyze", source, "-o", tmp_path / "out"))
    assert message.endswith(".")
    assert source.stem not in message
    assert not (tmp_path / "out").exists()
    assert models.loaded == []  # refused before seconds go into loading


def test_no_liver_is_one_line_and_leaves_nothing(models, nifti, tmp_path):
    models.fault = SegmentationError("No liver was found in these images.")
    assert refused(run("analyze", nifti, "-o", tmp_path / "out", "--json")) == "No liver was found in these images."
    assert not (tmp_path / "out").exists()


def test_a_wrong_model_is_one_line(models, nifti, tmp_path):
    assert "no segmenter" in refused(run("analyze", nifti, "-o", tmp_path / "out", "--segmenter", "none"))
    assert not (tmp_path / "out").exists()


def test_a_failure_leaves_the_folder_as_it_was(models, nifti, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    models.fault = SegmentationError("No liver was found in these images.")
    refused(run("analyze", nifti, "-o", tmp_path / "out"))
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("command", [["train-classifier"], ["evaluate"], ["predict-masks"]])
def test_a_folder_that_cannot_be_made_is_one_line_without_its_path(tmp_path, command):
    (tmp_path / "taken").touch()
    manifest = tmp_path / "manifest.csv"
    (tmp_path / "i.nii").touch()
    manifest.write_text("patient_id,image,mask,metavir,label_source,split\np1,i.nii,i.nii,F3,histology,test\n")
    message = refused(run(*command, manifest, "-o", tmp_path / "taken" / "below"))
    assert "taken" not in message


def test_an_output_that_cannot_be_written_is_one_line(models, nifti, tmp_path):
    assert "cannot be written" in refused(run("analyze", nifti, "-o", nifti / "out"))


def test_the_likely_series_is_taken_unless_another_is_named(models, two_series):
    run("analyze", two_series, "--json")
    run("analyze", two_series, "--json", "--series", "2")
    assert [volume.source.plane for volume in models.volumes] == ["axial", "sagittal"]


def test_a_series_is_named_by_key_too(models, two_series):
    listing = run("analyze", two_series, "--list").stdout
    key = next(line.split()[1] for line in listing.splitlines() if "sagittal" in line.split())
    run("analyze", two_series, "--json", "--series", key)
    assert models.volumes[0].source.plane == "sagittal"


def test_an_unknown_series_is_refused(models, two_series):
    assert "--list" in refused(run("analyze", two_series, "--json", "--series", "3"))


def test_the_list_shows_the_series_and_loads_no_model(models, two_series):
    result = run("analyze", two_series, "--list")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["no.", "1", "2"]
    assert models.loaded == []


def test_the_bar_moves_with_the_steps(models, nifti, monkeypatch):
    seen: list[float] = []

    class Watched(Progress):
        def update(self, *arguments, completed=None, **options):
            if completed is not None:
                seen.append(completed)
            super().update(*arguments, completed=completed, **options)

    monkeypatch.setattr("pipeline.commands.analyze.progress_bar", lambda: Watched(console=Console(file=io.StringIO())))
    run("analyze", nifti, "--json")
    assert seen == [*SHARES, 1.0]


def test_nothing_is_drawn_where_nobody_looks(models, nifti):
    assert run("analyze", nifti, "--json").stderr == ""


def test_help_loads_no_heavy_library():
    code = "import sys, pipeline.__main__; print(*{'torch', 'SimpleITK', 'matplotlib', 'pandas'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout.strip() == ""


@pytest.mark.parametrize(
    ("command", "function", "given"),
    [
        (
            ["simulate", "-o", "out", "--cases", "3"],
            "simulation.simulate.simulate",
            {"options": SimulationOptions(cases=3)},
        ),
        (
            ["train-segmenter", "data", "-o", "out", "--fold", "1", "--no-resume"],
            "training.segmenter.train.train_segmenter",
            {"fold": 1, "training": SegmenterTraining(resume=False)},
        ),
        (
            ["evaluate-segmenter", "data", "--device", "cpu"],
            "evaluation.segmenter.evaluate_segmenter",
            {"device": "cpu"},
        ),
        (
            ["models", "export", "result", "-o", "out", "--trained-on", "ours"],
            "training.segmenter.export.convert",
            {"options": ExportOptions("ours")},
        ),
        (
            ["train-classifier", "cohort.csv", "-o", "out", "--fold", "1"],
            "training.classifier.train.train_classifier",
            {"fold": 1},
        ),
    ],
)
def test_training_commands_pass_their_options_on(monkeypatch, command, function, given):
    """The stand-in takes only what the real function takes. A wrong manifest names its rows, and exits with 2."""
    module, name = f"pipeline.{function}".rsplit(".", 1)
    stand_in = create_autospec(getattr(import_module(module), name))
    stand_in.side_effect = ManifestError("row 2: no image.\nrow 5: no label.")
    monkeypatch.setattr(f"{module}.{name}", stand_in)
    result = run(*command)
    assert given.items() <= stand_in.call_args.kwargs.items()
    assert result.exit_code == 2
    assert result.stderr == "row 2: no image.\nrow 5: no label.\n"


@pytest.mark.skipif(not all(file.is_file() for file in MODELS), reason="the weights in models/ are not there")
def test_the_shipped_models_analyse_a_phantom(tmp_path):
    """One member of each, and a volume that is one tile of the segmenter's."""
    from pipeline.simulation.phantom.phantom import make_phantom

    image, _ = make_phantom(3, size_xyz=(100, 80, 20), spacing_mm_xyz=(3.0, 3.0, 12.0))
    sitk.WriteImage(image, str(tmp_path / "phantom.nii.gz"))
    command = [sys.executable, "-m", "pipeline", "analyze", tmp_path / "phantom.nii.gz", "-o", tmp_path / "out"]
    command += ["--segmenter", "liver_t2/fold0", "--classifier", "fibrosis_t2/fold0", "--json", "--device", "cpu"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert found == json.loads((tmp_path / "out" / "analysis.json").read_text())
    assert found["liver"]["volume_ml"] > 500
    mask = sitk.ReadImage(str(tmp_path / "out" / "liver_mask.nii.gz"))
    assert mask.GetSize() == image.GetSize()


@pytest.mark.parametrize(
    "command", ["analyze", "import-cirrmri600", "predict-masks", "train-classifier", "train-segmenter", "evaluate"]
)
def test_a_file_to_write_into_is_refused_in_one_sentence_and_kept(tmp_path, command):
    (tmp_path / "taken").write_text("mine")
    refused = CliRunner().invoke(cli.app, [command, str(tmp_path), "-o", str(tmp_path / "taken")])
    assert (refused.exit_code, refused.stderr) == (2, "The output is a file; name a folder with -o.\n")
    assert (tmp_path / "taken").read_text() == "mine"
