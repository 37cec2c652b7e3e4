"""The part of a preview that Postgres and the ledger tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from pgsnow.model.checkpoint import Checkpoint, Horizon
from pgsnow.model.config import TableConfig
from pgsnow.model.errors import PgsnowError
from pgsnow.model.plan import TablePlan
from pgsnow.model.settings import SnowflakeSettings
from pgsnow.model.table import SourceName
from pgsnow.postgres.access import Access
from pgsnow.postgres.discover import describe
from pgsnow.postgres.read import Probe, probe
from pgsnow.postgres.why import why_mode
from pgsnow.sync.planning import prepare, target_of
from pgsnow.sync.previewed import CHANGES, EVERYTHING, NOTHING, Grant, Side, TablePreview

UNKNOWN = Access(None, None, ())


@dataclass(frozen=True, slots=True)
class Found:
    """A preview as far as Postgres tells it, and the plan (None: the table cannot be synced)."""

    preview: TablePreview
    plan: TablePlan | None


@dataclass(frozen=True, slots=True)
class SourceLook:
    """Looks at tables one by one. full: as a full refresh would."""

    conn: psycopg.Connection[Any]
    horizon: Horizon
    checkpoints: Mapping[str, Checkpoint]
    access: Mapping[SourceName, Access]
    settings: SnowflakeSettings
    full: bool

    def look(self, table: TableConfig) -> Found:
        """Raises SourceUnavailable alone; what stops the table is in its preview."""
        found = self._begun(table)
        try:
            plan = prepare(table, describe(self.conn, table.source), self.settings).plan
            checkpoint = self.checkpoints.get(table.name)
            seen = probe(self.conn, plan, checkpoint, self.horizon)
        except PgsnowError as error:
            return Found(found.stopped(error), None)
        mode = seen.step.mode
        told = replace(found, reads=self._reads(seen), mode=str(mode), mode_reason=why_mode(plan, mode))
        return Found(told, plan)

    def _begun(self, table: TableConfig) -> TablePreview:
        known = self.access.get(table.source, UNKNOWN)
        return TablePreview(
            table.name,
            str(target_of(table, self.settings)),
            grants=tuple(Grant(Side.SOURCE, statement) for statement in known.grants),
            load=str(table.load),
            rows=known.rows,
            bytes=known.bytes,
        )

    def _reads(self, seen: Probe) -> str:
        reason = "asked for" if self.full else seen.full_read
        if reason is not None:
            return f"{EVERYTHING}: {reason}"
        return CHANGES if seen.busy else NOTHING
