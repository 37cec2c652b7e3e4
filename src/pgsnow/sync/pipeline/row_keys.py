"""Keys of rows as text: they identify a rejected row in sync_errors, and later versions of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.model.types.mapping import Field
from pgsnow.postgres.sql import text_of_value

Key = dict[str, str | None]
"""Column → value, as a text that Postgres reads back as the same value."""


Items = tuple[tuple[str, str | None], ...]


def items_of(key: Mapping[str, str | None]) -> Items:
    """The key as a value that can be compared and hashed. Sorted, because the ledger stores keys as jsonb, which has
    an order of its own."""
    return tuple(sorted(key.items()))


def key_of(rows: pa.RecordBatch, index: int, pk: Sequence[str]) -> Key:
    """The key of the row at `index`."""
    return {name: text_of_value(rows.column(name)[index].as_py()) for name in pk}


def rows_with_keys(
    rows: pa.RecordBatch, keys: Sequence[Mapping[str, str | None]], pk: Sequence[str]
) -> list[int]:
    """The indexes of rows that have one of these keys, in order. Arrow finds the rows whose first key column
    matches; only those are compared by their whole key."""
    if not keys or rows.num_rows == 0:
        return []
    wanted = {tuple(key.get(name) for name in pk) for key in keys}
    column = rows.column(pk[0])
    if pa.types.is_integer(column.type) or pa.types.is_string(column.type):
        first_values = pa.array(sorted({key[0] for key in wanted if key[0] is not None}), pa.string())
        matches = pc.is_in(column.cast(pa.string()), value_set=first_values)
        candidates = pc.indices_nonzero(matches).to_pylist()
    else:
        candidates = list(range(rows.num_rows))
    return [index for index in candidates if tuple(key_of(rows, index, pk).values()) in wanted]


def target_values(key: Mapping[str, str | None], fields: Sequence[Field]) -> tuple[Any, ...] | None:
    """The key's values as the target returns them; None if the target cannot hold such a key. fields: the key's, which
    the transform has not changed."""
    try:
        return tuple(_value(key[field.source], field.type.carried) for field in fields)
    except (KeyError, ValueError, ArithmeticError):
        return None


def _value(text: str | None, carried: str) -> Any:
    if text is None:
        raise ValueError("a key is never NULL in the target")
    parse = next((parse for prefix, parse in _PARSERS.items() if carried.startswith(prefix)), str)
    return parse(text)


_PARSERS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "decimal": Decimal,
    "double": float,
    "float": float,
    "bool": lambda text: text == "true",
    "binary": lambda text: bytes.fromhex(text.removeprefix("\\x")),
    "date": date.fromisoformat,
    "time64": time.fromisoformat,
    "timestamp": datetime.fromisoformat,
}
"""By the beginning of the Arrow type's name."""
