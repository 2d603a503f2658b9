"""Answers that are a refusal."""

from __future__ import annotations

from pipeline.errors import StudyError


class Refused(StudyError):  # noqa: N818 - most are no fault, as a read that is not open yet
    """A request that is answered by a status and one sentence; the same for what is not there and what is not yours."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
