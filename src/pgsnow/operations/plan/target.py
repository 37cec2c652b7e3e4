"""The part of a preview that needs Snowflake: DDL, missing privileges, and the statements of a run, composed by the
functions that compose them for a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pgsnow.ledger.checkpoints import Remembered
from pgsnow.model.batch import KeyBounds, LoadBatch, PartFile
from pgsnow.model.config.options import Deletes
from pgsnow.model.config.sync_config import LoadMethod, TableMode
from pgsnow.model.deferred_batch import Layout, StagedBatch
from pgsnow.model.duration import format_duration
from pgsnow.model.evolution.definition_diff import clustering_note
from pgsnow.model.log.changes import ChangeKinds
from pgsnow.model.metadata_columns import DELETED_AT_COLUMN
from pgsnow.model.plan import TablePlan
from pgsnow.model.settings.settings import Settings
from pgsnow.operations.command_sessions import CommandSessions, as_known
from pgsnow.operations.deletes import WILL_CREATE, doubts, rule_of
from pgsnow.operations.plan.deletes import count_gone
from pgsnow.operations.plan.result import EVERYTHING, Action, Grant, GrantSide, TablePreview
from pgsnow.operations.plan.source import Found
from pgsnow.operations.preconditions import lacking, ready_to_load
from pgsnow.snowflake.load.changes import ChangeLoad
from pgsnow.snowflake.load.cleanup import removal_steps
from pgsnow.snowflake.load.direct_copy import can_copy_directly, copy_steps
from pgsnow.snowflake.load.insert_only import transaction_steps
from pgsnow.snowflake.load.merge import merge_at_once, merge_steps
from pgsnow.snowflake.load.replace import (
    Content,
    append_steps,
    replace_at_once,
    replace_steps,
    stage_steps,
)
from pgsnow.snowflake.privileges import Rights
from pgsnow.snowflake.schema.required_ddl import RequiredDdl, TargetInspector
from pgsnow.snowflake.schema.storage import storage_text, storage_warnings
from pgsnow.snowflake.sql import direct_copy as copy_sql
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.sql.live_view import live_view_name
from pgsnow.snowflake.sql.soft_deletes import CLEARED, Gone
from pgsnow.snowflake.sql.staged import ExpectedTarget
from pgsnow.snowflake.stage.stage import Stage, Stages
from pgsnow.snowflake.statement import Step
from pgsnow.sync.load.target import reads_files
from pgsnow.sync.pipeline.load_batches import batch_name

SAMPLE_FENCE = 1_800_000_000_000_000
"""Fence of the sample batch. Real fences are about the microseconds since 1970."""
SAMPLE_ROWS = 1
"""Rows of the target and of the sample batch."""
SAMPLE_RUN = "0123456789abcdef"
SAMPLE_PART = Path("/tmp/pgsnow/batch-0000/part-0000.parquet")
"""Part file of the sample batch. It is only shown, and does not exist."""
FIRST = f"{EVERYTHING}: first read"
GONE = f"{EVERYTHING}: the target is gone"


@dataclass(frozen=True, slots=True)
class TargetPreview:
    """Previews targets one by one."""

    sessions: CommandSessions
    inspector: TargetInspector
    rights: Rights
    stages: Stages
    settings: Settings

    def complete(self, found: Found) -> TablePreview:
        """The preview with all that Snowflake knows; an error that stops the table is in it."""
        preview, drift = found.preview, found.drift
        if drift is None:
            return preview
        plan = drift.plan
        try:
            self.inspector.session = self.sessions.session()
            required = ready_to_load(self.inspector, drift, approved=True)
            lacks = lacking(self.rights, self.inspector, plan, required)
            if found.rejected is not None and _action(required) is Action.UNCHANGED:
                gone = count_gone(self.sessions, plan, found.rejected)
                preview = replace(preview, rows_to_delete=gone)
        except Exception as error:  # as in SourceInspection
            self.sessions.after(error)
            return preview.stopped(as_known(error, self.settings.secrets(), plan.config.name))
        reads = preview.reads if required.exists or preview.reads.startswith(EVERYTHING) else GONE
        if required.exists and preview.deletes_reason == WILL_CREATE:
            rule = rule_of(plan, Remembered(), exists=True)
            preview = replace(
                preview,
                deletes=str(rule.deletes),
                deletes_reason=rule.why,
                warnings=(*preview.warnings, *map(str, doubts(plan, rule))),
            )
        stage = self.stages.serving(plan.config.load)
        return replace(
            preview,
            reads=reads,
            action=_action(required),
            ddl=(*required.statements, *required.clustering),
            storage=storage_text(plan, required.state) if required.state or not required.exists else "",
            grants=(
                *preview.grants,
                *(Grant(GrantSide.SNOWFLAKE, lack.statement, lack.certain) for lack in lacks),
            ),
            tick=_tick(plan, stage, marks=plan.marks_deleted or required.marks_rows),
            warnings=(
                *preview.warnings,
                *_kept_marks(plan, required, preview.deletes),
                *storage_warnings(plan, required.state),
                *map(clustering_note, plan.dropped_clustering),
                *_live_view(plan, stage),
            ),
            first_load=_first_load(plan, stage, exists=required.exists) if reads in (FIRST, GONE) else (),
        )


def _live_view(plan: TablePlan, stage: Stage) -> Iterator[str]:
    """A sentence about the live view, if one is configured."""
    if not plan.config.live_view:
        return
    name = live_view_name(plan.target)
    if not reads_files(plan) or stage.origin(plan.target, batch_name(plan, 0, 0)) is None:
        why = "S3_STAGE is not set" if reads_files(plan) else "a column's name has a double quote"
        yield f"live_view: {name} is not made, because {why}"
        return
    yield (
        f"live_view is experimental: {name} shows staged rows, too; each load replaces it (one statement without a"
        f" warehouse; needs CREATE VIEW on the schema), and files stay for"
        f" {format_duration(plan.config.live_view_grace)} after their load"
    )


def _action(required: RequiredDdl) -> Action:
    if not required.exists:
        return Action.CREATE
    return Action.CHANGE if required.statements or required.clustering else Action.UNCHANGED


def _first_load(plan: TablePlan, stage: Stage, *, exists: bool) -> tuple[str, ...]:
    """The statements of a first load by direct copy, which needs an empty target; empty if the load is a merge. exists:
    the run does not create the target, so it must find out whether it is empty."""
    content, batch = _sample(plan)
    origin = stage.origin(plan.target, batch.batch)
    if plan.config.load is LoadMethod.INSERT or origin is None or not can_copy_directly(plan):
        return ()
    copy = copy_steps(plan, plan.target, batch, stage=stage, origin=origin, audited=content.audited)
    before = (copy_sql.any_row(plan.target, not_after=None),) if exists else ()
    after = copy_sql.any_twice(plan.target, plan.key) if exists else sql.show_table(plan.target)
    return (*before, *_texts(copy), after, *_removal(plan, batch, stage))


def _kept_marks(plan: TablePlan, required: RequiredDdl, deletes: str) -> Iterator[str]:
    """A sentence about rows that were marked as deleted, if the configuration marks none any more. deletes: the rule
    for them."""
    if not required.marks_rows or plan.marks_deleted or not plan.target_key:
        return
    mark = f"the target has rows from a time with `deletes: soft`, which are marked in {DELETED_AT_COLUMN}"
    if deletes == Deletes.OFF:
        yield f"{mark}: they stay, and a row whose key comes back loses its mark"
    else:
        yield (
            f"{mark}: with `deletes: hard`, the next search for deleted rows, and each full refresh, deletes them;"
            " write `deletes: soft`, or `deletes: off`, to keep them"
        )


def _tick(plan: TablePlan, stage: Stage, *, marks: bool) -> tuple[str, ...]:
    """The statements of a tick that finds changes: those of one load batch, and of its cleanup. marks: the target has
    a column for marks of deleted rows."""
    method = "insert" if plan.config.load is LoadMethod.INSERT else "stage"
    content, batch = _sample(plan)
    cleanup = _texts(removal_steps(plan.target, [batch.batch], [batch.batch], (stage,)))
    origin = stage.origin(plan.target, batch.batch)
    by_files = method == "stage" and origin is not None and reads_files(plan)
    if plan.whole and by_files and content.gone is Gone.DELETED and not content.hashed:
        put = stage.put(plan.target, batch.batch, [part.path for part in batch.parts])
        replacing = replace_at_once(content, [batch], [origin or ""])
        return (*_texts(put), *_texts(replacing), *_removal(plan, batch, stage))
    if plan.whole:
        staged = _texts(stage_steps(content, batch, method=method, stage=stage))
        return (*staged, *_put_in_place(content), *cleanup)
    if plan.config.insert_only and origin is not None and can_copy_directly(plan):
        return (*_copied(plan, batch, stage, origin, content), *_removal(plan, batch, stage))
    audited = (*content.audited, *((CLEARED,) if marks else ()))
    within = f"-- within {format_duration(plan.config.load_every)}, once for all that was staged:"
    later = (within,) if plan.config.load_every else ()
    if by_files and plan.config.mode is TableMode.LOG:
        changes = ChangeLoad(
            plan.target, plan.output, plan.key, batch.fence, batch.rows,
            ChangeKinds(deletes=True, unchanged=True), plan.delete_rule.deletes, audited, batch.bounds,
        )  # fmt: skip
        put = stage.put(plan.target, batch.batch, [part.path for part in batch.parts])
        files = changes.from_files([origin or ""], counted=True)
        expected = ExpectedTarget(SAMPLE_ROWS, batch.fence)
        merging = changes.merge(files, not_after=batch.fence, expected=expected)
        return (*_texts(put), *later, *_texts([merging]), *_removal(plan, batch, stage))
    if by_files:
        merge = merge_at_once(
            plan.target, plan.output, plan.key, batch,
            origin=origin, audited=audited, stage=stage, expected=ExpectedTarget(SAMPLE_ROWS, batch.fence),
        )  # fmt: skip
        uploaded, merged = _texts(merge)
        return (uploaded, *later, merged, *_removal(plan, batch, stage))
    merge = merge_steps(
        plan.target, plan.output, plan.key, batch, method=method, audited=audited, stage=stage
    )
    statements = _texts(merge)
    if not plan.config.load_every:
        return (*statements, *cleanup)
    created, uploaded, *rest = statements
    return (uploaded, within, created, *rest, *cleanup)


def _copied(
    plan: TablePlan, batch: LoadBatch, stage: Stage, origin: str, content: Content
) -> tuple[str, ...]:
    """The statements that load a batch of rows that are certainly new, with `insert_only`."""
    put = stage.put(plan.target, batch.batch, [part.path for part in batch.parts])
    staged = StagedBatch(
        batch.batch, batch.fence, batch.rows, batch.size, 0, str(plan.config.load), Layout.of(plan)
    )
    within = f"-- within {format_duration(plan.config.load_every)}, once for all that was staged:"
    later = (within,) if plan.config.load_every else ()
    return (
        *_texts(put),
        *later,
        *_texts(transaction_steps([(staged, origin)], batch.fence, content.audited)),
    )


def _removal(plan: TablePlan, batch: LoadBatch, stage: Stage) -> tuple[str, ...]:
    """The statement that removes the batch's files, which wait for those of other batches."""
    return (
        "-- after ten minutes, once for all tables of the schema:",
        str(stage.remove(plan.target, batch.batch).text),
    )


