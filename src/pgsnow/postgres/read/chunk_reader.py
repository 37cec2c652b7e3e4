"""Reading all of a table chunk by chunk, each in a short snapshot of its own.

A row version stays at its ctid for as long as it lives: only what gives the table another file (VACUUM FULL, CLUSTER,
a rewriting ALTER TABLE, TRUNCATE) moves it, and then SchemaMoved is raised. So a version that the snapshot of `outset`
saw, and that is still alive, is in the range that holds its ctid, whenever that is read; any other has an xid and a
watermark that the checkpoint of `outset` asks for (I1, I2 and I5 of window.py). The whole argument:
docs/decisions/17-a-backfill-in-chunks.md. TID range scans: https://www.postgresql.org/docs/release/14.0/
Where there are none, it goes by the key: key_ranges.py.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from psycopg.sql import SQL, Composed, Literal

from pgsnow.model.backfill import Blocks, Keys, Range, cut
from pgsnow.model.batch import Page
from pgsnow.model.checkpoint import Checkpoint, Horizon, ReadMode
from pgsnow.model.plan import TablePlan
from pgsnow.postgres import sql
from pgsnow.postgres.connection import Source
from pgsnow.postgres.convert.convert import Converter
from pgsnow.postgres.convert.oversize import rows_of, select_list
from pgsnow.postgres.incremental.next_checkpoint import advanced
from pgsnow.postgres.incremental.read_mode import reason_in_xids
from pgsnow.postgres.incremental.strategy import approach
from pgsnow.postgres.read.key_ranges import in_keys, is_keyed, key_ranges
from pgsnow.postgres.read.last_watermark import LastWatermark, place_of_watermark, read_besides
from pgsnow.postgres.read.snapshot import Snapshot, snapshot

MEGABYTE = 1024 * 1024
_LOSSLESS = frozenset({ReadMode.WATERMARK, ReadMode.XMIN})
_WHOLE: tuple[Range, ...] = (Blocks(0, None),)


@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """What a full read begins with. reason: why everything is read. checkpoint: where to go on from once all `chunks`
    were read, in whatever snapshots after this one. x, xmax: of this one."""

    reason: str
    checkpoint: Checkpoint
    chunks: tuple[Range, ...]
    x: int
    xmax: int

    def follows(self, checkpoint: Checkpoint) -> bool:
        """May a checkpoint that was captured earlier still be gone on from?"""
        same_server = checkpoint.identity == self.checkpoint.identity
        return same_server and reason_in_xids(checkpoint, self.x, self.xmax) is None


def outset(
    source: Source,
    plan: TablePlan,
    checkpoint: Checkpoint | None,
    horizon: Horizon,
    *,
    full: bool,
    because: str | None,
) -> BackfillPlan | None:
    """The outset of a full read, cut into chunks of at most `max_mb_per_chunk`; None if not everything needs to be
    read. One chunk: the table is small, or cannot be read by ranges or not be gone on from (foreign tables, views,
    late_rows other than lossless).

    `horizon` was taken before. Raises SchemaMoved and what else `snapshot` raises.
    """
    with source.copy_connection() as connection, snapshot(connection, plan) as now:
        way = approach(now.fetch, plan, checkpoint, horizon, full=full, because=because)
        reason = way.full_read_at(checkpoint, now.x, now.xmax)
        if reason is None:
            return None
        step = way.step(now.x, now.xmax, standby=now.standby)
        chunks = _chunks(now, plan) if way.mode in _LOSSLESS else _WHOLE
        return BackfillPlan(reason, advanced(None, horizon, step, full=True), chunks, now.x, now.xmax)


def read_chunk(source: Source, plan: TablePlan, of: Range, last: LastWatermark | None) -> Generator[Page]:
    """The rows of one chunk, through a snapshot that ends with them. Closing the generator cancels the query.

    last: sees their watermarks. Raises as read.Reading does.
    """
    with source.copy_connection() as connection, snapshot(connection, plan) as now:
        arrival = Converter(plan, checks_text=now.any_bytes)
        with closing(now.batches(_query(plan, of, guard=now.long_values))) as batches:
            for batch in batches:
                arrived = arrival.convert(batch)
                if last is not None:
                    last.see(batch.column(place_of_watermark(plan)), arrived.good)
                yield from arrived.pages(plan)


def _query(plan: TablePlan, of: Range, *, guard: bool) -> Composed:
    return SQL("select {}\nfrom {}\nwhere {}").format(
        select_list(plan, read_besides(plan), guard=guard),
        rows_of(plan, guard=guard),
        sql.both([in_keys(plan, of) if isinstance(of, Keys) else in_blocks(plan, of), sql.where_given(plan)]),
    )


def in_blocks(plan: TablePlan, blocks: Blocks) -> Composed:
    """Of a tree of tables: these blocks of each of them."""
    ctid = SQL("{}.ctid").format(sql.table(plan))
    since = SQL("{} >= {}::tid").format(ctid, Literal(f"({blocks.first},0)"))
    if blocks.end is None:
        return since
    return SQL("{} and {} < {}::tid").format(since, ctid, Literal(f"({blocks.end},0)"))


def _chunks(now: Snapshot, plan: TablePlan) -> tuple[Range, ...]:
    """Sizes are of the present, so what this snapshot sees is within them. What was stored out of line counts with the
    blocks that refer to it."""
    stored: list[tuple[Any, ...]] = now.fetch(_storage(plan))
    size = sum(size for _, size, *_ in stored)
    limit = plan.config.max_mb_per_chunk * MEGABYTE
    if size <= limit:
        return _WHOLE
    if all(by_blocks for *_, by_blocks, _ in stored):
        blocks = [blocks for blocks, *_ in stored]
        return cut(blocks, max(1, int(sum(blocks) * limit / size)))
    return key_ranges(now, plan, size / limit, size) if all(by_key for *_, by_key in stored) else _WHOLE


def _storage(plan: TablePlan) -> Composed:
    """A row for each table that holds rows: blocks, bytes with all that belongs to it but indexes, and whether a range
    of ctids can be read alone, or one of keys."""
    oids = [plan.source.oid, *(leaf.oid for leaf in plan.source.leaves)]
    return SQL(
        "select (pg_relation_size(c.oid) / current_setting('block_size')::bigint)::bigint,"
        " pg_table_size(c.oid)::bigint,"
        " c.relkind = 'r' and m.amname = 'heap' and current_setting('server_version_num')::int >= 140000,"
        " c.relkind = 'r' and {}"
        " from pg_class c left join pg_am m on m.oid = c.relam"
        " where c.relkind <> 'p' and c.oid = any ({}::oid[])"
    ).format(is_keyed(plan), Literal("{" + ",".join(map(str, oids)) + "}"))
