"""Columns of a target that are shorter than Snowflake's longest: rows too long for them, found before they are staged.

The real service refuses the whole MERGE for one such value; an emulator may store it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.model.typemap import BINARY_LIMIT, TEXT_LIMIT, Field
from pgsnow.snowflake.column_types import ColumnType

_LONGEST = {"VARCHAR": TEXT_LIMIT, "BINARY": BINARY_LIMIT}
_LENGTH = {"VARCHAR": pc.utf8_length, "BINARY": pc.binary_length}
_UNIT = {"VARCHAR": "characters", "BINARY": "bytes"}


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that one column takes: characters of a VARCHAR, bytes of a BINARY."""

    source: str
    target: str
    family: str
    length: int


def limits_of(columns: Mapping[str, str], output: Sequence[Field]) -> tuple[Limit, ...]:
    """The limits below Snowflake's own, in `columns` as `ensure_target` returns them."""
    found = []
    for field in output:
        kind = ColumnType.parse(columns.get(field.target, ""))
        longest = _LONGEST.get(kind.family)
        if longest is not None and kind.arguments and kind.arguments[0] < longest:
            found.append(Limit(field.source, field.target, kind.family, kind.arguments[0]))
    return tuple(found)


def over_limit(rows: pa.RecordBatch, limits: Sequence[Limit]) -> list[tuple[int, str, str]]:
    """(row's index, reason, source column) of each row with a value too long, each row once.

    `rows` has the columns of the output under their source names. No limits: nothing is looked at.
    """
    found: dict[int, tuple[int, str, str]] = {}
    for limit in limits:
        lengths = _LENGTH[limit.family](rows.column(limit.source))
        for at in pc.indices_nonzero(pc.greater(lengths, limit.length)).to_pylist():
            unit = _UNIT[limit.family]
            reason = f"{lengths[at].as_py()} {unit}; the target's column {limit.target} takes {limit.length}"
            found.setdefault(at, (at, reason, limit.source))
    return [found[at] for at in sorted(found)]
