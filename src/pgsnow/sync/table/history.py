"""Repair of a target after the history of its source, or of the ledger, went back; and doubts about one whose rows
were selected by another rule. Only rare runs come here.

Rows that only the lost history had are among those that were loaded since the last position that the server still has.
If that position is known by watermark, those rows alone are read again; else everything is. Either way, rows that the
source no longer has are deleted. Until that is done the ledger says that the target is unverified.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Any

from pgsnow.model.checkpoint import LEDGER_WENT_BACK, SELECTION, UNPROVEN, WENT_BACK
from pgsnow.model.config.fingerprint import changed_keys, config_fingerprint
from pgsnow.model.metadata_columns import FENCE, MetadataColumn
from pgsnow.postgres.sql import text_of_value
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.load_keys import load_keys

MOST_KEYS = 100_000
"""Above this many rows, everything is read instead."""
PLAIN_KEYS = frozenset({"int2", "int4", "int8", "text", "varchar", "uuid"})
"""Types of key columns whose value in the target is that of the source."""


def follow_history(run: RunContext) -> RunContext:
    """The run after the target's surplus of rows is repaired, or one that reads everything to repair it.

    A ledger that was restored with the source fits it, so only the target shows that there was a later state."""
    why = run.probe.full_read if run.probe else None
    _doubt_other_rows(run)
    if run.checkpoint is None and (run.claim.unverified or "").startswith(LEDGER_WENT_BACK):
        return begin_repair(run, LEDGER_WENT_BACK)  # an earlier run could not replace what the target has
    if why in WENT_BACK:
        return begin_repair(run, why)
    known = run.claim.checkpoint_fence
    if run.restarted and known is not None and (newest := run.destination.newest_fence()) > known:
        run.table.check_fence(newest + 1)  # a lost run may have had the fence of this one
        run = _reread(run, LEDGER_WENT_BACK, FENCE, known) or begin_repair(run, LEDGER_WENT_BACK)
    if run.probe is not None and run.probe.kept_until is not None and why is None and run.because is None:
        return _reread_newest(run, run.probe.kept_until)
    return run


def _doubt_other_rows(run: RunContext) -> None:
    """After a change of the configuration by which rows are selected: the target may hold rows that no longer are."""
    known, plan = run.claim.stored_definition, run.plan
    if known is None or run.claim.checkpoint is None or plan.whole or run.options.refresh:
        return
    changed = changed_keys(dict(known.config_fingerprint), config_fingerprint(plan.as_written))
    if "transform" in changed and run.rejected.confidential is not None:
        run.rejected.confidential.rewrite(run.ledger.rejected_rows, run.claim)
    drops = {
        "where": plan.config.where,
        "transform": plan.config.transform and plan.config.transform.function,
    }
    rules = [f"`{key}`" for key in changed if drops.get(key)]
    if (
        rules
        and known.target == str(plan.target)
        and (run.claim.unverified or SELECTION).startswith(SELECTION)
    ):
        when = run.horizon.taken_at[:16].replace("T", " ")
        run.table.doubt(
            f"{SELECTION} ({' and '.join(rules)}, {when} UTC): rows that are not selected any more may be in the"
            f" target, until pgsnow run --select {plan.config.name} --full-refresh deletes them or pgsnow verify finds"
            " none"
        )
        run.recorder.events.append(run.claim.unverified or "")


def begin_repair(run: RunContext, why: str) -> RunContext:
    """The run that reads everything for this reason. The ledger and the report say so first: the doubt ends with the
    repair, or when a verify has passed. Raises LedgerOutdated."""
    run.table.check_fence(run.destination.newest_fence() + 1)
    run.recorder.events.append(f"{why}: {run.plan.repair}")
    _doubt(run, why)
    return replace(run, because=why)


def _doubt(run: RunContext, why: str) -> None:
    when = run.horizon.taken_at[:16].replace("T", " ")
    run.table.doubt(
        f"{why} (noticed {when} UTC): the target may hold rows that the source has lost, until pgsnow verify passes"
    )


def _reread_newest(run: RunContext, kept_until: str) -> RunContext:
    """The rows that the target has with newer watermarks than the source has kept were changed or deleted after they
    were read, or lost."""
    name, value = run.plan.watermark_column.name, _parsed(kept_until)
    field = next((f for f in run.plan.output if f.source == name), None)
    if field is not None and value is not None:
        column = MetadataColumn(field.target, field.type.snowflake)
        if (after := _reread(run, UNPROVEN, column, value)) is not None:
            return after
    # Where the server resumed is proof enough, unless it was restarted more than once.
    return run if run.horizon.resumed is not None else begin_repair(run, UNPROVEN)


def _reread(run: RunContext, why: str, column: MetadataColumn, value: Any) -> RunContext | None:
    """Read the rows again in which the target's column is above the value, and delete those that the source no longer
    has. None: they are too many, or the source's keys cannot be told from the target's."""
    plain = all(f.type.postgres in PLAIN_KEYS for f in run.plan.key)
    if run.plan.whole or not run.plan.key or not plain or run.plan.config.transform is not None:
        return None
    keys = run.destination.keys_above(column, value)
    if len(keys) > MOST_KEYS:
        return None
    if keys:
        run.destination.prepare()
        _doubt(run, why)
        names = run.plan.pk
        wanted = [dict(zip(names, map(text_of_value, key), strict=True)) for key in keys]
        load_keys(run, wanted)
        run.destination.batches.cleanup()
        _prune(run, why, len(keys), column, value)
    elif (run.claim.unverified or "").startswith(why):
        run.table.doubt(None)  # an earlier run had begun the repair
    return run


def _prune(run: RunContext, why: str, count: int, column: MetadataColumn, value: Any) -> None:
    """Delete those of the rows that were not found again. If any was rejected, none is deleted, and the doubt stays."""
    text = f"{why}: {count} of the newest rows were read again"
    if run.recorder.rows_rejected:
        run.recorder.events.append(f"{text}; those that are gone were kept, because some rows were rejected")
        return
    deleted = run.destination.prune_above(run.claim.fence, column, value)
    run.recorder.rows_deleted += deleted
    done = "marked as deleted" if run.plan.marks_deleted else "deleted"
    if deleted or why != UNPROVEN:
        run.recorder.events.append(f"{text}, and {deleted} were {done} that are gone from the source")
    run.table.doubt(None)


def _parsed(watermark: str) -> Any:
    """The value of a watermark's JSON text; None if Python cannot hold it."""
    for parse in (int, date.fromisoformat, datetime.fromisoformat):
        try:
            return parse(watermark)
        except ValueError:
            continue
    return None
