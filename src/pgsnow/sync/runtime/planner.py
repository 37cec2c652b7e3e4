"""From a table of the configuration to the plan of its run, by way of the source's catalog."""

from __future__ import annotations

from dataclasses import dataclass, replace

import psycopg

from pgsnow.model.config.sync_config import TableConfig
from pgsnow.model.errors import ColumnMissing, SourceTableMissing
from pgsnow.model.evolution.drift import Drift, SourceDefinition, drift_of
from pgsnow.model.plan import TablePlan, check_kind, check_output, fields_of, watermark_of
from pgsnow.model.settings.settings import SnowflakeSettings
from pgsnow.model.table import SourceTable, TargetName
from pgsnow.model.table_key import key_of
from pgsnow.postgres.catalog.describe import describe, present_name
from pgsnow.sync.transform.transform import Transform, build_transform


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the source's drift leads to, its plan above all, and the transform that the plan's output was derived
    from."""

    drift: Drift
    transform: Transform

    @property
    def plan(self) -> TablePlan:
        return self.drift.plan


def target_of(config: TableConfig, settings: SnowflakeSettings) -> TargetName:
    """The target's full name; missing parts come from the settings."""
    return TargetName.parse(config.target, database=settings.database, schema=settings.schema)


def prepare(
    config: TableConfig,
    source: SourceTable,
    settings: SnowflakeSettings,
    known: SourceDefinition | None = None,
    fingerprint: str | None = None,
) -> Prepared:
    """known: what the ledger remembers of the source. Raises ColumnMissing, KeyUnusable, WatermarkUnusable,
    UnsupportedTable, TransformFailed, TargetConflict, TypeChanged."""
    try:
        plan, transform = _planned(config, source, settings)
    except ColumnMissing as error:
        raise _with_present_name(error, source, known) from None
    return Prepared(drift_of(known, replace(plan, fingerprint=fingerprint)), transform)


def _planned(
    config: TableConfig, source: SourceTable, settings: SnowflakeSettings
) -> tuple[TablePlan, Transform]:
    check_kind(config, source)
    watermark = watermark_of(config, source)
    pk = key_of(config, source)
    fields = fields_of(config, source, pk)
    transform = build_transform(config.transform, fields)
    check_output(source, transform.output)
    plan = TablePlan(config, source, target_of(config, settings), fields, transform.output, watermark, pk)
    return plan, transform


def _with_present_name(
    error: ColumnMissing, source: SourceTable, known: SourceDefinition | None
) -> ColumnMissing:
    """The error, and what the column is called now, if the ledger knows which it was."""
    now = known.present_name(error.column, source) if known is not None else None
    if now is None:
        return error
    return ColumnMissing(
        f"{source.name}: column {error.column} was renamed to {now}",
        advice=f"Write {now} instead of {error.column} in sync_config.yaml.",
        column=error.column,
    )


class Planner:
    """Plans by table, remembered while the source's catalog entry stays the same."""

    def __init__(self, settings: SnowflakeSettings) -> None:
        self._settings = settings
        self._made: dict[str, tuple[str, SourceDefinition | None, Prepared]] = {}

    def plan(
        self,
        conn: psycopg.Connection,
        config: TableConfig,
        fingerprint: str | None,
        known: SourceDefinition | None = None,
    ) -> Prepared:
        """`fingerprint` stands for the table's catalog entry (None: there is none, look again); known: what the ledger
        remembers of it."""
        made = self._made.get(config.name)
        if made is not None and made[:2] == (fingerprint, known):
            return made[2]
        source = self._describe(conn, config, known)
        prepared = prepare(config, source, self._settings, known, fingerprint)
        if fingerprint is not None:
            self._made[config.name] = (fingerprint, known, prepared)
        return prepared

    def forget(self, name: str) -> None:
        self._made.pop(name, None)

    def _describe(
        self, conn: psycopg.Connection, config: TableConfig, known: SourceDefinition | None
    ) -> SourceTable:
        """A table that is not there (any more) may be known to have another name now."""
        try:
            return describe(conn, config.source)
        except SourceTableMissing:
            now = present_name(conn, known.oid) if known is not None else None
            if now is None or now == config.source:
                raise
            raise SourceTableMissing(
                f"{config.source}: the table is called {now} now",
                advice=f"Write `source: {now}` and `name: {config.name}` in sync_config.yaml to go on where it was.",
            ) from None
