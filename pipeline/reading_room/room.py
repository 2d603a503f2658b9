"""One study while it is read: protocol, rows and accounts, and from them the state of everything."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.files import write_json
from pipeline.errors import StudyError
from pipeline.reader_study.accounts import Accounts
from pipeline.reader_study.case_files import CaseFiles
from pipeline.reader_study.protocol import Protocol
from pipeline.reader_study.study_folder import StudyFolder
from pipeline.reader_study.study_rows import StudyRows
from pipeline.reader_study.work_list import AIDED, WorkList, work_list
from pipeline.reviews.shown import ShownLedger

CLOSED = "closed.json"


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Room:
    """A study that is open for reading, or closed. Keeps no state but what its folder holds."""

    folder: StudyFolder
    protocol: Protocol
    rows: StudyRows
    accounts: Accounts
    shown: ShownLedger
    """What of the AI's results readers were shown."""
    now: Callable[[], datetime] = utc_now

    @classmethod
    def open(cls, root: Path, now: Callable[[], datetime] = utc_now) -> Room:
        """Open the study in ``root``.

        Raises:
            StudyError: the folder holds no study, its protocol was changed after reads were stored, or it has no
                accounts.
        """
        folder = StudyFolder(root)
        protocol = folder.read_protocol()
        rows = StudyRows(folder.reviews)
        rows.refuse_changed(protocol)
        accounts = Accounts(folder.accounts_file)
        accounts.all()
        return cls(folder, protocol, rows, accounts, ShownLedger(folder.reviews), now)

    @property
    def closed(self) -> dict[str, Any] | None:
        """When and how complete the study was closed; None while it is read.

        Raises:
            StudyError: ``closed.json`` is damaged.
        """
        file = self.folder.root / CLOSED
        if not file.exists():
            return None
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StudyError("closed.json is damaged; the study stays closed.") from error
        return found if isinstance(found, dict) else {}

    def close(self, by: str) -> None:
        """Close the study for good: no read is taken any more, and results may be seen. Closing again does nothing."""
        if self.closed is not None:
            return
        lists = [self.work(one.reader) for one in self.protocol.readers]
        write_json(
            self.folder.root / CLOSED,
            {
                "closed_at": self.now().isoformat(timespec="seconds"),
                "closed_by": by,
                "reads": sum(len(one.first) for one in lists),
                "of": sum(len(one.reads) for one in lists),
                "protocol_sha256": self.protocol.sha256,
            },
        )

    def work(self, reader: str) -> WorkList:
        """Raises: StudyError: no reader of this study."""
        return work_list(self.protocol, reader, self.rows.all())

    def files(self, case_id: str) -> CaseFiles:
        return CaseFiles(self.folder.case(case_id))

    def experience(self, reader: str) -> str:
        return next((one.experience for one in self.protocol.readers if one.reader == reader), "")

    def record_shown(self, reader: str, session: str, case_id: str) -> None:
        """The AI's result of this case is about to be sent to this reader."""
        self.shown.record_reader(session, reader)
        self.shown.record_shown(session, case_id)

    def revealed(self, reader: str, case_id: str) -> bool:
        """Whether this reader was shown the AI's result of this case, in any session."""
        stored = any(
            row["reader"] == reader and row["case_id"] == case_id and row["arm"] == AIDED for row in self.rows.all()
        )
        return stored or self.shown.has_seen(reader, "", case_id)
