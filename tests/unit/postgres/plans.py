"""Plans on tables that exist nowhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pgsnow.model.checkpoint import Checkpoint, Horizon, Mark, ReadMode, ServerIdentity
from pgsnow.model.config.sync_config import TableConfig
from pgsnow.model.plan import TablePlan, fields_of, watermark_of
from pgsnow.model.table import Column, SourceName, SourceTable, TargetName
from pgsnow.model.table_key import key_of

HERE = ServerIdentity("7000000000000000001", 1)


def column(name: str, type_name: str, attnum: int = 1) -> Column:
    return Column(name, attnum, type_name, 0, -1, "b", "X", not_null=True)


def plan(kind: str = "timestamptz", *, sequence: tuple[int, int] | None = None, **options: Any) -> TablePlan:
    """A table t (id int8, v text, w <kind>) with pk id and watermark w; sequence: w is an identity with this CACHE and
    INCREMENT."""
    source = SourceTable(
        name=SourceName("public", "t"),
        oid=1,
        relkind="r",
        columns=(
            column("id", "int8", 1),
            column("v", "text", 2),
            replace(column("w", kind, 3), always_identity=sequence is not None),
        ),
        unique_keys=(("id",),),
        has_primary_key=True,
        sequence_cache=() if sequence is None else (("w", *sequence),),
    )
    given = {"pk": ["id"], "watermark_column": "w", **options}
    config = TableConfig(source=source.name, target="t", **given)
    fields = fields_of(config, source)
    return TablePlan(
        config,
        source,
        TargetName("D", "S", "T"),
        fields,
        fields,
        watermark_of(config, source),
        key_of(config, source),
    )


def horizon(low: str = "2026-01-02 00:00:00+00", **more: Any) -> Horizon:
    return Horizon(**{"identity": HERE, "taken_at": "2026-01-02 00:00:05+00", "low": low, **more})


def checkpoint(**changes: Any) -> Checkpoint:
    base = Checkpoint(
        mode=ReadMode.WATERMARK,
        identity=HERE,
        x=1000,
        low="2026-01-01 00:00:00+00",
        trail=(Mark("2026-01-01 00:00:05+00", 1001, "2026-01-01 00:00:00+00"),),
        audit_x=900,
        audited_at="2026-01-01 00:00:05+00",
    )
    return base.evolve(**changes)
