"""One load unit into its target: staged by files or by bound inserts, counted, merged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import pyarrow.parquet as pq

from pgsnow.model.batch import LoadBatch, LoadResult
from pgsnow.model.errors import LoadMismatch
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.snowflake.load.bind_values import bind_batches
from pgsnow.snowflake.load.cleanup import list_orphans, prune, sweep
from pgsnow.snowflake.redacted import Confidential
from pgsnow.snowflake.session import Result, Session
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.stage.stage import INTERNAL, Stage

__all__ = ["choose_method", "list_orphans", "load", "prune", "sweep"]

Method = Literal["stage", "insert"]
INSERT_ROWS = 4
INSERT_BYTES = 1 << 20
"""Up to both of these bound inserts are quicker. Measured: docs/loading.md."""


def choose_method(rows: int, size: int) -> Method:
    """How to load `rows` rows in part files of `size` bytes, for `load: auto`."""
    return "insert" if rows <= INSERT_ROWS and size <= INSERT_BYTES else "stage"


def load(
    session: Session,
    target: TargetName,
    output: tuple[Field, ...],
    key: tuple[Field, ...],
    unit: LoadBatch,
    *,
    method: str,
    notify: Callable[[str], None],
    audited: Sequence[sql.Filled] = (),
    staging: Stage = INTERNAL,
    into: TargetName | None = None,
) -> LoadResult:
    """Stage the unit's rows, prove that all of them are there, and merge them in one atomic statement: into the target,
    or into what stands for it.

    `notify` is called after each step: "put" and "copied" (or "inserted"), "merged". Idempotent: the staging starts
    empty, and a MERGE done twice leaves the same rows. Nothing is cleaned up; that is `sweep`'s.
    Raises LoadMismatch (before the MERGE) and whatever Session.execute raises.
    """
    if unit.rows == 0:
        return LoadResult()
    step = Steps(session, notify, staging)
    session.execute(sql.create_staging(target, unit.batch, output))
    stage_rows(step, target, unit, unit.batch, method=method)
    with step.timed("merge", "merged"):
        merged = step.run(sql.merge(target, unit.batch, output, key, unit.fence, audited, into))
    return LoadResult(
        inserted=number_in(merged, "number of rows inserted"),
        updated=number_in(merged, "number of rows updated"),
        query_ids=tuple(step.query_ids),
        seconds=step.seconds,
    )


@dataclass(slots=True)
class Steps:
    """Statements of one load, with their ids and seconds."""

    session: Session
    notify: Callable[[str], None]
    staging: Stage = INTERNAL
    query_ids: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, statement: str | Confidential) -> Result:
        result = self.session.execute(statement)
        self.query_ids.append(result.query_id)
        return result

    @contextmanager
    def timed(self, name: str, done: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began
        self.notify(done)


def stage_rows(
    step: Steps, target: TargetName, unit: LoadBatch, into: str, *, method: str, force: bool = False
) -> None:
    """The unit's rows into the staging table of the batch `into`, and proof that all of them are there.

    force: although files of these names were loaded into it before. Raises LoadMismatch.
    """
    if method == "stage":
        _stage(step, target, unit, into, force=force)
    else:
        _insert(step, target, unit, into)


def put_parts(step: Steps, target: TargetName, unit: LoadBatch) -> None:
    """The unit's part files, to where COPY finds them."""
    with step.timed("put", "put"):
        step.staging.put(step.session, target, unit.batch, [part.path for part in unit.parts])


def _stage(step: Steps, target: TargetName, unit: LoadBatch, into: str, *, force: bool) -> None:
    put_parts(step, target, unit)
    with step.timed("copy", "copied"):
        copied = step.run(step.staging.copy(target, unit.batch, into, force=force))
        _expect(target, unit, sum(int(rows) for rows in copied.column("rows_loaded")))


def _insert(step: Steps, target: TargetName, unit: LoadBatch, into: str) -> None:
    inserted = 0
    with step.timed("insert", "inserted"):
        for part in unit.parts:
            columns = pq.read_schema(part.path).names
            statement = sql.insert_into_staging(target, into, columns)
            for rows in bind_batches(part.path):
                result = step.session.insert_rows(statement, rows)
                step.query_ids.append(result.query_id)
                inserted += result.rowcount or 0
        _expect(target, unit, inserted)


def _expect(target: TargetName, unit: LoadBatch, loaded: int) -> None:
    if loaded != unit.rows:
        raise LoadMismatch(f"{target}: batch {unit.batch} has {unit.rows} rows, Snowflake loaded {loaded}")


def number_in(result: Result, column: str) -> int:
    """The sum of a column of counts."""
    return sum(int(value or 0) for value in result.column(column))
