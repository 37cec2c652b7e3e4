"""The part of a preview that Snowflake tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pgsnow.model.config.sync_config import LoadMethod
from pgsnow.model.duration import format_duration
from pgsnow.model.errors import PgsnowError
from pgsnow.model.evolution.drift import Drift
from pgsnow.model.plan import TablePlan
from pgsnow.operations.plan.result import EVERYTHING, Action, Grant, Side, TablePreview
from pgsnow.snowflake.load.dry_run import foresee_first_load, foresee_load
from pgsnow.snowflake.load.replace import Content
from pgsnow.snowflake.privileges import Lack, Rights, rights_of
from pgsnow.snowflake.schema.dry_run import DryRun, DryRunResult
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.stage.choose import Stages
from pgsnow.snowflake.stage.stage import Stage
from pgsnow.sync.pipeline.load_batches import batch_name

SAMPLE_FENCE = 1_800_000_000_000_000
"""A fence is about the microseconds since 1970."""
SAMPLE_RUN = "0123456789abcdef"
SAMPLE_PART = Path("/tmp/pgsnow/batch-0000/part-0000.parquet")
"""Shown, never opened."""
FIRST = f"{EVERYTHING}: first read"
GONE = f"{EVERYTHING}: the target is gone"


@dataclass(frozen=True, slots=True)
class TargetInspection:
    """Looks at targets one by one, over one session."""

    foresight: DryRun
    rights: Rights
    stagings: Stages

    @classmethod
    def over(cls, session: Session, stagings: Stages) -> TargetInspection:
        return cls(DryRun(session), rights_of(session), stagings)

    def look(self, preview: TablePreview, drift: Drift) -> TablePreview:
        """Raises TargetUnavailable and the like; what stops the table is in its preview."""
        plan = drift.plan
        try:
            foreseen = self.foresight.target(plan, drift.all_actions, relaxed=drift.replace)
            lacking = list(self._lacking(plan, foreseen))
        except PgsnowError as error:
            return preview.stopped(error)
        reads = preview.reads if foreseen.there or preview.reads.startswith(EVERYTHING) else GONE
        staging = self.stagings.serving(plan.config.load)
        return replace(
            preview,
            reads=reads,
            action=_action(foreseen),
            ddl=foreseen.statements,
            grants=(*preview.grants, *(_grant(lack) for lack in lacking)),
            tick=_tick(plan, staging),
            first_load=_first_load(plan, staging) if reads in (FIRST, GONE) else (),
        )

    def _lacking(self, plan: TablePlan, foreseen: DryRunResult) -> Iterator[Lack]:
        """Nothing where grants cannot be told: `pgsnow check` says so."""
        if self.rights.grants is None:
            return
        if foreseen.there:
            alter = bool(foreseen.statements)
            yield from _present(self.rights.lacking_on(plan.target, alter=alter))
        else:
            there = self.foresight.saw_schema(plan.target)
            yield from _present(self.rights.lacking_in(plan.target, schema_there=there))


def _present(lack: Lack | None) -> Iterator[Lack]:
    if lack is not None:
        yield lack


def _grant(lack: Lack) -> Grant:
    return Grant(Side.SNOWFLAKE, lack.statement, lack.certain)


def _action(foreseen: DryRunResult) -> Action:
    if not foreseen.there:
        return Action.CREATE
    return Action.CHANGE if foreseen.statements else Action.UNCHANGED


def _sample(plan: TablePlan) -> Content:
    return Content(plan, batch_name(plan, SAMPLE_FENCE, 0), SAMPLE_FENCE, SAMPLE_RUN)


def _first_load(plan: TablePlan, staging: Stage) -> tuple[str, ...]:
    if plan.config.load is LoadMethod.INSERT:
        return ()
    return foresee_first_load(_sample(plan), SAMPLE_PART, staging)


def _tick(plan: TablePlan, staging: Stage) -> tuple[str, ...]:
    method = "insert" if plan.config.load is LoadMethod.INSERT else "stage"
    statements = foresee_load(_sample(plan), SAMPLE_PART, method, staging)
    if not plan.config.load_every:
        return statements
    made, put, *rest = statements
    later = f"-- within {format_duration(plan.config.load_every)}, once for all that was staged:"
    return (put, later, made, *rest)
