"""Columns that were renamed in the source and that the configuration still names as before: they are followed by their
attribute number, which a rename does not change.

A name that stands for a column of the source now is not followed: the configuration is taken at its word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pgsnow.model.config.sync_config import TableConfig
from pgsnow.model.evolution.source_definition import SourceDefinition
from pgsnow.model.table import SourceTable

_COLUMN_KEYS = ("include", "exclude", "rename", "on_overflow")
_TRANSFORM_KEYS = ("set_null", "hash", "mask", "cast", "rename")


def followed_names(config: TableConfig, source: SourceTable, known: SourceDefinition) -> dict[str, str]:
    """Name in the configuration → the column's current name, for each column that was renamed since `known` was
    stored. Empty if the table was re-created: numbers of another table say nothing."""
    found = {name: known.present_name(name, source) for name in _named(config) if not source.column(name)}
    return {name: now for name, now in found.items() if now is not None}


def dropped_names(
    names: Iterable[str], source: SourceTable, known: SourceDefinition | None
) -> frozenset[str]:
    """Those of these configured columns that a known table does not have, under no name. (A table that was never read
    has lost none: its configuration has a mistake.)"""
    gone = (name for name in names if not source.column(name))
    return frozenset(name for name in gone if known is not None and known.present_name(name, source) is None)


def with_present_names(config: TableConfig, names: Mapping[str, str]) -> TableConfig:
    """The configuration with these columns under their current names. `where` and functions stay as they are."""

    def changed(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {names.get(name, name): item for name, item in value.items()}
        return tuple(names.get(name, name) for name in value)

    columns, transform, watermark = config.columns, config.transform, config.watermark_column
    in_columns = {key: changed(getattr(columns, key)) for key in _COLUMN_KEYS}
    in_transform = {key: changed(getattr(transform, key)) for key in _TRANSFORM_KEYS} if transform else {}
    return config.model_copy(
        update={
            "pk": None if config.pk is None else changed(config.pk),
            "watermark_column": None if watermark is None else names.get(watermark, watermark),
            "cluster_by": changed(config.cluster_by),
            "columns": columns.model_copy(update=in_columns),
            "transform": transform.model_copy(update=in_transform) if transform else None,
        }
    )


def _named(config: TableConfig) -> Iterable[str]:
    """Every column that the configuration names, apart from `where`."""
    transform, watermark = config.transform, config.watermark_column
    named = {*(config.pk or ()), *config.cluster_by, *(() if watermark is None else (watermark,))}
    named.update(*(getattr(config.columns, key) for key in _COLUMN_KEYS))
    if transform is not None:
        named.update(*(getattr(transform, key) for key in _TRANSFORM_KEYS))
    return sorted(named)
