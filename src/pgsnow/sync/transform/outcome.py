"""The result of one step of a transform on a batch, and the execution of steps in sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pgsnow.model.types.mapping import Field

Rejection = tuple[int, str, str | None]
"""(index in the input batch, reason, bad columns joined by a comma)"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one step. rows: the rows that are kept. origin: the index in the input batch for each of them
    (None: all rows, in order). dropped: how many rows a function left out."""

    rows: pa.RecordBatch
    origin: Sequence[int] | None = None
    rejected: tuple[Rejection, ...] = ()
    dropped: int = 0


Step = Callable[[pa.RecordBatch], Outcome]


def batch_of(columns: Sequence[pa.Array], fields: Sequence[Field]) -> pa.RecordBatch:
    """A batch of these columns, with the schema of `schema_of`."""
    return pa.RecordBatch.from_arrays(list(columns), schema=schema_of(fields))


def schema_of(fields: Sequence[Field]) -> pa.Schema:
    """The schema of these fields between read and load: their source names and Arrow types."""
    return pa.schema([(field.source, field.type.arrow) for field in fields])


def by_row(failures: Sequence[tuple[str, Mapping[int, str]]]) -> dict[int, tuple[str, str]]:
    """Row → (reason, columns), with all bad columns of a row. failures: (column, row → reason), by column."""
    found: dict[int, list[tuple[str, str]]] = {}
    for column, reasons in failures:
        for row, reason in reasons.items():
            found.setdefault(row, []).append((column, reason))
    return {row: _joined(columns) for row, columns in found.items()}


def _joined(columns: Sequence[tuple[str, str]]) -> tuple[str, str]:
    if len(columns) == 1:
        [(column, reason)] = columns
        return reason, column
    return "; ".join(f"{column}: {reason}" for column, reason in columns), ", ".join(c for c, _ in columns)


def without_rows(
    rows: pa.RecordBatch, bad: Mapping[int, tuple[str, str]] | Mapping[int, tuple[str, str | None]]
) -> Outcome:
    """`rows` without the bad ones. bad: row → (reason, column)."""
    if not bad:
        return Outcome(rows)
    origin = [at for at in range(rows.num_rows) if at not in bad]
    rejected = tuple((at, *bad[at]) for at in sorted(bad))
    return Outcome(rows.take(pa.array(origin, pa.int64())), origin, rejected)


def run_steps(rows: pa.RecordBatch, steps: Sequence[Step]) -> Outcome:
    """The result of all steps, each applied to the rows that the previous one kept; row numbers refer to `rows`."""
    so_far = Outcome(rows)
    for step in steps:
        result, before = step(so_far.rows), so_far.origin
        rejected, origin = result.rejected, result.origin
        if before is not None:
            rejected = tuple((before[row], reason, column) for row, reason, column in rejected)
            origin = before if origin is None else [before[row] for row in origin]
        so_far = Outcome(result.rows, origin, so_far.rejected + rejected, so_far.dropped + result.dropped)
    return so_far
