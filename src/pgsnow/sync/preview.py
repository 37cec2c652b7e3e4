"""What a run would do now, without doing any of it: nothing is written at either end, nor in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import psycopg

from pgsnow.ledger.postgres import PostgresLedger
from pgsnow.model.checkpoint import Checkpoint, Horizon, VirtualXids
from pgsnow.model.config import SyncConfig, TableConfig
from pgsnow.model.drift import Drift, KnownSource
from pgsnow.model.errors import PgsnowError
from pgsnow.model.settings import Settings
from pgsnow.postgres.connection import Source
from pgsnow.postgres.discover import describe
from pgsnow.postgres.horizon import take_horizon
from pgsnow.postgres.read import Probe, probe
from pgsnow.snowflake.connection import Session, connect
from pgsnow.snowflake.evolve import foresee
from pgsnow.snowflake.foresee import foresee_target
from pgsnow.snowflake.schema import describe as describe_target
from pgsnow.sync.planning import prepare, target_of

T = TypeVar("T")

NOT_YET = frozenset({"42P01", "42703"})
"""undefined_table, undefined_column: the ledger is of an older version, or not there."""
NOTHING, EVERYTHING, CHANGES = "nothing", "everything", "what has changed"


@dataclass(frozen=True, slots=True)
class TablePreview:
    """One table. reads: nothing, everything (and why), or what has changed. ddl: the statements that the target
    needs first, in order. error and advice: what stops the table."""

    table: str
    target: str
    reads: str = ""
    mode: str = ""
    load: str = ""
    ddl: tuple[str, ...] = ()
    error: str | None = None
    advice: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__} | {"ddl": list(self.ddl)}


@dataclass(frozen=True, slots=True)
class _Known:
    """What both ends and the ledger know before the first table is looked at."""

    conn: psycopg.Connection[Any]
    horizon: Horizon
    checkpoints: dict[str, Checkpoint]
    sources: dict[str, KnownSource]
    full: bool


def preview(
    config: SyncConfig, settings: Settings, names: Sequence[str] | None = None, *, full_refresh: bool = False
) -> list[TablePreview]:
    """One preview a table, in the table list's order. A table that cannot be synced tells its error.

    Raises ConfigError for an unknown table, LedgerUnavailable, SourceUnavailable, TargetUnavailable and the like
    when nothing can be told.
    """
    chosen = config.select(names or None)
    ledger, source = PostgresLedger(settings.ledger, config.ledger_schema), Source(settings.source)
    try:
        checkpoints: dict[str, Checkpoint] = _if_there(ledger.checkpoints, {})
        sources: dict[str, KnownSource] = _if_there(ledger.known_sources, {})
        listing = _if_there(lambda: ledger.virtual_xids(settings.source.display), VirtualXids())
        with source.connect() as conn:
            horizon, _ = take_horizon(conn, listing)
            known = _Known(conn, horizon, checkpoints, sources, full_refresh)
            looked = [_look(known, table, settings) for table in chosen]
    finally:
        source.close()
        ledger.close()
    with connect(settings.snowflake, query_tag="pgsnow:plan") as session:
        return [_with_ddl(session, found, drift) if drift else found for found, drift in looked]


def _if_there(read: Callable[[], T], otherwise: T) -> T:
    """What the ledger tells; `otherwise` before the first run, which creates the ledger's tables."""
    try:
        return read()
    except PgsnowError as error:
        if error.code in NOT_YET:
            return otherwise
        raise


def _look(known: _Known, table: TableConfig, settings: Settings) -> tuple[TablePreview, Drift | None]:
    found = TablePreview(table.name, str(target_of(table, settings.snowflake)), load=str(table.load))
    try:
        source = describe(known.conn, table.source)
        drift = prepare(table, source, settings.snowflake, known.sources.get(table.name)).drift
        seen = probe(known.conn, drift.plan, known.checkpoints.get(table.name), known.horizon)
        if drift.full_read is not None:
            seen = replace(seen, full_read=drift.full_read)
        return replace(found, reads=_reads(seen, full=known.full), mode=str(seen.step.mode)), drift
    except PgsnowError as error:
        return _stopped(found, error), None


def _reads(seen: Probe, *, full: bool) -> str:
    reason = "asked for" if full else seen.full_read
    if reason is not None:
        return f"{EVERYTHING}: {reason}"
    return CHANGES if seen.busy else NOTHING


def _with_ddl(session: Session, found: TablePreview, drift: Drift) -> TablePreview:
    try:
        plan = drift.plan
        if drift.alters:
            ddl = foresee(plan.target, drift.alters, describe_target(session, plan.target))
            return replace(found, ddl=ddl)
        return replace(
            found, ddl=foresee_target(session, plan.target, plan.output, plan.target_key, plan.own_columns)
        )
    except PgsnowError as error:
        return _stopped(found, error)


def _stopped(found: TablePreview, error: PgsnowError) -> TablePreview:
    return replace(found, error=str(error), advice=error.advice or None)
