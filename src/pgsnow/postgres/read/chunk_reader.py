"""Reading all of a table in chunks, each in a short snapshot of its own.

A row version stays at its ctid for as long as it lives: only what gives the table another file (VACUUM FULL,
CLUSTER, a rewriting ALTER TABLE, TRUNCATE) moves it, and then SchemaMoved is raised. So a version that the
snapshot of `plan_backfill` saw, and that is still alive, is in the range that holds its ctid, whenever that
is read; any other has an xid and a watermark that a read from the backfill plan's checkpoint covers (I1, I2
and I5 of window.py). The whole argument: docs/decisions/17-a-backfill-in-chunks.md. TID range scans:
https://www.postgresql.org/docs/release/14.0/ Where there are none, or the role may not read
ctid, ranges of the key serve: key_ranges.py.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from psycopg.sql import SQL, Composed, Literal

from pgsnow.model.backfill import Blocks, Keys, Range, block_ranges
from pgsnow.model.batch import Page
from pgsnow.model.checkpoint import (
    WENT_BACK,
    Checkpoint,
    Horizon,
    ReadMode,
    break_in_history,
    is_unproven,
)
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.connection import Source
from pgsnow.postgres.convert.convert import Converter
from pgsnow.postgres.convert.oversize import from_clause, select_list
from pgsnow.postgres.incremental.next_checkpoint import next_checkpoint
from pgsnow.postgres.incremental.strategy import choose_strategy, reason_in_xids
from pgsnow.postgres.read.key_ranges import in_keys, is_keyed, key_ranges
from pgsnow.postgres.read.last_watermark import LastWatermark, extra_column, watermark_index
from pgsnow.postgres.read.snapshot import Snapshot, open_snapshot

MEGABYTE = 1024 * 1024
_LOSSLESS = frozenset({ReadMode.WATERMARK, ReadMode.XMIN})
_WHOLE: tuple[Range, ...] = (Blocks(0, None),)


@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """A full read, cut into chunks. reason: why everything is read. checkpoint: where to continue once all
    `chunks` were read, in any snapshots after this one. x, xmax: of this snapshot."""

    reason: str
    checkpoint: Checkpoint
    chunks: tuple[Range, ...]
    x: int
    xmax: int
    horizon: Horizon

    def continues(self, checkpoint: Checkpoint) -> bool:
        """True if a backfill that began with this earlier checkpoint may be continued."""
        return not self.went_back(checkpoint) and reason_in_xids(checkpoint, self.x, self.xmax) is None

    def went_back(self, checkpoint: Checkpoint) -> bool:
        """True if the source may have lost rows since this earlier checkpoint."""
        broken = break_in_history(checkpoint, self.horizon) or reason_in_xids(checkpoint, self.x, self.xmax)
        return broken in WENT_BACK or is_unproven(checkpoint, self.horizon)


def plan_backfill(
    source: Source,
    plan: TablePlan,
    checkpoint: Checkpoint | None,
    horizon: Horizon,
    *,
    full: bool,
    because: str | None,
) -> BackfillPlan | None:
    """The plan of a full read in chunks of at most `max_mb_per_chunk`; None if not everything needs to be read. One
    chunk: the table is small, cannot be read by ranges, or its checkpoint cannot be captured first (foreign tables,
    views, late_rows other than lossless).

    `horizon` was taken before. Raises what `open_snapshot` raises, SchemaMoved among it.
    """
    with (
        source.copy_connection() as connection,
        open_snapshot(connection, plan, reads_log=horizon.reads_log) as snap,
    ):
        strategy = choose_strategy(snap.fetch, plan, checkpoint, horizon, full=full, because=because)
        reason = strategy.full_read_at(checkpoint, snap.x, snap.xmax)
        if reason is None:
            return None
        point = strategy.read_point(snap.x, snap.xmax, standby=snap.standby, lsn=snap.lsn)
        chunks = _chunks(snap, plan) if strategy.mode in _LOSSLESS else _WHOLE
        return BackfillPlan(
            reason, next_checkpoint(None, horizon, point, full=True), chunks, snap.x, snap.xmax, horizon
        )


def read_chunk(source: Source, plan: TablePlan, chunk: Range, last: LastWatermark | None) -> Generator[Page]:
    """The rows of one chunk, through a snapshot that ends with them. Closing the generator cancels the query.

    last: is given their watermarks. Raises what `open_snapshot` and Snapshot.batches raise, SourceQueryFailed if a
    column is of another type than the plan says.
    """
    with source.copy_connection() as connection, open_snapshot(connection, plan) as snap:
        converter = Converter(plan, checks_text=snap.unchecked_text)
        with closing(snap.batches(_query(plan, chunk, guard=snap.may_hold_oversize))) as batches:
            for batch in batches:
                converted = converter.convert(batch)
                if last is not None:
                    last.add(batch.column(watermark_index(plan)), converted.good)
                yield from converted.pages(plan)


def _query(plan: TablePlan, chunk: Range, *, guard: bool) -> Composed:
    return SQL("select {}\nfrom {}\nwhere {}").format(
        select_list(plan, extra_column(plan), guard=guard),
        from_clause(plan, guard=guard),
        sql.both(
            [
                in_keys(plan, chunk) if isinstance(chunk, Keys) else in_blocks(plan, chunk),
                sql.where_given(plan),
            ]
        ),
    )


def in_blocks(plan: TablePlan, blocks: Blocks) -> Composed:
    """A condition: the row is in these blocks; in a tree of tables, in these blocks of one of them."""
    ctid = SQL("{}.ctid").format(sql.table(plan))
    since = SQL("{} >= {}::tid").format(ctid, Literal(f"({blocks.first},0)"))
    if blocks.end is None:
        return since
    return SQL("{} and {} < {}::tid").format(since, ctid, Literal(f"({blocks.end},0)"))


def _chunks(snap: Snapshot, plan: TablePlan) -> tuple[Range, ...]:
    """The chunks. Sizes are of the present, so all that this snapshot sees is within them. Values stored out of line
    count with the blocks that refer to them."""
    stored: list[tuple[Any, ...]] = snap.fetch(_storage(plan))
    size = sum(size for _, size, *_ in stored)
    limit = plan.config.max_mb_per_chunk * MEGABYTE
    if size <= limit:
        return _WHOLE
    if all(by_blocks for *_, by_blocks, _ in stored) and plan.source.may_read("ctid"):
        blocks = [blocks for blocks, *_ in stored]
        return block_ranges(blocks, max(1, int(sum(blocks) * limit / size)))
    return key_ranges(snap, plan, size / limit, size) if all(by_key for *_, by_key in stored) else _WHOLE


def _storage(plan: TablePlan) -> Composed:
    """A query with a row for each table that holds rows: blocks, bytes without indexes, and whether a range
    of ctids, or one of keys, can be read without reading the rest."""
    oids = [plan.source.oid, *(leaf.oid for leaf in plan.source.leaves)]
    return SQL(
        "select (pg_relation_size(c.oid) / current_setting('block_size')::bigint)::bigint,"
        " pg_table_size(c.oid)::bigint,"
        " c.relkind = 'r' and m.amname = 'heap' and current_setting('server_version_num')::int >= 140000,"
        " c.relkind = 'r' and {}"
        " from pg_class c left join pg_am m on m.oid = c.relam"
        " where c.relkind <> 'p' and c.oid = any ({}::oid[])"
    ).format(is_keyed(plan), Literal("{" + ",".join(map(str, oids)) + "}"))
