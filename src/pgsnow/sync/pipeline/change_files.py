"""Writes pages of changes that were read from the log as the rows of part files. Imported only for such pages.

model/log/changes.py describes the columns that the files have in addition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.model.log.changes import DOUBTFUL, ChangeKinds, PageChanges
from pgsnow.model.plan import TablePlan
from pgsnow.sync.pipeline.parquet import PartWriter

UPSERTED, DELETED = "U", "D"
Taken = TypeVar("Taken", pa.Array, pa.RecordBatch)


def write_changes(
    writer: PartWriter,
    plan: TablePlan,
    rows: pa.RecordBatch,
    origin: Sequence[int] | None,
    changes: PageChanges,
    rejected: Sequence[int] = (),
) -> None:
    """Add a page of changes to the files of a load batch. rows: the accepted ones, as they are loaded. origin: the
    index in the page of each of them; None: all are accepted. rejected: indexes in the page of rows of which an earlier
    version may have been rejected. A page that truncates must be the batch's first one."""
    taken = None if origin is None else pa.array(origin, pa.int64())
    marked, doubtful = _marked(plan, changes, rejected)
    unchanged, moved = _taken(marked, taken), _taken(None if changes.replayed else changes.moved, taken)
    gone = changes.deleted.num_rows if changes.deleted is not None else 0
    before = writer.kinds or ChangeKinds()
    writer.kinds = ChangeKinds(
        deletes=before.deletes or gone > 0,
        unchanged=before.unchanged or (unchanged is not None and unchanged.null_count < len(unchanged)),
        moved=before.moved or (moved is not None and moved.column(0).null_count < moved.num_rows),
        truncates=before.truncates or changes.truncates,
        doubtful=before.doubtful or doubtful,
    )
    writer.write(rows, _columns(plan, UPSERTED, _taken(changes.commits, taken), unchanged, moved))
    if changes.deleted is not None and changes.deleted_commits is not None:
        writer.write(_only_keys(plan, changes.deleted), _columns(plan, DELETED, changes.deleted_commits))


def _marked(plan: TablePlan, changes: PageChanges, rejected: Sequence[int]) -> tuple[pa.Array | None, bool]:
    """`unchanged` for the columns that are loaded, with its mark where the target's values are in doubt; and whether
    any are. A row that was rejected left older values, or no row, in the target."""
    if changes.unchanged is None:
        return None, False
    unchanged, doubtful = _renumbered(plan, changes.unchanged), np.zeros(len(changes.unchanged), dtype=bool)
    doubtful[[*rejected]] = True
    if changes.replayed and changes.moved is not None:
        doubtful |= changes.moved.column(0).is_valid().to_numpy(zero_copy_only=False)
    doubtful &= unchanged.is_valid().to_numpy(zero_copy_only=False)
    if not doubtful.any():
        return unchanged, False
    with_mark = pc.binary_join_element_wise(unchanged, DOUBTFUL, "")
    return pc.if_else(pa.array(doubtful), with_mark, unchanged), True


def _columns(
    plan: TablePlan,
    operation: str,
    commits: pa.Array,
    unchanged: pa.Array | None = None,
    moved: pa.RecordBatch | None = None,
) -> list[pa.Array]:
    """The values of `change_columns` for so many rows as there are commits."""
    rows = len(commits)
    former = [pa.nulls(rows, f.type.arrow) if moved is None else moved.column(f.source) for f in plan.key]
    return [
        pa.repeat(operation, rows),
        pa.nulls(rows, pa.string()) if unchanged is None else unchanged,
        *former,
        commits,
    ]


def _only_keys(plan: TablePlan, keys: pa.RecordBatch) -> pa.RecordBatch:
    """Rows as they are loaded, of which only the key is known."""
    columns = [
        keys.column(f.source) if f.source in plan.pk else pa.nulls(keys.num_rows, f.type.arrow)
        for f in plan.output
    ]
    return pa.RecordBatch.from_arrays(columns, names=[f.source for f in plan.output])


def _renumbered(plan: TablePlan, unchanged: pa.Array) -> pa.Array:
    """Positions among the fields that are read, as positions among the columns that are loaded."""
    loaded = {f.source: at for at, f in enumerate(plan.output)}
    places = {at: loaded[f.source] for at, f in enumerate(plan.fields) if f.source in loaded}
    if all(before == after for before, after in places.items()) and len(places) == len(plan.fields):
        return unchanged
    codes = unchanged.dictionary_encode()
    texts = [_in_places(text, places) for text in codes.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(codes.indices)


def _in_places(text: str, places: Mapping[int, int]) -> str | None:
    found = [places[at] for at in map(int, text.strip(".").split(".")) if at in places]
    return f".{'.'.join(map(str, found))}." if found else None


def _taken(values: Taken | None, taken: pa.Array | None) -> Taken | None:
    return values if values is None or taken is None else values.take(taken)
