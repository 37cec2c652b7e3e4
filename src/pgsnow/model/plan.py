"""The plan of one table: fields to read, key, watermark and target, decided before anything is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from pgsnow.model.comparison.sweep import DeleteRule
from pgsnow.model.config.options import CharPadding, Deletes, OnDetach, RealValues
from pgsnow.model.config.sync_config import LateRows, TableConfig, TableMode
from pgsnow.model.config.table_config import WHOLE_MODES
from pgsnow.model.errors import (
    ColumnMissing,
    SourceAccessDenied,
    TargetConflict,
    UnsupportedTable,
    WatermarkUnusable,
)
from pgsnow.model.metadata_columns import (
    AUDIT,
    DELETED_AT,
    FENCE,
    FENCE_COLUMN,
    IDENTITY,
    ORDER_COLUMN,
    RESERVED,
    MetadataColumn,
)
from pgsnow.model.table import Column, SourceTable, TargetName, shown_name, target_column
from pgsnow.model.table_key import key_of
from pgsnow.model.types.key_forms import canonical
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
    "check_rights",
    "fields_of",
    "overflow_of",
    "target_name",
    "watermark_of",
]

WATERMARK_TYPES = frozenset({"timestamptz", "timestamp", "date", "int2", "int4", "int8"})

NOT_CREATED = (
    "the target existed before pgsnow, or was created by a version that did not search for deleted rows"
)


@dataclass(frozen=True)
class TablePlan:
    """fields: the columns to read, in order. output: the columns to load, after the transform.

    A plan serves many ticks, so what follows from its fields is computed once.
    """

    config: TableConfig
    source: SourceTable
    target: TargetName
    fields: tuple[Field, ...]
    output: tuple[Field, ...]
    watermark: Column | None
    """None in modes that use no watermark."""
    pk: tuple[str, ...]
    """The key's columns in the source, in order; empty if rows have no key."""
    fingerprint: str | None = None
    """Hash of the source's catalog entry when the plan was made. A read that finds another one raises SchemaMoved.
    None: not checked."""
    followed: tuple[tuple[str, str], ...] = ()
    """(name in sync_config.yaml, current name) of each column that was renamed since; `config` has the current ones."""
    written: TableConfig | None = None
    """The configuration as it is written, if a column was followed."""

    @cached_property
    def as_written(self) -> TableConfig:
        """The configuration as it is written: following a renamed column is no change of it."""
        return self.written or self.config

    @cached_property
    def watermark_column(self) -> Column:
        """The watermark, in modes that use one. Raises ValueError in the others."""
        if self.watermark is None:
            raise ValueError(f"{self.config.name} has no watermark")
        return self.watermark

    @cached_property
    def has_xmin(self) -> bool:
        """True if the role may read the rows' transaction ids. Without them, changed rows are found by the watermark
        alone, which is lossless, too, but reads some rows again; the audit then compares the whole content."""
        return "xmin" not in dict(self.source.unreadable)

    @cached_property
    def key(self) -> tuple[Field, ...]:
        """The key's fields as loaded, in the order of `pk`."""
        by_source = {field.source: field for field in self.output}
        return tuple(by_source[name] for name in self.pk)

    @cached_property
    def bounded(self) -> str | None:
        """The target's column by whose bounds a MERGE prunes: the first of the key, if its values are loaded as they
        are and each stands for itself in Snowflake's order; None: there is none."""
        first = self.target_key[0] if self.target_key and not self.whole else None
        return first.target if first is not None and first.type.has_bounds else None

    @cached_property
    def target_key(self) -> tuple[Field, ...]:
        """The key's fields in the target; empty in mode append, where old versions of rows stay."""
        return () if self.config.mode is TableMode.APPEND else self.key

    @cached_property
    def metadata_columns(self) -> tuple[MetadataColumn, ...]:
        """pgsnow's own columns of the target, in the order in which a new target has them, after the source's."""
        audit = AUDIT if self.config.audit_columns else ()
        if self.config.mode is TableMode.APPEND:
            return (FENCE, *audit, *IDENTITY)
        return (FENCE, *audit, *((DELETED_AT,) if self.config.deletes is Deletes.SOFT else ()))

    @cached_property
    def transient(self) -> bool:
        """True if a new target has no Fail-safe: by default if its content is replaced again and again, of which
        Fail-safe would keep every version for seven days."""
        chosen = self.config.transient
        return self.config.mode is TableMode.FULL if chosen is None else chosen

    @cached_property
    def clustered(self) -> tuple[str, ...]:
        """The target's columns of `cluster_by`, in its order, without those that the source has dropped."""
        by_source = {field.source: field.target for field in self.output}
        return tuple(by_source[name] for name in self.config.cluster_by if name in by_source)

    @property
    def dropped_clustering(self) -> tuple[str, ...]:
        """Columns of `cluster_by` that the source has dropped. The target keeps its clustering key until the list is
        changed."""
        loaded = {field.source for field in self.output}
        return tuple(name for name in self.config.cluster_by if name not in loaded)

    @property
    def marks_deleted(self) -> bool:
        """True if rows that the source no longer has are marked in the target, instead of deleted from it."""
        return DELETED_AT in self.metadata_columns

    @property
    def repair(self) -> str:
        """A sentence about how a target that differs from its source is repaired."""
        removed = "marked as deleted" if self.marks_deleted else "deleted"
        return f"everything is read again, and rows that the source does not have are {removed}"

    @cached_property
    def whole(self) -> bool:
        """True if the table is read as a whole, whenever its content has changed."""
        return self.config.mode in WHOLE_MODES

    @cached_property
    def delete_rule(self) -> DeleteRule:
        """Treatment of the target's rows that the source no longer has, in a target that pgsnow has created."""
        config = self.config
        if config.mode is TableMode.FULL and config.deletes is Deletes.SOFT:
            return DeleteRule(Deletes.SOFT, "mode full marks the rows that its new content does not have")
        if config.mode is TableMode.FULL:
            return DeleteRule(Deletes.HARD, "mode full replaces the content, so deleted rows leave with it")
        if not self.target_key:
            return DeleteRule(Deletes.OFF, "mode append keeps every version of every row")
        if config.deletes is not None:
            return DeleteRule(config.deletes, "deletes: off" if config.deletes is Deletes.OFF else "")
        if config.insert_only:
            return DeleteRule(Deletes.OFF, "with insert_only, rows that the source deletes stay")
        if config.on_detach is OnDetach.KEEP:
            return DeleteRule(
                Deletes.OFF, "with on_detach: keep, the target keeps rows that the source lacks"
            )
        if config.where is not None:
            return DeleteRule(Deletes.OFF, "rows that no longer meet `where` would be deleted, too")
        return DeleteRule(Deletes.HARD, by_default=True)

    def deletes(self, created_target: str | None) -> DeleteRule:
        """The rule for this target. created_target: name of the target that pgsnow has created for this table, as the
        ledger has it."""
        if self.delete_rule.by_default and created_target != str(self.target):
            return DeleteRule(Deletes.OFF, NOT_CREATED)
        return self.delete_rule

    @cached_property
    def shape(self) -> str:
        """A hash of how the table is loaded: target, pk, watermark, columns, where, transform (with its salt, which
        cannot be recovered), conversions of types. If it changes, rows loaded before are out of date."""
        return self._shape([])

    @cached_property
    def older_shape(self) -> str:
        """The shape as older versions computed it, with columns that were added with a default. For old checkpoints."""
        read = {field.source for field in self.fields}
        stored = self.source.columns if self.source.relkind != "p" else ()
        found = [c.attnum for c in stored if c.has_missing and c.name in read]
        return self._shape([{"added with a default": found}] if found else [])

    def _shape(self, more: list[object]) -> str:
        config, transform = self.as_written, self.as_written.transform
        salt = transform.salt.get_secret_value() if transform and transform.salt else None
        values: list[object] = [
            str(self.target),
            config.pk,
            [config.watermark_column, config.watermark_timezone],
            config.columns.model_dump(mode="json", exclude={"on_overflow"}),
            config.where,
            transform.model_dump(mode="json", exclude={"salt"}) if transform else None,
            hashlib.sha256(salt.encode()).hexdigest() if salt else None,
        ]
        # Only what is set, so that a key that is new to pgsnow changes no shape.
        if config.columns.on_overflow or config.on_overflow is not Overflow.REJECT:
            own = {name: how.recorded for name, how in config.columns.on_overflow.items()}
            values.append([config.on_overflow.recorded, own])
        # A table that is read from the log is loaded as one whose changes are found by the same columns.
        mode = config.mode
        if mode is TableMode.LOG:
            mode = TableMode.XMIN if config.watermark_column is None else TableMode.WATERMARK
        if mode is not TableMode.WATERMARK:
            values.append({"mode": str(mode)})
        if conversions := {f.source: f.type.conversion for f in self.fields if f.type.conversion}:
            values.append({"conversions": conversions})
        values.extend(more)
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def fields_of(
    config: TableConfig, source: SourceTable, pk: tuple[str, ...] | None = None
) -> tuple[Field, ...]:
    """The fields to read, after include, exclude and rename. pk: the result of `key_of`. Raises ColumnMissing,
    KeyUnusable, or UnsupportedTable if no column is left to read."""
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
            f"{source.name} has no column to read",
            advice="Set `enabled: false`, or remove the entry.",
        )
    return tuple(_field(config, column, pk) for column in wanted)


