"""From a row's cells, of this or an earlier schema, to what its columns say."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipeline.errors import ReviewError
from pipeline.reviews.cells import said
from pipeline.reviews.record import COLUMNS, SCHEMA, reader_code

_ESCAPED_1 = re.compile(r"^'(?=[=+\-@＝＋－＠])")
"""How schema 1 marked a formula; a reader's own apostrophe there cannot be told from it."""


def texts_of(cells: Mapping[str, str]) -> dict[str, str]:
    """What each of ``COLUMNS`` says, in the words of this schema; columns that the row lacks are empty.

    A row of a newer schema is read as far as its columns are known.
    """
    schema = int(cells["schema"])
    texts = {column: cells.get(column, "") for column in COLUMNS}
    if schema < 2:
        texts = {column: _ESCAPED_1.sub("", text) for column, text in texts.items()}
    else:
        texts = {column: said(text) if "'" in text else text for column, text in texts.items()}
    texts["reader"] = reader_code(texts["reader"])
    return texts | {"schema": str(max(schema, SCHEMA))}


def refuse_newer(cells: Mapping[str, str]) -> None:
    """Refuse a row that a newer version of this software has written.

    Raises:
        ReviewError: says which schema it has.
    """
    schema = int(cells["schema"])
    if schema > SCHEMA:
        raise ReviewError(
            f"The reviews were saved by a newer version of FibroReview (schema {schema}, known up to {SCHEMA}); "
            "update FibroReview and try again."
        )
