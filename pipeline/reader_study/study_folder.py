"""Files of a reader study.

study.yaml            protocol, fixed once the first read is stored
reference.csv         case_id, truth (1 or 0): never part of any response to a reader
accounts.json         hashed passwords and invitation tokens
cases/CASE_ID/        what is shown of a case: images, overlays, analysis.json, liver_mask.nii.gz
reviews/              reviews-*.csv: the rows, append-only
corrected/REVIEW_ID/  corrected masks, by the row that they belong to
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.files import json_sha256
from pipeline.errors import StudyError
from pipeline.reader_study.protocol import Protocol, read_protocol


@dataclass(frozen=True)
class StudyFolder:
    """Paths of a study's files."""

    root: Path

    @property
    def protocol_file(self) -> Path:
        return self.root / "study.yaml"

    @property
    def reference_file(self) -> Path:
        return self.root / "reference.csv"

    @property
    def accounts_file(self) -> Path:
        return self.root / "accounts.json"

    @property
    def reviews(self) -> Path:
        return self.root / "reviews"

    def case(self, case_id: str) -> Path:
        return self.root / "cases" / case_id

    def corrected(self, review_id: str) -> Path:
        return self.root / "corrected" / review_id

    def read_protocol(self) -> Protocol:
        """Raises: StudyError: as ``read_protocol``."""
        return read_protocol(self.protocol_file)

    def read_reference(self) -> dict[str, bool]:
        """Truth by case: whether the case has the condition.

        Raises:
            StudyError: the file cannot be read, or a truth is neither 1 nor 0.
        """
        try:
            with self.reference_file.open(newline="", encoding="utf-8") as stream:
                rows = [(row["case_id"], row["truth"]) for row in csv.DictReader(stream)]
        except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
            raise StudyError("reference.csv cannot be read: it needs the columns case_id and truth.") from error
        if any(truth not in ("0", "1") for _, truth in rows):
            raise StudyError("reference.csv: truth must be 1 or 0 in every row.")
        return {case_id: truth == "1" for case_id, truth in rows}

    def reference_of(self, protocol: Protocol) -> dict[str, bool]:
        """``read_reference``, unless it is another than the protocol was written with.

        Raises:
            StudyError: as ``read_reference``, or it was changed.
        """
        truth = self.read_reference()
        if protocol.reference_sha256 not in (None, reference_sha256(truth)):
            raise StudyError("reference.csv was changed since the study was prepared: put the old file back.")
        return truth


def reference_sha256(truth: Mapping[str, bool]) -> str:
    """Hash of the truth by case, the same for every order of the rows."""
    return json_sha256(dict(truth))