def _field(config: TableConfig, column: Column, pk: tuple[str, ...]) -> Field:
    overflow = overflow_of(config, column.name, pk)
    mapping = mapping_of(
        column,
        exact_reals=config.real_values is RealValues.EXACT,
        trims=config.char_padding is CharPadding.TRIM,
    )
    if column.name in pk and config.mode is not TableMode.APPEND:
        mapping = canonical(mapping, column)
    return Field(
        source=column.name,
        target=target_name(config.columns.rename.get(column.name), column.name),
        type=without_overflow(mapping) if overflow is Overflow.TEXT else mapping,
        nullable=not column.not_null or overflow is Overflow.NULL,
        key=column.name in pk,
        overflow=overflow,
    )


def overflow_of(config: TableConfig, column: str, pk: tuple[str, ...]) -> Overflow:
    """The `on_overflow` of a column: its own, else the table's, unless that would change a key."""
    if (own := config.columns.on_overflow.get(column)) is not None:
        return own
    changes_key = column in pk and config.on_overflow in NEVER_OF_KEYS
    return Overflow.REJECT if changes_key else config.on_overflow


def target_name(renamed: str | None, source: str) -> str:
    """The Snowflake column for a source column. renamed: as written in the configuration; quotes keep its case."""
    if renamed is None:
        return target_column(source)
    return renamed[1:-1].replace('""', '"') if renamed.startswith('"') else target_column(renamed)


