"""What a step of a transform makes of a batch, and how steps follow each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pgsnow.model.types.mapping import Field

Bad = tuple[int, str, str | None]
"""(row of the batch that was given, reason, column)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """rows: those that go on. origin: for each its row in the batch that was given; None: all rows, in order."""

    rows: pa.RecordBatch
    origin: Sequence[int] | None = None
    rejected: tuple[Bad, ...] = ()
    dropped: int = 0


Step = Callable[[pa.RecordBatch], Outcome]


def batch_of(columns: Sequence[pa.Array], fields: Sequence[Field]) -> pa.RecordBatch:
    """A batch with the schema that these fields have between read and load."""
    return pa.RecordBatch.from_arrays(list(columns), schema=schema_of(fields))


def schema_of(fields: Sequence[Field]) -> pa.Schema:
    return pa.schema([(field.source, field.type.arrow) for field in fields])


def without_rows(rows: pa.RecordBatch, bad: Mapping[int, tuple[str, str | None]]) -> Outcome:
    """`rows` less the bad ones, which are given by row as (reason, column)."""
    if not bad:
        return Outcome(rows)
    origin = [at for at in range(rows.num_rows) if at not in bad]
    rejected = tuple((at, *bad[at]) for at in sorted(bad))
    return Outcome(rows.take(pa.array(origin, pa.int64())), origin, rejected)


def run_steps(rows: pa.RecordBatch, steps: Sequence[Step]) -> Outcome:
    """All steps, each on what the one before let through; row numbers are those of `rows`."""
    whole = Outcome(rows)
    for step in steps:
        part = step(whole.rows)
        origin = _through(whole.origin, part.origin)
        rejected = tuple((_at(whole.origin, at), reason, column) for at, reason, column in part.rejected)
        whole = Outcome(part.rows, origin, whole.rejected + rejected, whole.dropped + part.dropped)
    return whole


def _at(origin: Sequence[int] | None, row: int) -> int:
    return row if origin is None else origin[row]


def _through(outer: Sequence[int] | None, inner: Sequence[int] | None) -> Sequence[int] | None:
    return outer if inner is None else [_at(outer, row) for row in inner]
