"""The protocol of a reader study: what is fixed before the first read, and hashed into every row."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.files import json_sha256, write_text
from pipeline.errors import StudyError
from pipeline.reviews.record import is_reader_code

WASHOUT_DAYS = 28
"""Default time between the two reads of a case by one reader in a crossover study, days (FDA on CADe, 2022)."""

ORDER = (
    "Practice cases first, in the order of `cases`; then the others, shuffled for each reader and sitting by Python's "
    "random.Random('SEED:READER:SITTING')."
)
SCALES = {
    "suspicion": "0 to 100, no default position",
    "advanced_fibrosis": "yes, no, not_assessable",
    "confidence": "1 (low) to 5 (high)",
    "agreement": "agree, disagree, unsure (aided reads)",
    "segmentation_quality": "1 (excellent), 2 (acceptable), 3 (poor) (aided reads)",
}
"""What is asked, and the answers."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Text = Annotated[str, Field(max_length=4000)]


class Design(StrEnum):
    """How the two reads of a case by one reader follow each other."""

    SEQUENTIAL = "sequential"
    """Unaided read, lock, reveal, aided read, in one sitting."""
    CROSSOVER = "crossover"
    """Unaided and aided reads in two sittings with a washout between them; half of the readers begin with each arm."""


class FigureOfMerit(StrEnum):
    """Figure that the primary analysis compares."""

    AUC = "auc"
    SENSITIVITY = "sensitivity"
    SPECIFICITY = "specificity"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StudyCase(_Part):
    """One case, by its pseudonym; its files are in the study's folder."""

    case_id: Code
    practice: bool = False
    """Read first, with feedback; no part of any analysis."""
    image_sha256: Sha256
    """Hash of the voxels and the geometry that readers see."""
    analysis_sha256: Sha256
    """Hash of the stored ``analysis.json``."""
    files_sha256: Sha256 | None = None
    """Hash over all files of the case's folder."""


class StudyReader(_Part):
    """One reader, by a code and never a name."""

    reader: Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9_-]{1,11}$")]
    experience: Annotated[str, Field(max_length=200)] = ""


class StudyModel(_Part):
    """A model, by its name and the hash of all its files."""

    name: Annotated[str, Field(max_length=200)]
    sha256: Sha256


class Protocol(_Part):
    """``study.yaml``."""

    version: Literal[1] = 1
    study: Code
    """Name of the study in every row."""
    question: Text = ""
    design: Design
    seed: Annotated[int, Field(ge=0, lt=1 << 31)]
    """Seed of the order of cases and of the assignment of readers to orders of the arms."""
    washout_days: Annotated[float, Field(ge=0, le=3650)] = WASHOUT_DAYS
    """Time between the sittings of a crossover study."""
    primary_end_point: Text = ""
    figure_of_merit: FigureOfMerit = FigureOfMerit.AUC
    reference_standard: Text = ""
    positive_class: Text = ""
    """What a case with truth 1 has."""
    reference_sha256: Sha256 | None = None
    """Hash of the truth of every case (``reference_sha256``)."""
    segmenter: StudyModel
    classifier: StudyModel
    app_version: str
    order: Text = ORDER
    answer_scales: dict[str, str] = Field(default_factory=lambda: dict(SCALES))
    readers: tuple[StudyReader, ...]
    cases: tuple[StudyCase, ...]

    @property
    def sha256(self) -> str:
        """Hash of the content, the same for every layout of the file."""
        return json_sha256(self.model_dump(mode="json"))


def read_protocol(file: Path) -> Protocol:
    """Read and check ``study.yaml``.

    Raises:
        StudyError: the file cannot be read, or one sentence on the first fault.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        protocol = Protocol.model_validate(content)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StudyError(f"{file.name} cannot be read; give the folder that `study init` wrote.") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise StudyError(f"{file.name}: {place}: {first['msg']}.") from error
    if wrong := [one.reader for one in protocol.readers if not is_reader_code(one.reader)]:
        raise StudyError(f"{file.name}: {wrong[0]} is no reader code: 2 to 12 letters and digits, at least one digit.")
    return protocol


def write_protocol(file: Path, protocol: Protocol) -> None:
    """Atomic replacement of ``study.yaml``."""
    content = protocol.model_dump(mode="json")
    write_text(file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120))
