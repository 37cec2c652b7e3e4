"""Writes the heartbeat tables after a tick's loads: up to when each target is equal to its source, for readers that
only see Snowflake (`heartbeat_table`). A failure is logged and stops nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from operator import methodcaller

from pgsnow.model.errors import PgsnowError
from pgsnow.model.report import SyncReport
from pgsnow.model.table import TargetName
from pgsnow.model.unexpected import public_text
from pgsnow.sync.runtime.context import EngineContext
from pgsnow.sync.runtime.log import logger
from pgsnow.sync.runtime.planner import target_of
from pgsnow.sync.runtime.recorder import Recorder


def write_freshness(context: EngineContext, report: SyncReport) -> None:
    """One MERGE for each schema into which this tick has loaded, and for those that are due by `heartbeat_every`; all
    in one session. Nothing is sent if there is none. Never raises PgsnowError."""
    try:
        targets = {
            table.name: target_of(table, context.settings.snowflake) for table in context.config.enabled
        }
        loaded = {done.table for done in report.tables if done.load_units or done.rows_deleted}
        places = {name: f"{target.database}.{target.schema}" for name, target in targets.items()}
        busy = sorted({place for name, place in places.items() if name in loaded})
        others = sorted({*places.values()} - {*busy}) if _may_wake(context, datetime.now(UTC)) else []
        due = context.ledger.heartbeats.take(busy, others, context.config.heartbeat_every)
        if due:
            _write(context, {name: target for name, target in targets.items() if places[name] in due}, report)
    except PgsnowError as error:
        logger(run_id=report.run_id).warning(
            "heartbeat not written", error=public_text(error), advice=error.advice
        )


def _may_wake(context: EngineContext, now: datetime) -> bool:
    """False in quiet hours, and once the credits of the day are spent (`budget:`): then a warehouse is not resumed just
    to say that nothing was loaded."""
    if context.config.budget is None:
        return True
    saved = context.ledger.budget.latest()
    return saved is None or saved.held_until is None or saved.held_until <= now


def _write(context: EngineContext, targets: Mapping[str, TargetName], report: SyncReport) -> None:
    from pgsnow.model.errors import TargetMissing
    from pgsnow.snowflake.sql.heartbeat import HEARTBEAT_TABLE, create_heartbeat, write_heartbeat
    from pgsnow.sync.load.session import RunSession

    now = datetime.now(UTC)
    schemas: dict[TargetName, dict[str, str]] = {}
    for row in context.ledger.run_log.watermarks():
        target = targets.get(row.source_table)
        if target is not None and row.lag_seconds is not None:
            fresh = schemas.setdefault(target.sibling(HEARTBEAT_TABLE), {})
            fresh[target.table] = (now - timedelta(seconds=row.lag_seconds)).isoformat()
    if not schemas:
        return
    run = RunSession(context.sessions, Recorder("heartbeat", "", report.run_id), context.stop)
    for table, fresh in schemas.items():
        write = methodcaller("execute", write_heartbeat(table, fresh))
        try:
            run.do(write)
        except TargetMissing:
            run.do(methodcaller("execute", create_heartbeat(table)))
            run.do(write)
