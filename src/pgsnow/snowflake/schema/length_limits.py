"""Columns of a target that are shorter than Snowflake's maximum: values too long for them are found before staging.

Snowflake rejects the whole MERGE for one such value; an emulator may store it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.model.types.mapping import BINARY_LIMIT, TEXT_LIMIT, Field
from pgsnow.model.types.overflow import NEVER_OF_KEYS, Overflow
from pgsnow.model.types.snowflake_types import ColumnType

_LONGEST = {"VARCHAR": TEXT_LIMIT, "BINARY": BINARY_LIMIT}
_LENGTH = {"VARCHAR": pc.utf8_length, "BINARY": pc.binary_length}
_BEGINNING = {"VARCHAR": pc.utf8_slice_codeunits, "BINARY": pc.binary_slice}
_UNIT = {"VARCHAR": "characters", "BINARY": "bytes"}


@dataclass(frozen=True, slots=True)
class Limit:
    """The maximum length of one column: characters of a VARCHAR, bytes of a BINARY."""

    source: str
    target: str
    family: str
    length: int
    overflow: Overflow = Overflow.REJECT
    """Handling of longer values: NULL and CLAMP change them, else their rows are rejected."""

    @property
    def changes(self) -> bool:
        return self.overflow in NEVER_OF_KEYS

    def fit(self, value: Any) -> Any:
        """One value (str or bytes) as `shortened` would leave it."""
        if value is None or not self.changes or len(value) <= self.length:
            return value
        return value[: self.length] if self.overflow is Overflow.CLAMP else None


def limits_of(columns: Mapping[str, str], output: Sequence[Field]) -> tuple[Limit, ...]:
    """The limits below Snowflake's maximum, for `columns` as `make_fit` returns them."""
    limits = [_limit_of(columns.get(field.target, ""), field) for field in output]
    return tuple(limit for limit in limits if limit is not None)


@cache
def _limit_of(column: str, field: Field) -> Limit | None:
    """The limit of one column of this type; None if it has Snowflake's maximum length, or is no text or binary
    type."""
    kind = ColumnType.parse(column)
    longest = _LONGEST.get(kind.family)
    if longest is None or not kind.arguments or kind.arguments[0] >= longest:
        return None
    return Limit(field.source, field.target, kind.family, kind.arguments[0], field.overflow)


def over_limit(rows: pa.RecordBatch, limits: Sequence[Limit]) -> list[tuple[int, str, str]]:
    """(index of the row, reason, source column) for each value that is too long and whose row is to be rejected.

    `rows` has the columns of the output under their source names. Without limits, no column is scanned.
    """
    found: list[tuple[int, str, str]] = []
    for limit in (limit for limit in limits if not limit.changes):
        lengths = _LENGTH[limit.family](rows.column(limit.source))
        for at in pc.indices_nonzero(pc.greater(lengths, limit.length)).to_pylist():
            unit = _UNIT[limit.family]
            reason = f"{lengths[at].as_py()} {unit}; the target's column {limit.target} takes {limit.length}"
            found.append((at, reason, limit.source))
    return found


def shortened(rows: pa.RecordBatch, limits: Sequence[Limit]) -> tuple[pa.RecordBatch, dict[str, int]]:
    """The rows with values that are too long set to NULL or cut, if `on_overflow` says so, and their number by
    source column."""
    counts: dict[str, int] = {}
    for limit in (limit for limit in limits if limit.changes):
        column = rows.column(limit.source)
        long = pc.greater(_LENGTH[limit.family](column), limit.length).fill_null(False)
        if long.true_count:
            counts[limit.source] = long.true_count
            fitted = pc.if_else(long, _fitted(column, limit), column)
            rows = rows.set_column(rows.schema.get_field_index(limit.source), limit.source, fitted)
    return rows, counts


def _fitted(column: pa.Array, limit: Limit) -> pa.Array:
    if limit.overflow is Overflow.NULL:
        return pa.nulls(len(column), column.type)
    return _BEGINNING[limit.family](column, 0, limit.length)
