"""Plans a table's run from its configuration and the source's catalog."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import psycopg

from pgsnow.model.config.sync_config import TableConfig
from pgsnow.model.errors import ColumnMissing, SourceTableMissing, TransformFailed
from pgsnow.model.evolution.drift import Drift, SourceDefinition, drift_of
from pgsnow.model.evolution.followed_names import dropped_names, followed_names, with_present_names
from pgsnow.model.plan import (
    TablePlan,
    check_clustering,
    check_kind,
    check_output,
    check_rights,
    fields_of,
    watermark_of,
)
from pgsnow.model.settings.settings import SnowflakeSettings
from pgsnow.model.table import SourceTable, TargetName
from pgsnow.model.table_key import key_of
from pgsnow.postgres.catalog.describe import describe, present_name
from pgsnow.sync.transform.transform import Transform, build_transform


@dataclass(frozen=True)
class Prepared:
    """A table's plan, the drift of its source since the last run, and the transform that determines the plan's
    output."""

    drift: Drift
    transform: Transform

    @cached_property
    def plan(self) -> TablePlan:
        return self.drift.plan


def target_of(config: TableConfig, settings: SnowflakeSettings) -> TargetName:
    """The target's full name; the settings supply missing parts."""
    return TargetName.parse(config.target, database=settings.database, schema=settings.schema)


def prepare(
    config: TableConfig,
    source: SourceTable,
    settings: SnowflakeSettings,
    known: SourceDefinition | None = None,
    fingerprint: str | None = None,
) -> Prepared:
    """Plan the run of a table. known: the source's definition in the ledger, by which columns that were renamed are
    followed. fingerprint: of its catalog entry. Pure, except that the transform's function is imported.

    Raises ColumnMissing, KeyUnusable, WatermarkUnusable, UnsupportedTable, SourceAccessDenied, TransformFailed,
    TargetConflict, and TypeChanged.
    """
    try:
        plan, transform = _planned(config, source, settings, known)
    except (ColumnMissing, TransformFailed):
        names = followed_names(config, source, known) if known is not None else {}
        if not names:
            raise
        plan, transform = _planned(with_present_names(config, names), source, settings, known)
        plan = replace(plan, followed=tuple(names.items()), written=config)
    return Prepared(drift_of(known, replace(plan, fingerprint=fingerprint)), transform)


def _planned(
    config: TableConfig, source: SourceTable, settings: SnowflakeSettings, known: SourceDefinition | None
) -> tuple[TablePlan, Transform]:
    check_kind(config, source)
    watermark = watermark_of(config, source)
    pk = key_of(config, source)
    fields = fields_of(config, source, pk)
    if config.numeric_type is not None:
        from pgsnow.model.config.numeric_type import with_casts  # most tables do without it

        config = with_casts(config, fields)
    transform = build_transform(config.transform, fields)
    check_output(source, transform.output)
    if config.cluster_by:
        check_clustering(config, transform.output, dropped_names(config.cluster_by, source, known))
    plan = TablePlan(config, source, target_of(config, settings), fields, transform.output, watermark, pk)
    if source.unreadable:
        check_rights(plan)
    return plan, transform


class Planner:
    """Cache of plans by table; a plan is reused while the table's catalog entry stays the same."""

    def __init__(self, settings: SnowflakeSettings) -> None:
        self._settings = settings
        self._plans: dict[str, tuple[str, SourceDefinition | None, Prepared]] = {}

    def plan(
        self,
        conn: psycopg.Connection,
        config: TableConfig,
        fingerprint: str | None,
        known: SourceDefinition | None = None,
    ) -> Prepared:
        """The table's plan, cached or new. fingerprint: of its catalog entry (None: unknown, so a new plan is
        made). known: its definition in the ledger. Raises what `prepare` raises, and SourceTableMissing."""
        cached = self._plans.get(config.name)
        if cached is not None and cached[:2] == (fingerprint, known):
            return cached[2]
        source = self._describe(conn, config, known)
        # Of the snapshot that was described: the table may have been altered since the tick looked at it.
        fingerprint = fingerprint and source.fingerprint
        prepared = prepare(config, source, self._settings, known, fingerprint)
        if fingerprint is not None:
            self._plans[config.name] = (fingerprint, known, prepared)
        return prepared

    def forget(self, name: str) -> None:
        """Remove the table's plan from the cache."""
        self._plans.pop(name, None)

    def _describe(
        self, conn: psycopg.Connection, config: TableConfig, known: SourceDefinition | None
    ) -> SourceTable:
        """The table as the catalog describes it. If it was renamed, the error gives its current name."""
        try:
            return describe(conn, config.source)
        except SourceTableMissing:
            now = present_name(conn, known.oid) if known is not None else None
            if now is None or now == config.source:
                raise
            raise SourceTableMissing(
                f"{config.source}: the table is called {now} now",
                advice=f"Write `source: {now}` and `name: {config.name}` in sync_config.yaml"
                " to continue from its checkpoint.",
            ) from None
