"""Makes the sources of a dbt project for the tables of a configuration. Asks Postgres and the ledger, not Snowflake."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.settings.settings import Settings
from pgsnow.operations.command_sessions import CommandSessions
from pgsnow.operations.dbt.sources import SyncedTable, sources_of
from pgsnow.operations.plan.preview import in_source
from pgsnow.postgres.catalog.comments import NO_COMMENTS, comments_of
from pgsnow.postgres.connection import Source

PATIENCE = 5
QUIET_SECONDS = 86_400.0
"""How long a whole schema may have no load, if nothing is written between loads."""


def dbt_sources(
    config: SyncConfig, settings: Settings, names: Sequence[str] | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """The content of sources.yml, and the error of each table that cannot be planned and is therefore not in it.

    names: only these tables. Raises ConfigError for an unknown table, SourceUnavailable, LedgerUnavailable.
    """
    config.check_targets(database=settings.snowflake.database, schema=settings.snowflake.schema)
    found = in_source(config, settings, config.select(names or None), full=False)
    plans = [each.drift.plan for each in found if each.drift is not None]
    with (
        closing(Source(settings.source)) as source,
        CommandSessions(source, settings.snowflake, "pgsnow:dbt") as sessions,
    ):
        comments = comments_of(sessions.postgres(), [plan.source.oid for plan in plans]) if plans else {}
    tables = [SyncedTable(plan, comments.get(plan.source.oid, NO_COMMENTS)) for plan in plans]
    errors = {each.preview.table: each.preview.error or "" for each in found if each.drift is None}
    return sources_of(tables, warn_after=_warn_after(config, tables)), errors


def _warn_after(config: SyncConfig, tables: Sequence[SyncedTable]) -> dict[str, float]:
    """By table, the age of its heartbeat that is unusual: five of its intervals after what may lie between two writes.
    Without `heartbeat_every` a quiet table's heartbeat is only written when another table of its schema is loaded."""
    if not config.heartbeat_table:
        return {}
    between = config.heartbeat_every or QUIET_SECONDS
    return {
        one.plan.config.name: between + one.plan.config.load_every
        + PATIENCE * max(one.plan.config.every, config.sync_interval_seconds)
        for one in tables
    }  # fmt: skip
