"""What must not leave the server before its time, and a search through responses for it."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator

from httpx import Response

from pipeline.reader_study.work_list import Read
from tests.reading_room.clients import Person, Trial

NAMES = (
    "liver.nii.gz", "outline.nii.gz", "heat.nii.gz", "doubt.nii.gz", "liver_mask.nii.gz", "organs.nii.gz",
    "analysis.json", "overlays.json", "images.json", "prepared.json", "volume.nii.gz", "volume.nii", "report.pdf",
    "reference.csv", "study.yaml", "accounts.json", "..%2foverlays.json", "..%2f..%2freference.csv",
    "%2e%2e/%2e%2e/study.yaml", "volume.nii.gz%00heat.nii.gz", "reviews.csv",
)  # fmt: skip
"""File names that somebody may guess."""


class Secrets:
    """Of one case: the probability's digits, and the bytes and voxels of mask, outline and heat map."""

    def __init__(self, trial: Trial, case_id: str) -> None:
        folder = trial.folder.case(case_id)
        analysis = json.loads((folder / "analysis.json").read_text())
        probability = analysis["fibrosis"]["probability"]
        self.texts = [str(probability).encode(), f"{100 * probability:.0f} %".encode(), case_id.encode()]
        self.texts += [
            str(analysis["liver"]["volume_ml"]).encode(),
            f"{analysis['liver']['volume_ml']:.0f} mL".encode(),
        ]
        overlays = ("liver", "outline", "heat", "liver_mask")
        files = [(folder / f"{name}.nii.gz").read_bytes() for name in overlays]
        self.files = [content[20:80] for content in files]
        self.voxels = [gzip.decompress(content)[352:] for content in files]

    def found_in(self, answer: Response) -> list[str]:
        """What of it an answer holds, in any of the ways in which it could."""
        content = answer.content + str(answer.headers).encode()
        held = [content, *_unpacked(content), *_decoded(content)]
        found = [text.decode() for text in self.texts if any(text in one for one in held)]
        found += ["file" for part in self.files if any(part in one for one in held)]
        return found + ["voxels" for part in self.voxels if any(part in one for one in held)]


def _unpacked(content: bytes) -> Iterator[bytes]:
    if content[:2] == b"\x1f\x8b":
        yield gzip.decompress(content[: content.rindex(b"Headers(")])


def _decoded(content: bytes) -> Iterator[bytes]:
    """What is in ``data:`` addresses."""
    for part in content.split(b"base64,")[1:]:
        yield base64.b64decode(part.split(b'"')[0].strip() + b"==", validate=False)


def everything_asked(person: Person, reads: tuple[Read, ...]) -> Iterator[tuple[str, Response]]:
    """The answer to every address that there is, and to many that are guessed, for every read."""
    client = person.client
    pages = ["/", "/login", "/invite", "/read", "/coordinator", "/export.csv", "/feedback", "/healthz", "/closed.json"]
    for page in pages:
        yield page, client.get(page)
    for number in (*range(len(reads) + 3), -1, 10**9):
        for page in (f"/read?number={number}", f"/feedback?number={number}", f"/correct?number={number}"):
            yield page, client.get(page)
        for name in NAMES:
            yield f"/files/{number}/{name}", client.get(f"/files/{number}/{name}")
        for case in (f"unaided-{number}", f"aided-{number}", f"{number}"):
            wish = {"case": case, "index": 6, "window": [0, 400], "outline": 1, "fill": 1, "heat": 1, "doubt": 1}
            yield f"/slice {case}", client.post("/slice", json=wish)
    for read in reads:
        for address in (read.case_id, f"cases/{read.case_id}/liver.nii.gz", f"files/{read.case_id}/liver.nii.gz"):
            yield f"/{address}", client.get(f"/{address}")
