"""Rejected rows of tables without a key: what they are called in the quarantine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from pgsnow.model.batch import Rejected
from pgsnow.model.metadata_columns import HASH_COLUMN

SHOWN = 10_000
"""Characters of one value that are kept, as of rows with a key."""


def without_key(row: Mapping[str, str | None], reason: str, column: str | None) -> Rejected:
    """`row`: column → text as it was read. The key is a digest of all of it: equal rows are one entry, and a row that
    was mended is another. The payload is what was read, long texts cut."""
    told = json.dumps(list(row.items()), ensure_ascii=True)
    digest = hashlib.blake2b(told.encode(), digest_size=16).hexdigest()
    return Rejected({HASH_COLUMN: digest}, reason, column, {name: _cut(text) for name, text in row.items()})


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= SHOWN:
        return text
    return f"{text[:SHOWN]}… ({len(text)} characters)"
