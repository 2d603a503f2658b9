"""What an upload may look like, checked while it arrives; and its temporary files, deleted however it ends.

Gradio's parser takes a codec from the request (some take minutes), keeps fields that are no files in memory, and leaves
temporary files behind when an upload is cut off or its files are not asked for.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import gradio.route_utils
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.types import Message, Receive

LARGEST_UPLOAD = (1 << 30) + (32 << 20)
"""Size of all files of one upload with their headers, bytes."""
LARGEST_HEADER = 8 << 10
"""Headers of one file, bytes."""
FORM = re.compile(r'multipart/form-data;\s*boundary="?(?P<boundary>[\w\'()+,./:=?-]{1,70})"?', re.ASCII)
ODD = "This is no upload of the page."
TOO_MUCH = "These files have more than 1 GB together; upload the T2 series alone."
_made: ContextVar[list[Path] | None] = ContextVar("temporary files of this upload", default=None)


class UploadFault(Exception):  # noqa: N818 - it is answered, not raised to the user
    """An upload that is refused: an HTTP status and a sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of a multipart form, as browsers write it; None for everything else, a codec included."""
    found = FORM.fullmatch(content_type.strip())
    return found["boundary"].encode() if found else None


class UploadGuard:
    """``receive`` of an upload: raises ``UploadFault`` at the first byte that no page sends."""

    def __init__(self, receive: Receive, content_type: str) -> None:
        boundary = boundary_of(content_type)
        if boundary is None:
            raise UploadFault(400, ODD)
        self._receive, self._left = receive, LARGEST_UPLOAD
        self._name, self._value, self._headers = bytearray(), bytearray(), dict[bytes, bytes]()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": lambda data, start, end: self._add(self._name, data[start:end]),
                "on_header_value": lambda data, start, end: self._add(self._value, data[start:end]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
            },
        )

    async def receive(self) -> Message:
        message = await self._receive()
        body = message.get("body", b"")
        self._left -= len(body)
        if self._left < 0:
            raise UploadFault(413, TOO_MUCH)
        try:
            self._parser.write(body)
        except MultipartParseError as error:
            raise UploadFault(400, ODD) from error
        return message

    def _add(self, to: bytearray, part: bytes) -> None:
        to += part
        if len(to) > LARGEST_HEADER:
            raise UploadFault(400, ODD)

    def _header_end(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _headers_finished(self) -> None:
        """Each part is a file of the page's field: others would be kept in memory, or on the disk without an owner."""
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if options.get(b"name") != b"files" or b"filename" not in options:
            raise UploadFault(400, ODD)


def record_temporary_files() -> None:
    """Let Gradio's parser note the temporary files that it makes, for ``temporary_files``."""
    vars(gradio.route_utils)["NamedTemporaryFile"] = _recorded


def _recorded(*arguments: Any, **named: Any) -> Any:
    file = tempfile.NamedTemporaryFile(*arguments, **named)  # noqa: SIM115 - Gradio closes it
    made = _made.get()
    if made is not None:
        made.append(Path(file.name))
    return file


@contextmanager
def temporary_files() -> Iterator[None]:
    """Delete what is left of the temporary files that are made inside, however the block ends."""
    made = list[Path]()
    token = _made.set(made)
    try:
        yield
    finally:
        _made.reset(token)
        for file in made:
            file.unlink(missing_ok=True)
