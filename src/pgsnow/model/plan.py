"""What one table's run will do, decided before anything is read: fields, key, watermark, target."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from pgsnow.model.config import TableConfig
from pgsnow.model.errors import ColumnMissing, KeyUnusable, TargetConflict, WatermarkUnusable
from pgsnow.model.overflow import NEVER_OF_KEYS, Overflow
from pgsnow.model.table import Column, SourceTable, TargetName, target_column
from pgsnow.model.type_mapping import without_overflow
from pgsnow.model.typemap import Field, mapping_of

FENCE_COLUMN = "_PGSNOW_FENCE"
"""Audit column of every target: the fencing token of the run that wrote the row."""
ORDER_COLUMN = "_PGSNOW_ROW"
"""Column of every staging table: rows in the order they were read; of two rows with one key the later wins."""
RESERVED = frozenset({FENCE_COLUMN, ORDER_COLUMN})

WATERMARK_TYPES = frozenset({"timestamptz", "timestamp", "date", "int2", "int4", "int8"})


@dataclass(frozen=True, slots=True)
class TablePlan:
    """fields: what is read, in order. output: what is loaded, after the transform."""

    config: TableConfig
    source: SourceTable
    target: TargetName
    fields: tuple[Field, ...]
    output: tuple[Field, ...]
    watermark: Column
    fingerprint: str | None = None
    """Of the source's catalog entry when the plan was made; a read of another one raises SchemaMoved. None: not
    checked."""

    @property
    def key(self) -> tuple[Field, ...]:
        """The key's fields as loaded, in the order of `pk`."""
        by_source = {field.source: field for field in self.output}
        return tuple(by_source[name] for name in self.config.pk)

    @property
    def shape(self) -> str:
        """A digest of what the configuration makes of the table: target, pk, watermark, columns, where, transform
        (its salt is in it, and cannot be told from it); and of the columns that were added with a default, since their
        values appear in old rows without a new version of those rows. With another shape, rows loaded before are out
        of date."""
        config, transform = self.config, self.config.transform
        salt = transform.salt.get_secret_value() if transform and transform.salt else None
        said = [
            str(self.target),
            config.pk,
            [config.watermark_column, config.watermark_timezone],
            config.columns.model_dump(mode="json", exclude={"on_overflow"}),
            config.where,
            transform.model_dump(mode="json", exclude={"salt"}) if transform else None,
            hashlib.sha256(salt.encode()).hexdigest() if salt else None,
            *_overflow_told(config),
            *self._added_with_default(),
        ]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]

    def _added_with_default(self) -> list[object]:
        """Nothing where there is none."""
        read = {field.source for field in self.fields}
        found = [c.attnum for c in self.source.columns if c.has_missing and c.name in read]
        return [{"added with a default": found}] if found else []


def _overflow_told(config: TableConfig) -> list[object]:
    """Nothing where nothing is set."""
    chosen = config.columns.on_overflow
    return [[config.on_overflow, chosen]] if chosen or config.on_overflow is not Overflow.QUARANTINE else []


def fields_of(config: TableConfig, source: SourceTable) -> tuple[Field, ...]:
    """The fields to read, after include, exclude and rename. Raises ColumnMissing."""
    chosen = config.columns
    named = {*chosen.include, *chosen.exclude, *chosen.rename, *chosen.on_overflow, *config.pk}
    for name in sorted(named):
        _require(source, name)
    wanted = [
        column
        for column in source.columns
        if column.name in config.pk
        or ((not chosen.include or column.name in chosen.include) and column.name not in chosen.exclude)
    ]
    return tuple(_field(config, column) for column in wanted)


def _field(config: TableConfig, column: Column) -> Field:
    overflow = overflow_of(config, column.name)
    mapping = mapping_of(column)
    return Field(
        source=column.name,
        target=target_name(config.columns.rename.get(column.name), column.name),
        type=without_overflow(mapping) if overflow is Overflow.TEXT else mapping,
        nullable=not column.not_null or overflow is Overflow.NULL,
        key=column.name in config.pk,
        overflow=overflow,
    )


def overflow_of(config: TableConfig, column: str) -> Overflow:
    """The column's own `on_overflow`, or its table's, as far as that may change a key."""
    if (own := config.columns.on_overflow.get(column)) is not None:
        return own
    changes_key = column in config.pk and config.on_overflow in NEVER_OF_KEYS
    return Overflow.QUARANTINE if changes_key else config.on_overflow


def target_name(renamed: str | None, source: str) -> str:
    """The Snowflake column for a source column, `renamed` as written in the configuration (quoted: to the letter)."""
    if renamed is None:
        return target_column(source)
    return renamed[1:-1].replace('""', '"') if renamed.startswith('"') else target_column(renamed)


def watermark_of(config: TableConfig, source: SourceTable) -> Column:
    """The watermark column. Raises ColumnMissing, WatermarkUnusable."""
    column = _require(source, config.watermark_column)
    if column.type_name not in WATERMARK_TYPES:
        raise WatermarkUnusable(f"{source.name}: watermark column {column.name} has type {column.type_name}")
    return column


def check_key(config: TableConfig, source: SourceTable) -> None:
    """Raises KeyUnusable unless a unique index stands for exactly the configured pk (or a part of it)."""
    for name in config.pk:
        _require(source, name)
    if any(set(key) <= set(config.pk) for key in source.unique_keys):
        return
    known = " or ".join(f"[{', '.join(key)}]" for key in source.unique_keys) or "none"
    raise KeyUnusable(
        f"{source.name}: no unique index on pk [{', '.join(config.pk)}]; the table's unique keys: {known}"
    )


def check_output(source: SourceTable, output: Sequence[Field]) -> None:
    """Raises TargetConflict when two columns would be one in Snowflake, or one is pgsnow's own."""
    seen: dict[str, str] = {}
    for field in output:
        folded = field.target.upper()
        if folded in RESERVED:
            raise TargetConflict(f"{source.name}: column {field.source} has a name that pgsnow uses itself")
        if folded in seen:
            raise TargetConflict(
                f"{source.name}: columns {seen[folded]} and {field.source} are one column in Snowflake ({folded})"
            )
        seen[folded] = field.source


def _require(source: SourceTable, name: str) -> Column:
    column = source.column(name)
    if column is None:
        raise ColumnMissing(
            f"{source.name}: no column {name}; it has {', '.join(c.name for c in source.columns)}"
        )
    return column