def _put_in_place(content: Content) -> tuple[str, ...]:
    """The statements that load the collected rows into the target. Columns of the target that neither the source nor
    pgsnow fills are left out."""
    if content.plan.config.mode is TableMode.APPEND:
        return _texts(append_steps(content, 0))
    describe, stage = sql.describe_table(content.plan.target), sql.create_stage(content.plan.target)
    return (describe, stage, describe, *_texts(replace_steps(content, ())))


def _sample(plan: TablePlan) -> tuple[Content, LoadBatch]:
    """A sample load batch with one part file, and its content."""
    name = batch_name(plan, SAMPLE_FENCE, 0)
    part = PartFile(SAMPLE_PART, rows=SAMPLE_ROWS, size=1)
    batch = LoadBatch(name, SAMPLE_FENCE, (part,), bounds=_sample_bounds(plan))
    gone = Gone.MARKED if plan.marks_deleted and plan.target_key else Gone.DELETED
    return Content(plan, name, SAMPLE_FENCE, SAMPLE_RUN, gone), batch


def _sample_bounds(plan: TablePlan) -> KeyBounds | None:
    """Bounds of the sample batch, where those of every batch are used: not of texts, of which only ordered ids are."""
    [kind] = [f.type.snowflake for f in plan.output if f.target == plan.bounded] or [""]
    samples = {"NUMBER": (1, 1000), "DATE": (20_000, 20_001), "TIMESTAMP": (1_728 * 10**12, 1_729 * 10**12)}
    for begins, sample in samples.items():
        if plan.bounded is not None and kind.startswith(begins):
            return KeyBounds(plan.bounded, *sample)
    return None


def _texts(steps: Iterable[Step]) -> tuple[str, ...]:
    """The text of each statement, in the form that users see."""
    return tuple(str(step.text) for step in steps)