def watermark_of(config: TableConfig, source: SourceTable) -> Column | None:
    """The watermark column; None in modes that use none. Raises ColumnMissing, WatermarkUnusable."""
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
    """Raises UnsupportedTable if the mode needs transaction ids, and this kind of relation has none."""
    kind = _WITHOUT_XMIN.get(source.relkind)
    if kind is None or config.mode in WHOLE_MODES:
        return
    if config.mode is TableMode.WATERMARK and config.late_rows is LateRows.OFF:
        return
    raise UnsupportedTable(
        f"{source.name} is {kind}; its rows do not show which transaction wrote them",
        advice="Write `mode: full`, or `late_rows: off` if rows never become visible behind the newest watermark.",
    )


def check_rights(plan: TablePlan) -> None:
    """Raises SourceAccessDenied if the role may not read a column that the configuration has us read."""
    source, config = plan.source, plan.config
    fixed = {*plan.pk, *([config.watermark_column] if plan.watermark and config.watermark_column else [])}
    if "tableoid" in (config.where or "").lower():
        fixed.add("tableoid")
    closed = [
        name for name, _ in source.unreadable if name in fixed or any(f.source == name for f in plan.fields)
    ]
    if not closed:
        return
    advice = source.grant_on(closed)
    if not fixed.intersection(closed):
        advice += (
            f" Or leave out what need not be in Snowflake: `columns: {{exclude: [{', '.join(closed)}]}}`."
        )
    columns = f"column{'s' * (len(closed) > 1)} {', '.join(closed)}"
    raise SourceAccessDenied(f"{source.name}: role {source.role} may not read {columns}", advice=advice)


def check_clustering(config: TableConfig, output: Sequence[Field], dropped: Collection[str] = ()) -> None:
    """Raises ColumnMissing or TargetConflict if the target cannot be clustered by `cluster_by`. dropped: columns that
    the source had once, and that stop nothing."""
    loaded = {field.source: field for field in output}
    for name in config.cluster_by:
        if name in dropped:
            continue
        if name not in loaded:
            raise ColumnMissing(
                f"{config.source}: cluster_by names {shown_name(name)}, which is no column that is loaded",
                advice="Name columns of the source. To cluster by an expression, leave `cluster_by` out and send"
                " ALTER TABLE … CLUSTER BY yourself: pgsnow then leaves the clustering as it is.",
                column=name,
            )
        if loaded[name].type.snowflake == "VARIANT":
            raise TargetConflict(
                f"{config.source}: cluster_by names {shown_name(name)}, which is a VARIANT in Snowflake",
                advice="Snowflake does not cluster by VARIANT columns: name other columns.",
            )


def check_output(source: SourceTable, output: Sequence[Field]) -> None:
    """Raises TargetConflict if two columns would be the same one in Snowflake, or one has a reserved name."""
    seen: dict[str, str] = {}
    for field in output:
        folded = field.target.upper()
        if folded in RESERVED:
            raise TargetConflict(f"{source.name}: column {field.source} has a name that pgsnow uses itself")
        if folded in seen:
            raise TargetConflict(
                f"{source.name}: columns {seen[folded]} and {field.source} are the same column in Snowflake ({folded})"
            )
        seen[folded] = field.source


def _require(source: SourceTable, name: str) -> Column:
    column = source.column(name)
    if column is None:
        raise ColumnMissing(
            f"{source.name}: no column {shown_name(name)};"
            f" it has {', '.join(shown_name(c.name) for c in source.columns)}",
            column=name,
        )
    return column
