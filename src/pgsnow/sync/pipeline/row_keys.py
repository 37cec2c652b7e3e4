"""Keys as text: how the quarantine names a row, and how its newer versions are recognised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.postgres.text_values import text_of_value

Key = dict[str, str | None]


def key_of(rows: pa.RecordBatch, index: int, pk: Sequence[str]) -> Key:
    """The key of one row, each value in a text that Postgres reads back as the same value."""
    return {name: text_of_value(rows.column(name)[index].as_py()) for name in pk}


def rows_with_keys(
    rows: pa.RecordBatch, keys: Sequence[Mapping[str, str | None]], pk: Sequence[str]
) -> list[int]:
    """The indexes of rows that have one of these keys. Looks at each row's first key column in Arrow, and at
    whole keys only where that one matches."""
    if not keys or rows.num_rows == 0:
        return []
    wanted = {tuple(key.get(name) for name in pk) for key in keys}
    first = rows.column(pk[0])
    if pa.types.is_integer(first.type) or pa.types.is_string(first.type):
        leading = pa.array(sorted({key[0] for key in wanted if key[0] is not None}), pa.string())
        mask = pc.is_in(first.cast(pa.string()), value_set=leading)
        candidates = pc.indices_nonzero(mask).to_pylist()
    else:
        candidates = list(range(rows.num_rows))
    return [index for index in candidates if tuple(key_of(rows, index, pk).values()) in wanted]
