"""Loads the staged batches of several tables in one transaction, so that readers see all of them or none.

DDL would commit the transaction, so targets are prepared, and staging tables filled, before it begins. Each table keeps
its own guards: if one fails, everything is rolled back and done again without that table, which the tick's row names.
docs/decisions/60-changes-are-merged-as-they-are-staged.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

from pgsnow.model.batch import LoadResult
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.errors import PgsnowError, TargetMissing, TargetUnavailable, WriteConflict
from pgsnow.model.key_range import Key
from pgsnow.model.log.consistent_tick import ConsistentTick
from pgsnow.model.sentences import counted
from pgsnow.snowflake.load.changes import ChangeLoad, ChangeSource
from pgsnow.snowflake.session import LONGEST_TAG, Session
from pgsnow.snowflake.sql import ticks as sql
from pgsnow.snowflake.sql.batch_record import BEGIN, COMMIT, ROLLBACK
from pgsnow.sync.load.changes.merge import Placed, merged, prepared
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.deferred import load_staged, note_loaded, stage_of_batch
from pgsnow.sync.load.insert_only.copy_once import end_transactions
from pgsnow.sync.load.session import RunSession

ALONE = "loaded on its own: the tick has {}, more than max_rows_per_tick"
LACKING = "some rows are read from the source after the tick, as the log did not have all columns"


@dataclass(frozen=True, slots=True)
class JointLoad:
    """Staged batches of one table. groups: those of one MERGE each, in order, with the batch whose staging table is
    used where one is needed."""

    load: LoadContext
    groups: Sequence[tuple[str, Sequence[StagedBatch]]]

    @property
    def table(self) -> str:
        return self.load.table.claim.table

    @property
    def rows(self) -> int:
        return sum(batch.rows for _, batches in self.groups for batch in batches)


@dataclass(slots=True)
class _Attempts:
    """State that the attempts at one transaction share. current: the table whose steps are executed."""

    row: ConsistentTick
    current: JointLoad | None = None
    sessions: set[int] = field(default_factory=set)
    created: bool = False
    """PGSNOW_TICKS was created, as it was not there."""
    results: dict[str, list[LoadResult]] = field(default_factory=dict)
    before: list[tuple[JointLoad, int | None, list[Key]]] = field(default_factory=list)
    """Each target as it was known before: its rows, and the keys of rows that are not whole."""

    def restore(self) -> None:
        """After a failed attempt, which was rolled back, unless only the answer to its COMMIT was lost."""
        for part, rows, incomplete in self.before:
            part.load.session.failed = part.load.session.lost = True
            part.load.table.rows = rows
            part.load.table.incomplete[:] = incomplete


def load_together(
    parts: Sequence[JointLoad], row: ConsistentTick, most: int
) -> dict[str, PgsnowError | None]:
    """Load these tables in one transaction, with the tick's row. Returns for each the error for which it was left out;
    None: it is loaded. most: with more rows than that, tables are loaded one by one, and the row says so. Idempotent,
    also for the row. Raises an error that concerns no single table; then nothing is loaded."""
    outcomes: dict[str, PgsnowError | None] = {}
    rows, active = sum(part.rows for part in parts), list(parts)
    if not parts:
        return outcomes
    leader = parts[0].load.session
    if rows > most:
        return _one_by_one(parts, row, rows)
    attempts = _Attempts(row)
    while active:
        attempts.row = replace(row, left_out={**row.left_out, **_reasons(outcomes)})
        attempts.before = [(part, part.load.table.rows, list(part.load.table.incomplete)) for part in active]
        try:
            leader.alone(lambda session: _transaction(session, active, attempts))
        except PgsnowError as error:
            failed = attempts.current
            attempts.restore()
            if failed is None and isinstance(error, TargetMissing) and not attempts.created:
                _create_ticks(leader, row)
                attempts.created = True
                continue
            if failed is None or (error.transient and not isinstance(error, WriteConflict)):
                raise
            outcomes[failed.table] = error
            active.remove(failed)
        else:
            break
    for part in active:
        outcomes[part.table] = None
        for result in attempts.results.get(part.table, ()):
            part.load.recorder.load_units += 1
            part.load.recorder.applied(result)
        note_loaded(part.load, [placed for _, batches in part.groups for placed in _placed(part, batches)])
    return outcomes


def write_row(session: RunSession, row: ConsistentTick) -> None:
    """Write the row of a tick that loads no table together with others. Idempotent."""
    session.do(lambda own: own.execute(sql.create_ticks(row)))
    session.do(lambda own: own.execute(sql.write_tick(row, [])))


def _transaction(session: Session, parts: Sequence[JointLoad], attempts: _Attempts) -> None:
    """One attempt."""
    if again := bool(attempts.sessions):
        attempts.restore()
        end_transactions(session, attempts.sessions)
    attempts.sessions.add(session.number)
    attempts.current = None
    if again and int(session.execute(sql.count_tick(attempts.row)).rows[0][0]):
        for part in parts:  # the answer to the COMMIT was lost
            part.load.table.rows = part.load.target.notes.fence = None
        return
    ready = []
    for part in parts:
        attempts.current = part
        with _tagged(part, session) as own:
            for into, batches in part.groups:
                part.load.batches.begin(into)
                change, source, fill = prepared(part.load, own, _placed(part, batches), into)
                part.load.run(own, fill)
                ready.append((part, change, source))
    attempts.current = None
    attempts.results.clear()
    session.execute(BEGIN)
    try:
        _load_all(session, ready, attempts)
    except PgsnowError as error:
        if not isinstance(error, TargetUnavailable):  # else it ends with the session
            with suppress(PgsnowError):
                session.execute(ROLLBACK)
        raise
    parts[0].load.recorder.tell("inserted")


def _load_all(
    session: Session, ready: Sequence[tuple[JointLoad, ChangeLoad, ChangeSource]], attempts: _Attempts
) -> None:
    """The statements of the transaction after its BEGIN."""
    parts = {part.table: part for part, _, _ in ready}
    for part, change, source in ready:
        attempts.current = part
        with _tagged(part, session) as own:
            result = merged(part.load, own, change, source, [])
        attempts.results[part.table] = [*attempts.results.get(part.table, ()), result]
    attempts.current = None
    lacking = {table: LACKING for table, part in parts.items() if part.load.table.incomplete}
    written = replace(attempts.row, left_out={**attempts.row.left_out, **lacking})
    session.execute(sql.write_tick(written, [table for table in parts if table not in lacking]))
    session.execute(COMMIT)


def _one_by_one(parts: Sequence[JointLoad], row: ConsistentTick, rows: int) -> dict[str, PgsnowError | None]:
    """Each table in transactions of its own; then the row."""
    outcomes: dict[str, PgsnowError | None] = {}
    for part in parts:
        try:
            for into, batches in part.groups:
                load_staged(part.load, batches, into, copies=False)
            outcomes[part.table] = None
        except PgsnowError as error:
            outcomes[part.table] = error
    why = {table: ALONE.format(counted(rows, "changed row")) for table in outcomes}
    written = replace(row, left_out={**row.left_out, **why, **_reasons(outcomes)}, together=False)
    _create_ticks(parts[0].load.session, row)
    parts[0].load.session.do(lambda session: session.execute(sql.write_tick(written, [])))
    return outcomes


def _create_ticks(session: RunSession, row: ConsistentTick) -> None:
    session.do(lambda session: session.execute(sql.create_ticks(row)))


def _reasons(outcomes: Mapping[str, PgsnowError | None]) -> dict[str, str]:
    return {table: str(error) for table, error in outcomes.items() if error is not None}


def _placed(part: JointLoad, batches: Sequence[StagedBatch]) -> Placed:
    return [(batch, stage_of_batch(part.load, batch)) for batch in batches]


@contextmanager
def _tagged(part: JointLoad, session: Session) -> Iterator[Session]:
    """The session for the statements of one table, which are recorded for its run."""
    recorder = part.load.recorder
    own = replace(session, query_tag=f"pgsnow:{recorder.table}:{recorder.run_id}"[:LONGEST_TAG], sent=[])
    try:
        yield own
    finally:
        recorder.statements.extend(own.sent)
