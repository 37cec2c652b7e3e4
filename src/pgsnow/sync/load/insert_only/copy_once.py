"""Copies staged batches into their target, each exactly once: in one transaction with a record of their names.

A batch's files are staged, and the batch is in the ledger, before this begins. If the run is killed, the next one finds
the same batches in the ledger: those that the record names are in the target, the others are not.
docs/decisions/58-rows-that-never-change-are-copied.md
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from pgsnow.model.batch import LoadResult
from pgsnow.model.errors import (
    LeaseLost,
    StagedRowsLost,
    TargetMissing,
    TargetQueryFailed,
    WriteConflict,
)
from pgsnow.snowflake.load.insert_only import Origins, copy_step
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import batch_record as sql
from pgsnow.snowflake.statement import execute_all, number_in
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.open_batches import SESSION

PARTLY = "the files of staged rows are gone, and other rows that were staged with them are loaded"


def copy_once(load: LoadContext, batches: Origins) -> bool:
    """Copy those of these batches that are not in the target yet. Idempotent. False: nothing was copied, because the
    record is gone and an earlier attempt may have copied them; they must be merged. Raises StagedRowsLost,
    TargetQueryFailed, and then nothing was copied; LeaseLost, LedgerOutdated."""
    known: set[str] = set()
    sessions = {
        int(name.removeprefix(SESSION)) for name in load.table.claim.open_batches if name.startswith(SESSION)
    }
    left = load.plan.config.load_every <= 0 and any(
        batch.fence != load.table.claim.fence for batch, _ in batches
    )
    tried_before = left or bool(sessions)

    def attempt() -> LoadResult:
        return load.session.alone(lambda session: _copy(load, session, batches, known, sessions))

    try:
        try:
            result = attempt()
        except TargetMissing:  # the record may be: the first load creates it
            if tried_before or len(sessions) > 1:  # someone may have dropped one that named these batches
                return False
            create = sql.create_record(load.plan.target)
            load.session.do(lambda session: session.execute(create))
            result = attempt()
    except (StagedRowsLost, TargetQueryFailed):
        # Reading cannot go back to where these batches began: the loaded ones would be copied again.
        if known:
            load.target.begin_again(PARTLY, doubt=False)
        raise
    load.target.note_fence(None)
    load.table.add_rows(None if load.session.failed else result.inserted)
    load.recorder.load_units += 1
    load.recorder.applied(result)
    return True


def _copy(
    load: LoadContext, session: Session, batches: Origins, known: set[str], sessions: set[int]
) -> LoadResult:
    """One attempt, in a session of its own. Adds to `known` the batches that are in the target already. sessions: of
    earlier attempts, which may hold the record; this one's is added."""
    load.batches.running(session.number)
    if sessions:
        end_transactions(session, sessions)
    sessions.add(session.number)
    session.execute(sql.BEGIN)
    wanted = _record(load, session, batches)
    known.update(batch.batch for batch, _ in batches if batch.batch not in wanted)
    steps = [copy_step(batch, origin, load.audited()) for batch, origin in batches if batch.batch in wanted]
    result = execute_all(session, steps)
    load.recorder.tell("copied")
    session.execute(sql.COMMIT)
    load.recorder.tell("inserted")
    copied = sum(batch.rows for batch, _ in batches if batch.batch in wanted)
    return LoadResult(copied, 0, result.query_ids, result.seconds)


def end_transactions(session: Session, sessions: Collection[int]) -> None:
    """Roll back what is open in these sessions. A transaction that has ended meanwhile is no error."""
    shown = session.execute(sql.show_transactions())
    for number, of in zip(shown.column("id"), shown.column("session"), strict=True):
        if int(of) in sessions:
            with suppress(TargetQueryFailed):
                session.execute(sql.abort_transaction(int(number)))


def _record(load: LoadContext, session: Session, batches: Origins) -> frozenset[str]:
    """Record the batches; returns those that must be copied. No other transaction copies into this target until this
    one has ended."""
    target, fence = load.plan.target, load.table.claim.fence
    names = [batch.batch for batch, _ in batches]
    if number_in(session.execute(sql.record(target, fence, names)), sql.UPDATED):
        return frozenset(names)
    found = session.execute(sql.read_record(target)).rows
    if len(found) != 1:
        raise TargetQueryFailed(f"{sql.record_of(target)} has {len(found)} rows", advice=ADVICE)
    [[newest, shown]] = found
    if int(newest) > fence:
        load.table.check_fence(int(newest))
        raise LeaseLost(f"{load.table.claim.table}: a later run has copied rows into {target}")
    wanted = frozenset(names) - sql.recorded(shown)
    again = session.execute(sql.record_more(target, fence, names, shown))
    if not number_in(again, sql.UPDATED):
        raise WriteConflict(f"{sql.record_of(target)} was changed at the same time")
    return wanted


ADVICE = (
    "It must have one row. Drop it, and run `pgsnow run --full-refresh` with this table, which merges all rows; then a"
    " new one is created."
)
