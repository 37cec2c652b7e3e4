"""The target's keys for a comparison, and the removal of the rows of some: they are deleted, or marked where the table
keeps deleted rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pgsnow.model.batch import LoadBatch
from pgsnow.model.config.options import Deletes
from pgsnow.model.key_range import Key, KeyRange, RangeDigest
from pgsnow.model.plan import TablePlan
from pgsnow.model.types.content_cell import ContentCell
from pgsnow.snowflake.load.cleanup import newest_fence
from pgsnow.snowflake.load.deletes import few_steps, many_steps
from pgsnow.snowflake.query import constant
from pgsnow.snowflake.session import Result, Session
from pgsnow.snowflake.sql.compare_content import row_hash
from pgsnow.snowflake.sql.deletes import RowRemoval
from pgsnow.snowflake.sql.soft_deletes import UNMARKED, Gone, removal_of
from pgsnow.snowflake.sql.statements import key_is_one_of
from pgsnow.snowflake.statement import Step, execute, number_in
from pgsnow.sync.compare.sides import Executes, Row, TargetSide
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.session import RunSession
from pgsnow.sync.pipeline.key_spool import KeySpool
from pgsnow.sync.pipeline.load_batches import batch_name

T = TypeVar("T")
Values = tuple[Any, ...]
"""The values of a key, as the target returns them."""
NUMBER = 900_000
"""Number of the run's batch that holds staged keys; no batch of rows has it."""


@dataclass(frozen=True, slots=True)
class Removed:
    """rows: how many were deleted, or marked. certain: False if an answer was lost, so that more may have been."""

    rows: int
    certain: bool = True


def remove_keys(load: LoadContext, keys: KeySpool, deletes: Deletes) -> Removed:
    """Remove the rows of these keys, except those that a run with a later fence wrote. deletes: delete or
    mark them.

    Idempotent: a repeated statement finds nothing more. Its session is recorded in the ledger first, so LeaseLost is
    raised before any visible change, and a run that takes over cancels the statement.

    Raises LedgerOutdated, as ClaimedTable.check_fence does, if rows of a later run kept their rows; TargetMissing.
    """
    removal = removal_of(Gone.MARKED if deletes is Deletes.SOFT else Gone.DELETED, load.audited())
    batch = None
    if keys.few is None:
        fence, parts = load.table.claim.fence, keys.parts()
        batch = LoadBatch(batch_name(load.plan, fence, NUMBER), fence, parts)
        load.batches.begin(batch.batch)
    was_certain = not load.session.failed
    rows = load.session.do(lambda session: _remove(load, session, keys, batch, removal))
    certain = was_certain and not load.session.failed
    if not removal.leaves_rows:
        load.target.note_fence(None)
        load.table.add_rows(-rows if certain else None)
    if certain and rows < keys.rows:
        load.table.check_fence(load.session.do(lambda session: newest_fence(session, load.plan.target)))
    load.recorder.tell("deleted", rows=rows)
    return Removed(rows, certain)


def _remove(
    load: LoadContext, session: Session, keys: KeySpool, batch: LoadBatch | None, removal: RowRemoval
) -> int:
    load.batches.running(session.number)
    steps: tuple[Step, ...]
    if batch is None:
        steps = few_steps(load.plan, keys.few or (), load.table.claim.fence, removal)
    else:
        method = load.method(batch.rows, batch.size)
        steps = many_steps(load.plan, batch, method=method, stage=load.stage, removal=removal)
    rows = 0
    for done in execute(session, steps):
        rows += sum(number_in(result, removal.counted) for result in done.results)
        load.recorder.query_ids += [result.query_id for result in done.results if done.phase]
    return rows


class RunTargetSide:
    """See `Side`. Transient errors are retried, except while rows are streamed."""

    ordered = True

    def __init__(
        self,
        session: RunSession,
        plan: TablePlan,
        *,
        without: Sequence[Values] = (),
        only: Sequence[Values] | None = None,
        cells: Sequence[ContentCell] = (),
        octets: bool = False,
        marks: bool = False,
    ) -> None:
        """See Destination.side. marks: the target has a column for marks of deleted rows, and marked rows are left
        out."""
        self._session = session
        self._plan = plan
        self._conditions = [UNMARKED] if marks else []
        self._conditions += [f"NOT ({among(plan, without)})"] if without else []
        if only is not None:
            self._conditions.append(among(plan, only) if only else "FALSE")
        self._row_hash = row_hash(cells, octets=octets) if cells else None
        self.statements = 0

    def digests(self, ranges: Sequence[KeyRange]) -> list[RangeDigest]:
        return self._asked(lambda side: side.digests(ranges))

    def bounds(self, ranges: Sequence[KeyRange], rows: Sequence[int], parts: int) -> list[list[Key]]:
        return self._asked(lambda side: side.bounds(ranges, rows, parts))

    def rows(self, ranges: Sequence[KeyRange]) -> Iterator[Row]:
        yield from self._side(_OneByOne(self._session)).rows(ranges)
        self.statements += 1

    def _asked(self, question: Callable[[TargetSide], T]) -> T:
        def ask(session: Session) -> T:
            side = self._side(session)
            answer = question(side)
            self.statements += side.statements
            return answer

        return self._session.do(ask)

    def _side(self, session: Executes) -> TargetSide:
        return TargetSide(session, self._plan, row_hash=self._row_hash, conditions=self._conditions)


@dataclass(frozen=True, slots=True)
class _OneByOne:
    """Executes each statement as an action of the run, because its caller reads on between two of them."""

    session: RunSession

    def execute(self, sql: str) -> Result:
        return self.session.once(lambda session: session.execute(sql))


def among(plan: TablePlan, keys: Sequence[Values]) -> str:
    """A condition, as SQL: the row has one of these keys."""
    constants = [
        [constant(value, f.type.snowflake) for value, f in zip(key, plan.target_key, strict=True)]
        for key in keys
    ]
    return key_is_one_of(plan.target_key, constants)
