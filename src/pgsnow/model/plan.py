"""What one table's run will do, decided before anything is read: fields, key, watermark, target."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from pgsnow.model.config.sync_config import LateRows, TableConfig, TableMode
from pgsnow.model.config.table_config import WHOLE_MODES
from pgsnow.model.errors import ColumnMissing, TargetConflict, UnsupportedTable, WatermarkUnusable
from pgsnow.model.metadata_columns import FENCE_COLUMN, ORDER_COLUMN, RESERVED, MetadataColumn, own_columns
from pgsnow.model.table import Column, SourceTable, TargetName, target_column
from pgsnow.model.table_key import key_of
from pgsnow.model.types.mapping import Field, without_overflow
from pgsnow.model.types.overflow import NEVER_OF_KEYS, Overflow
from pgsnow.model.types.type_rules import mapping_of

__all__ = [
    "FENCE_COLUMN",
    "ORDER_COLUMN",
    "RESERVED",
    "TablePlan",
    "check_kind",
    "check_output",
    "fields_of",
    "overflow_of",
    "target_name",
    "watermark_of",
]

WATERMARK_TYPES = frozenset({"timestamptz", "timestamp", "date", "int2", "int4", "int8"})


@dataclass(frozen=True, slots=True)
class TablePlan:
    """fields: what is read, in order. output: what is loaded, after the transform."""

    config: TableConfig
    source: SourceTable
    target: TargetName
    fields: tuple[Field, ...]
    output: tuple[Field, ...]
    watermark: Column | None
    """None in the modes that go by no column."""
    pk: tuple[str, ...]
    """The key's columns in the source, in order; empty for rows without a key."""
    fingerprint: str | None = None
    """Of the source's catalog entry when the plan was made; a read of another one raises SchemaMoved. None: not
    checked."""

    @property
    def watermark_column(self) -> Column:
        """The watermark, for the modes that read by one. Raises ValueError in the others."""
        if self.watermark is None:
            raise ValueError(f"{self.config.name} has no watermark")
        return self.watermark

    @property
    def key(self) -> tuple[Field, ...]:
        """The key's fields as loaded, in the order of `pk`."""
        by_source = {field.source: field for field in self.output}
        return tuple(by_source[name] for name in self.pk)

    @property
    def target_key(self) -> tuple[Field, ...]:
        """The key in the target: none where rows that the source has changed or forgotten stay."""
        return () if self.config.mode is TableMode.APPEND else self.key

    @property
    def own_columns(self) -> tuple[MetadataColumn, ...]:
        """What the target holds besides the output."""
        return own_columns(audit=self.config.audit_columns, append=self.config.mode is TableMode.APPEND)

    @property
    def whole(self) -> bool:
        """Read as a whole, whenever the content is another."""
        return self.config.mode in WHOLE_MODES

    @property
    def shape(self) -> str:
        """A digest of what the configuration makes of the table: target, pk, watermark, columns, where, transform
        (its salt is in it, and cannot be told from it). With another shape, rows loaded before are out of date."""
        return self._shape([])

    @property
    def older_shape(self) -> str:
        """The same as it was before the ledger remembered the source's columns: with those added with a default."""
        read = {field.source for field in self.fields}
        stored = self.source.columns if self.source.relkind != "p" else ()
        found = [c.attnum for c in stored if c.has_missing and c.name in read]
        return self._shape([{"added with a default": found}] if found else [])

    def _shape(self, more: list[object]) -> str:
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
            *_mode_told(config),
            *more,
        ]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _overflow_told(config: TableConfig) -> list[object]:
    """Nothing where nothing is set."""
    chosen = config.columns.on_overflow
    return [[config.on_overflow, chosen]] if chosen or config.on_overflow is not Overflow.QUARANTINE else []


def _mode_told(config: TableConfig) -> list[object]:
    return [] if config.mode is TableMode.WATERMARK else [{"mode": str(config.mode)}]


def fields_of(
    config: TableConfig, source: SourceTable, pk: tuple[str, ...] | None = None
) -> tuple[Field, ...]:
    """The fields to read, after include, exclude and rename. pk: what `key_of` gave. Raises ColumnMissing, KeyUnusable,
    UnsupportedTable if there is nothing to read."""
    pk = key_of(config, source) if pk is None else pk
    chosen = config.columns
    named = {*chosen.include, *chosen.exclude, *chosen.rename, *chosen.on_overflow, *pk}
    for name in sorted(named):
        _require(source, name)
    wanted = [
        column
        for column in source.columns
        if column.name in pk
        or ((not chosen.include or column.name in chosen.include) and column.name not in chosen.exclude)
    ]
    if not wanted:
        raise UnsupportedTable(
            f"{source.name} has no column that could be read",
            advice="Set `enabled: false`, or remove the entry.",
        )
    return tuple(_field(config, column, pk) for column in wanted)


def _field(config: TableConfig, column: Column, pk: tuple[str, ...]) -> Field:
    overflow = overflow_of(config, column.name, pk)
    mapping = mapping_of(column)
    return Field(
        source=column.name,
        target=target_name(config.columns.rename.get(column.name), column.name),
        type=without_overflow(mapping) if overflow is Overflow.TEXT else mapping,
        nullable=not column.not_null or overflow is Overflow.NULL,
        key=column.name in pk,
        overflow=overflow,
    )


def overflow_of(config: TableConfig, column: str, pk: tuple[str, ...]) -> Overflow:
    """The column's own `on_overflow`, or its table's, as far as that may change a key."""
    if (own := config.columns.on_overflow.get(column)) is not None:
        return own
    changes_key = column in pk and config.on_overflow in NEVER_OF_KEYS
    return Overflow.QUARANTINE if changes_key else config.on_overflow


def target_name(renamed: str | None, source: str) -> str:
    """The Snowflake column for a source column, `renamed` as written in the configuration (quoted: to the letter)."""
    if renamed is None:
        return target_column(source)
    return renamed[1:-1].replace('""', '"') if renamed.startswith('"') else target_column(renamed)


def watermark_of(config: TableConfig, source: SourceTable) -> Column | None:
    """The watermark column; None in the modes that go by none. Raises ColumnMissing, WatermarkUnusable."""
    if config.mode is not TableMode.WATERMARK:
        return None
    if config.watermark_column is None:
        raise WatermarkUnusable(f"{source.name}: no watermark column is named")
    column = _require(source, config.watermark_column)
    if column.type_name not in WATERMARK_TYPES:
        raise WatermarkUnusable(f"{source.name}: watermark column {column.name} has type {column.type_name}")
    return column


_WITHOUT_XMIN = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}


def check_kind(config: TableConfig, source: SourceTable) -> None:
    """Raises UnsupportedTable if rows of this kind of relation do not tell what the mode needs to know."""
    kind = _WITHOUT_XMIN.get(source.relkind)
    if kind is None or config.mode in WHOLE_MODES:
        return
    if config.mode is TableMode.WATERMARK and config.late_rows is LateRows.OFF:
        return
    raise UnsupportedTable(
        f"{source.name} is {kind}; its rows do not tell which transaction wrote them",
        advice="Write `mode: full`, or `late_rows: off` if rows never become visible behind the newest watermark.",
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
            f"{source.name}: no column {name}; it has {', '.join(c.name for c in source.columns)}",
            column=name,
        )
    return column
