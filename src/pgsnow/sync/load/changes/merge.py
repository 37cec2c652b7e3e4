"""Merges changes that were read from the log, as other rows are merged. Imported only for such changes.

docs/decisions/60-changes-are-merged-as-they-are-staged.md
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pgsnow.model.batch import LoadBatch, LoadResult, bounds_of_all
from pgsnow.model.config.sync_config import LoadMethod
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.errors import StagedRowsLost
from pgsnow.model.log.changes import ChangeKinds
from pgsnow.model.metadata_columns import ORDER_COLUMN
from pgsnow.snowflake.load.bind_values import bind_batches
from pgsnow.snowflake.load.changes import ChangeLoad, ChangeSource
from pgsnow.snowflake.load.deferred import copies
from pgsnow.snowflake.load.merge import choose_method, fill_steps
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql.statements import create_staging
from pgsnow.snowflake.stage.stage import Stage
from pgsnow.snowflake.statement import SqlStatement, Step
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.open_batches import SESSION

Placed = Sequence[tuple[StagedBatch, Stage]]
"""Staged batches, each with the stage that holds its files."""


def merge_batch(load: LoadContext, session: Session, batch: LoadBatch) -> LoadResult:
    """One attempt at a load batch: from bound values, its files or a staging table. Idempotent."""
    plan, kinds = load.plan, batch.changes or ChangeKinds()
    change = ChangeLoad(
        plan.target, plan.output, plan.key, batch.fence, batch.rows, kinds, load.deletes, load.audited(marks=True),
        batch.bounds, follows=_follows(batch.batch, batch.fence),
    )  # fmt: skip
    expected = None if kinds.truncates else load.expected
    few = expected is not None and choose_method(batch.rows, batch.size) == "insert"
    few = few and plan.config.load in (LoadMethod.AUTO, LoadMethod.INSERT)
    origin = None if few else load.origin(batch)
    at_once = load.target.reads_files and (few or origin is not None)
    load.batches.running(session.number)
    if not at_once or expected is None:
        _look(load, session, change)
    if not at_once:
        method = load.method(batch.rows, batch.size)
        fill = fill_steps(
            plan.target, plan.output, batch, batch.batch,
            method=method, stage=load.stage, parts=load.missing_parts(batch), more=change.more,
        )  # fmt: skip
        return merged(
            load, session, change, change.from_table(batch.batch), [_staging(change, batch.batch), *fill]
        )
    load.batches.leaves(batch.batch, files=not few)
    if origin is None:
        names = [*(f.target for f in plan.output), *(name for name, _ in change.more), ORDER_COLUMN]
        rows = [row for part in batch.parts for piece in bind_batches(part.path, names) for row in piece]
        source = change.from_values([bind for row in rows for bind in row], counted=expected is not None)
        return merged(load, session, change, source, [])
    uploads = load.stage.put(plan.target, batch.batch, load.missing_parts(batch))
    source = change.from_files([origin], counted=expected is not None)
    return merged(load, session, change, source, uploads)


def merge_staged(load: LoadContext, session: Session, batches: Placed, into: str) -> LoadResult:
    """One attempt at staged batches of one layout, of which the first alone may have unchanged columns, or truncate.
    into: the batch whose staging table is used where one is needed. Idempotent."""
    change, source, fill = prepared(load, session, batches, into)
    return merged(load, session, change, source, fill)


def prepared(
    load: LoadContext, session: Session, batches: Placed, into: str
) -> tuple[ChangeLoad, ChangeSource, Sequence[Step]]:
    """The changes of these staged batches, the place of their rows, and the steps that fill it. Sends what must be sent
    before: it looks at the target if no guard of the MERGE notices that it was altered."""
    change = staged_changes(load, [batch for batch, _ in batches])
    expected = None if change.kinds.truncates else load.expected
    places = [stage.origin(batch.layout.target, batch.batch) for batch, stage in batches]
    known = [place for place in places if place is not None]
    if sessions := left_sessions(load):
        from pgsnow.sync.load.insert_only.copy_once import end_transactions  # after a worker was killed

        end_transactions(session, sessions)
    load.batches.running(session.number)
    if len(known) < len(places) or not load.target.reads_files or expected is None:
        _look(load, session, change)
    if len(known) < len(places) or not load.target.reads_files:  # the file format may have been altered
        return change, change.from_table(into), [_staging(change, into), *copies(into, batches)]
    load.batches.leaves(into, files=False)
    return change, change.from_files(known, counted=expected is not None), []


def left_sessions(load: LoadContext) -> list[int]:
    """Sessions in which an earlier run, which did not end, may have left a transaction open."""
    names = load.table.claim.open_batches
    return [int(name.removeprefix(SESSION)) for name in names if name.startswith(SESSION)]


def _look(load: LoadContext, session: Session, change: ChangeLoad) -> None:
    """Look at the target. If an answer was lost, its rows may have been added or removed already."""
    removing = (load.table.rows or 0) if change.kinds.truncates else change.rows
    load.target.look(session, loading=change.rows, removing=removing)


def staged_changes(load: LoadContext, batches: Sequence[StagedBatch]) -> ChangeLoad:
    """The changes of staged batches for one MERGE."""
    layout, first = batches[0].layout, batches[0]
    kinds = reduce(ChangeKinds.__or__, (batch.changes or ChangeKinds() for batch in batches))
    return ChangeLoad(
        layout.target, layout.columns, layout.key, max(batch.fence for batch in batches),
        sum(batch.rows for batch in batches), kinds, load.deletes, load.audited(marks=True),
        bounds_of_all(batch.bounds for batch in batches), follows=_follows(first.batch, first.fence),
        error=StagedRowsLost,
    )  # fmt: skip


def _follows(batch: str, fence: int) -> bool:
    """True if its run may have loaded other batches before it."""
    return not batch.endswith(f"/{fence}-0")


def _staging(change: ChangeLoad, batch: str) -> Step:
    return SqlStatement(create_staging(change.target, batch, change.columns, more=change.more))


def merged(
    load: LoadContext, session: Session, change: ChangeLoad, source: ChangeSource, before: Sequence[Step]
) -> LoadResult:
    """Execute these steps, and then the load of the changes. The keys of rows that are not whole in the target after
    it are noted in the claimed table."""
    ready = change
    if change.kinds.moved:
        load.run(session, before)
        ready, before = change.settled(session, source), []
    steps = [*before, *ready.truncation()]
    if change.rows:
        expected = load.expected if source.counted else None
        steps.append(ready.merge(source, not_after=load.table.claim.fence, expected=expected))
    result = load.run(session, steps, change.fence)
    changed = result.inserted + result.updated + result.deleted
    doubts = ready is not change or change.kinds.doubtful or change.kinds.truncates
    if change.kinds.unchanged and (doubts or changed < change.rows):
        keys = change.incomplete(session, source, with_moved=ready is not change)
        load.table.incomplete.extend(key for key in keys if key not in load.table.incomplete)
    return result
