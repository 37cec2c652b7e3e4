"""From a table of the configuration to the plan of its run, by way of the source's catalog."""

from __future__ import annotations

from dataclasses import dataclass, replace

import psycopg

from pgsnow.model.config import TableConfig
from pgsnow.model.plan import TablePlan, check_kind, check_output, fields_of, watermark_of
from pgsnow.model.settings import SnowflakeSettings
from pgsnow.model.table import SourceTable, TargetName
from pgsnow.model.table_key import key_of
from pgsnow.postgres.discover import describe
from pgsnow.sync.transform import Transform, build_transform


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan and the transform that its output was derived from."""

    plan: TablePlan
    transform: Transform


def target_of(config: TableConfig, settings: SnowflakeSettings) -> TargetName:
    """The target's full name; missing parts come from the settings."""
    return TargetName.parse(config.target, database=settings.database, schema=settings.schema)


def prepare(config: TableConfig, source: SourceTable, settings: SnowflakeSettings) -> Prepared:
    """Raises ColumnMissing, KeyUnusable, WatermarkUnusable, UnsupportedTable, TransformFailed, TargetConflict."""
    check_kind(config, source)
    watermark = watermark_of(config, source)
    pk = key_of(config, source)
    fields = fields_of(config, source, pk)
    transform = build_transform(config.transform, fields)
    check_output(source, transform.output)
    plan = TablePlan(config, source, target_of(config, settings), fields, transform.output, watermark, pk)
    return Prepared(plan, transform)


class Planner:
    """Plans by table, remembered while the source's catalog entry stays the same."""

    def __init__(self, settings: SnowflakeSettings) -> None:
        self._settings = settings
        self._known: dict[str, tuple[str, Prepared]] = {}

    def plan(self, conn: psycopg.Connection, config: TableConfig, fingerprint: str | None) -> Prepared:
        """`fingerprint` stands for the table's catalog entry (None: there is none, look again)."""
        known = self._known.get(config.name)
        if known is not None and known[0] == fingerprint:
            return known[1]
        prepared = prepare(config, describe(conn, config.source), self._settings)
        if fingerprint is not None:
            prepared = replace(prepared, plan=replace(prepared.plan, fingerprint=fingerprint))
            self._known[config.name] = (fingerprint, prepared)
        return prepared

    def forget(self, name: str) -> None:
        self._known.pop(name, None)
