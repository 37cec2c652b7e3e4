"""Shows what a run would do now, and does none of it: nothing is written at either end, nor in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from pgsnow.ledger.checkpoints import Remembered
from pgsnow.ledger.errors import unless_missing
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.checkpoint import VirtualXids
from pgsnow.model.config.sync_config import SyncConfig, TableConfig, TableMode
from pgsnow.model.settings.settings import Settings
from pgsnow.operations.command_sessions import CommandSessions
from pgsnow.operations.log.inspect import inspect
from pgsnow.operations.owners import ConfiguredOwners
from pgsnow.operations.plan.deletes import rejected_if_due
from pgsnow.operations.plan.result import TablePreview
from pgsnow.operations.plan.source import Found, SourceInspection
from pgsnow.operations.plan.target import TargetPreview
from pgsnow.postgres.catalog.describe import catalog_marks
from pgsnow.postgres.catalog.privileges import access
from pgsnow.postgres.catalog.survey import survey_of
from pgsnow.postgres.connection import Source
from pgsnow.postgres.incremental.horizon import take_horizon
from pgsnow.snowflake.privileges import rights_of
from pgsnow.snowflake.schema.required_ddl import TargetInspector
from pgsnow.snowflake.stage.stage import Stages
from pgsnow.sync.runtime.planner import Planner

QUERY_TAG = "pgsnow:plan"


def preview(
    config: SyncConfig, settings: Settings, names: Sequence[str] | None = None, *, full_refresh: bool = False
) -> list[TablePreview]:
    """One preview a table, in the table list's order. That of a table that cannot be synced has its error.

    Raises ConfigError for an unknown table, LedgerUnavailable, SourceUnavailable, TargetUnavailable and the like
    when neither end can be asked.
    """
    config.check_targets(database=settings.snowflake.database, schema=settings.snowflake.schema)
    config.check_staging(bucket=settings.s3 is not None)
    found = in_source(config, settings, config.select(names or None), full=full_refresh)
    with CommandSessions(Source(settings.source), settings.snowflake, QUERY_TAG) as sessions:
        inspector = TargetInspector(sessions.session(), found[0].owners if found else None)
        target = TargetPreview(
            sessions, inspector, rights_of(sessions.session()), Stages.of(settings), settings
        )
        return [target.complete(each) for each in found]


def in_source(
    config: SyncConfig, settings: Settings, tables: Sequence[TableConfig], *, full: bool
) -> list[Found]:
    """Each table as far as Postgres and the ledger know it. Errors: those of `preview`, except Snowflake's."""
    ledger, source = Ledger(settings.ledger, config.ledger_schema), Source(settings.source)
    with closing(ledger), closing(source), CommandSessions(source, settings.snowflake, QUERY_TAG) as sessions:
        known: dict[str, Remembered] = unless_missing(ledger.checkpoints.remembered, {})
        listing = unless_missing(
            lambda: ledger.checkpoints.virtual_xids(settings.source.display), VirtualXids()
        )
        conn = sessions.postgres()
        horizon, _ = take_horizon(conn, listing)
        sizes = access(conn, {table.source: table.watermark_column for table in tables})
        surveyed = survey_of(conn, [table.source for table in tables])
        planner = Planner(settings.snowflake)
        reads_log = any(table.mode is TableMode.LOG for table in tables)
        log = inspect(config, ledger, conn) if reads_log else None
        inspection = SourceInspection(sessions, planner, horizon, known, sizes, settings, full, surveyed, log)
        owners = ConfiguredOwners.of(config, settings, ledger, horizon)
        marks = catalog_marks(conn, [table.source for table in tables])
        found = [replace(inspection.begin(table), owners=owners) for table in tables]
        return [
            replace(
                each,
                rejected=rejected_if_due(
                    ledger, each.drift.plan, each.known, marks.get(each.drift.plan.source.name), horizon
                ),
            )
            if each.drift
            else each
            for each in found
        ]
