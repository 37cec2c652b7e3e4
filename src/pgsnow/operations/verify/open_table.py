"""One table that is about to be compared: its plan, both sessions, and what the ledger knows about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import psycopg

from pgsnow.ledger.checkpoints import Remembered
from pgsnow.ledger.errors import unless_missing
from pgsnow.model.checkpoint import Horizon
from pgsnow.model.config.sync_config import TableConfig
from pgsnow.model.metadata_columns import DELETED_AT_COLUMN
from pgsnow.model.plan import TablePlan
from pgsnow.model.types.content_cell import ContentCell, content_cells
from pgsnow.model.types.mapping import Field
from pgsnow.operations.command_sessions import CommandSessions
from pgsnow.operations.owners import ConfiguredOwners
from pgsnow.postgres.catalog.obstacles import try_read
from pgsnow.postgres.connection import Source
from pgsnow.postgres.incremental.horizon import take_horizon
from pgsnow.snowflake.schema.target_table import describe
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql.soft_deletes import UNMARKED
from pgsnow.sync.engine import Engine
from pgsnow.sync.pipeline.row_keys import Items, items_of
from pgsnow.sync.runtime.planner import Prepared

Row = tuple[Any, ...]
"""Canonical values (canonical.py)."""


@dataclass(frozen=True)
class OpenTable:
    """known: the ledger's state, read before anything of the source or the target. rejected: the items of source keys
    with an open error, and the reasons. columns: name → type of the target's columns as they are ({}: no target)."""

    source: Source
    conn: psycopg.Connection
    session: Session
    prepared: Prepared
    known: Remembered
    rejected: Mapping[Items, str]
    columns: Mapping[str, str]
    horizon: Horizon

    @property
    def plan(self) -> TablePlan:
        return self.prepared.plan

    @cached_property
    def encoding(self) -> str:
        """The database's encoding, as Postgres names it."""
        return self.conn.info.parameter_status("server_encoding") or "UTF8"

    @property
    def unchecked_text(self) -> bool:
        """The database does not check its text's encoding."""
        return self.encoding == "SQL_ASCII"

    @cached_property
    def absent(self) -> frozenset[str]:
        """Source columns that are loaded as NULL."""
        rule = self.plan.config.transform
        return frozenset(rule.set_null) if rule is not None else frozenset()

    @cached_property
    def computed(self) -> bool:
        """The transform computes values, which SQL does not."""
        rule = self.plan.config.transform
        return rule is not None and bool(rule.function or rule.hash or rule.mask or rule.cast)

    @cached_property
    def cells(self) -> tuple[ContentCell, ...]:
        """The columns whose contents both sides hash."""
        return content_cells(self.plan.output, self.columns, tuple(self.absent))[0]

    @cached_property
    def documents(self) -> tuple[Field, ...]:
        """The columns that are compared on our side: VARIANTs, and columns of another type than pgsnow creates."""
        return content_cells(self.plan.output, self.columns, tuple(self.absent))[1]

    @property
    def unmarked(self) -> str:
        """A condition on rows of the target: it is not marked as deleted; '' if no row can be. Marks may be there from
        a time with `deletes: soft`."""
        return UNMARKED if DELETED_AT_COLUMN in self.columns else ""


def open_table(engine: Engine, table: TableConfig, sessions: CommandSessions) -> OpenTable:
    """Plan the comparison of a table. Checks that its rows may be read and that the target belongs to this
    configuration. Raises what planning a run raises, and TargetConflict."""
    conn, session = sessions.postgres(), sessions.session()
    states: dict[str, Remembered] = unless_missing(engine.ledger.checkpoints.remembered, {})
    known = states.get(table.name, Remembered())  # with JSON that is damaged, no definition
    prepared = engine.planner.plan(conn, table, None, known.definition)
    try_read(conn, prepared.plan)
    horizon, _ = take_horizon(conn)
    ConfiguredOwners.of(engine.config, engine.settings, engine.ledger, horizon).look(session, prepared.plan)
    rejected = {items_of(key): why for key, why in engine.ledger.rejected_rows.open_reasons(table.name)}
    there = describe(session, prepared.plan.target) or []
    columns = {column.name: column.kind for column in there}
    return OpenTable(engine.source, conn, session, prepared, known, rejected, columns, horizon)
