"""Integer watermarks: the value that a sequence had reached at a moment, to turn a horizon into a value.

A sequence hands out values above `last_value` after that was read. So among the marks of past reads, the
newest one that is not after the horizon bounds the values that a transaction which began there can have got.
(The largest value in the table would not do: one row with a large value of its own would hide all others.)
https://www.postgresql.org/docs/current/sql-createsequence.html"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psycopg.sql import SQL, Composable, Literal

from pgsnow.model.checkpoint import Checkpoint, Horizon
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.incremental.window import UNBOUNDED, before

Fetch = Callable[[Composable], list[tuple[Any, ...]]]
"""Runs one statement, outside or inside a transaction, and returns its rows."""

_LAST_VALUE = SQL("""
select s.seqcache, s.seqincrement,
       has_sequence_privilege(s.seqrelid, 'SELECT, USAGE'),
       case when has_sequence_privilege(s.seqrelid, 'SELECT, USAGE') then pg_sequence_last_value(s.seqrelid) end
from pg_sequence s
where not s.seqcycle and s.seqrelid in (
    select d.objid from pg_depend d
    where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
      and d.refobjid = {table} and d.refobjsubid = {column} and d.deptype = 'i')
""")

_NEWEST_MARK = SQL("""
select to_json(clock_timestamp()) #>> '{{}}',
       (select value from jsonb_to_recordset({marks}::jsonb) m(at timestamptz, value text)
        where at <= {moment} order by at desc limit 1)
""")


@dataclass(frozen=True, slots=True)
class SequenceState:
    """value: the last value given by `at`, timestamptz text (None: none yet). low: the last one given by the
    horizon, in the form of Checkpoint.low. restarted: the sequence went back since the last mark."""

    value: str | None
    at: str
    low: str
    restarted: bool = False


def read_sequence(
    fetch: Fetch, plan: TablePlan, checkpoint: Checkpoint | None, horizon: Horizon
) -> SequenceState | None:
    """The state of the watermark's identity sequence, by two small statements: the value first, the time after it. None
    if the sequence cannot be used or the role may not read it; the table is then read in xmin mode.

    Raises what `fetch` raises."""
    found = fetch(
        _LAST_VALUE.format(table=Literal(plan.source.oid), column=Literal(plan.watermark_column.attnum))
    )
    if len(found) != 1:
        return None
    cache, step, readable, last = found[0]
    if cache != 1 or step != 1 or not readable:
        return None
    value = None if last is None else str(last)
    marks = [mark for mark in checkpoint.trail if mark.value is not None] if checkpoint else []
    restarted = bool(marks) and (last is None or last < max(int(mark.value or 0) for mark in marks))
    known = [] if restarted else [{"at": mark.at, "value": mark.value} for mark in marks]
    at, low = fetch(
        _NEWEST_MARK.format(
            marks=Literal(json.dumps(known)), moment=before(horizon.low, plan.config.max_skew)
        )
    )[0]
    return SequenceState(value, at, low or UNBOUNDED, restarted)
