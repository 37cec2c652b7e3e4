"""Values longer than Snowflake takes are not read: their size is read in their place.

Postgres knows the length of text and bytes without reading them, so there the guard costs little:
https://www.postgresql.org/docs/current/storage-toast.html
For documents, arrays and other types the length is that of their text, which is only made where the stored (compressed)
value is large; a value that slips through is small enough to be read, and is rejected by the checks.
A message of more than 1 GB would end the read, so rows that are too long as a whole are rejected, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from pgsnow.model.plan import TablePlan
from pgsnow.model.table import Column
from pgsnow.model.types.mapping import BINARY_LIMIT, TEXT_LIMIT, Field
from pgsnow.model.types.overflow import Overflow
from pgsnow.postgres import sql
from pgsnow.postgres.convert.checks import Checked, admitting

OVERSIZE = "__pgsnow_long"
"""Name of the last column of a read that may have oversize values: NULL, or `<field>=<bytes>` of each, joined
by `;`."""
STORED = 65_536
"""Bytes from which on a stored value's text is measured. Compression shrinks a value to no less than about 1/256."""
ROW_LIMIT = 256 * 1024 * 1024
"""Most bytes that the oversize-prone values of one row may have together."""
_WHOLE_ROW = -1
_MEASURED = frozenset({"text", "varchar", "bpchar", "bytea", "citext", "xml"})
_SHORT_KINDS = frozenset({"e", "r"})
_SHORT = frozenset(
    {
        *(
            "char",
            "name",
            "uuid",
            "money",
            "numeric",
            "interval",
            "timetz",
            "point",
            "line",
            "lseg",
            "box",
            "circle",
        ),
        *("inet", "cidr", "macaddr", "macaddr8", "xid", "xid8", "cid", "tid", "pg_lsn"),
        *("regproc", "regprocedure", "regoper", "regoperator", "regclass", "regcollation", "regtype"),
        *("regrole", "regnamespace", "regconfig", "regdictionary"),
    }
)


def may_hold_oversize(plan: TablePlan) -> Composed:
    """An SQL condition: whether a value may be oversize. It cannot be if less than STORED is stored out of line, in
    the table and in each leaf.

    Sizes of files are of the present, not of the snapshot; files only shrink under locks that a reader's lock
    excludes. https://www.postgresql.org/docs/current/storage-toast.html
    """
    oids = [plan.source.oid, *(leaf.oid for leaf in plan.source.leaves)]
    return SQL(
        "(select coalesce(bool_or(relkind not in ('r', 'p', 'm')"
        " or coalesce(pg_relation_size(reltoastrelid), 0) >= {}), true) from pg_class where oid = any ({}::oid[]))"
    ).format(Literal(STORED), Literal("{" + ",".join(map(str, oids)) + "}"))


def select_list(plan: TablePlan, extra: Iterable[tuple[Composable, str]] = (), *, guard: bool) -> Composed:
    """The SELECT list over `from_clause`: the plan's fields, then `extra` expressions under their names, then
    OVERSIZE if any field may be oversize and `guard` is set."""
    sizes = _sizes(plan) if guard else {}
    together = _together(sizes) if sizes else None
    values = [
        (_value(field, sizes[at], together) if at in sizes else sql.sent_value(field), field.source)
        for at, field in enumerate(plan.fields)
    ]
    oversize = [(Identifier(OVERSIZE), OVERSIZE)] if sizes else []
    return sql.named([*values, *extra, *oversize])


def from_clause(plan: TablePlan, *, guard: bool) -> Composable:
    """The FROM item: the table, and with `guard` the OVERSIZE text of each row, evaluated once a row.

    A volatile expression is neither evaluated again where it is used, nor cached by the values it depends on, for which
    those would have to be fetched: PostgreSQL source, is_simple_subquery, paraminfo_get_equal_hashops."""
    sizes = _sizes(plan) if guard else {}
    if not sizes:
        return sql.table(plan)
    return SQL("{}, lateral (select {} as {}) {}").format(
        sql.table(plan),
        _oversize_text(plan, sizes, _together(sizes)),
        Identifier(OVERSIZE),
        Identifier(f"{OVERSIZE}_ones"),
    )


def oversize_values(plan: TablePlan, batch: pa.RecordBatch) -> list[tuple[Field | None, Checked]]:
    """The values that were not read, from the OVERSIZE column of a batch: by field (None: the row as a whole)."""
    at = batch.schema.get_field_index(OVERSIZE)
    if at < 0 or batch.column(at).null_count == batch.num_rows:
        return []
    found: dict[int, dict[int, int]] = {}
    for row in pc.indices_nonzero(batch.column(at).is_valid()).to_pylist():
        for one in filter(None, batch.column(at)[row].as_py().split(";")):
            field, size = one.split("=")
            found.setdefault(int(field), {})[row] = int(size)
    return [
        (None if field == _WHOLE_ROW else plan.fields[field], _checked(plan, field, sizes, batch.num_rows))
        for field, sizes in found.items()
    ]


def _checked(plan: TablePlan, at: int, sizes: dict[int, int], rows: int) -> Checked:
    mask = pa.array([row in sizes for row in range(rows)])
    if at == _WHOLE_ROW:
        return Checked(mask, mask, lambda row: f"the row's long values have {sizes[row]} bytes together")
    field = plan.fields[at]
    if field.overflow is Overflow.NULL:
        return Checked(mask, changed=mask)
    clamps = field.type.snowflake != "VARIANT" and field.type.postgres != "bpchar"
    choices = admitting(field, as_text=False, clamps=clamps)
    return Checked(mask, mask, lambda row: _reason(field, sizes[row]), admitted_by=lambda _row: choices)


def _reason(field: Field, size: int) -> str:
    return f"{size} bytes; {field.type.snowflake} holds at most {limit_of(field)}"


def limit_of(field: Field) -> int:
    """Bytes that the field's Snowflake type holds at most."""
    return BINARY_LIMIT if pa.types.is_binary(field.type.arrow) else TEXT_LIMIT


def json_columns(plan: TablePlan) -> list[Composable]:
    """A SELECT list of the fields as JSON under their names, for people: of an oversize value its size."""
    sizes = _sizes(plan)
    together = _together(sizes)
    return [
        _as_json(field, sizes[at], together) if at in sizes else Identifier(field.source)
        for at, field in enumerate(plan.fields)
    ]


def _as_json(field: Field, size: Composable, together: Composable | None) -> Composable:
    oversize = _is_oversize(field, size)
    if together is not None:
        oversize = SQL("{} or {} > {}").format(oversize, together, Literal(ROW_LIMIT))
    name = Identifier(field.source)
    return SQL("case when {} then to_json('... (' || {} || ' bytes)') else to_json({}) end as {}").format(
        oversize, size, name, name
    )


def _sizes(plan: TablePlan) -> dict[int, Composed]:
    """By position in the plan's fields: an expression for the size in bytes of each one that may be oversize,
    NULL where it is too small to be measured."""
    columns = dict(oversize_fields(plan))
    return {at: _size(columns[field], field) for at, field in enumerate(plan.fields) if field in columns}


def oversize_fields(plan: TablePlan) -> list[tuple[Field, Column]]:
    """The fields that may hold oversize values, and their columns."""
    columns = ((field, plan.source.column(field.source)) for field in plan.fields)
    return [
        (field, column)
        for field, column in columns
        if column is not None and not field.key and _may_be_oversize(column, field)
    ]


def _may_be_oversize(column: Column, field: Field) -> bool:
    """By the column's type. (Keys never are: an index holds no such values.)"""
    arrow = field.type.arrow
    if not (pa.types.is_string(arrow) or pa.types.is_binary(arrow)):
        return False
    if column.type_name in ("varchar", "bpchar") and column.typmod >= 4:
        # typmod: https://www.postgresql.org/docs/current/catalog-pg-attribute.html
        return (column.typmod - 4) * 4 > TEXT_LIMIT
    return column.kind not in _SHORT_KINDS and column.type_name not in _SHORT


def length_cast(column: Column) -> SQL | None:
    """The cast under which Postgres knows the length of stored values without reading them; None: there is none."""
    if column.type_name not in _MEASURED or column.kind != "b":
        return None
    return SQL("::text" if column.type_name in ("citext", "xml") else "")


def _size(column: Column, field: Field) -> Composed:
    name = Identifier(field.source)
    if (cast := length_cast(column)) is not None:
        return SQL("octet_length({}{})").format(name, cast)
    return SQL("case when pg_column_size({}) > {} then octet_length(({})::text) end").format(
        name, Literal(STORED), sql.value_of(field)
    )


def _is_oversize(field: Field, size: Composable) -> Composed:
    return SQL("{} > {}").format(size, Literal(limit_of(field)))


def _is_cut(field: Field) -> bool:
    """True if only the value's beginning is read, slightly too long, and the checks cut it. (As text, char(n) would
    lose its padding.)"""
    return (
        field.overflow is Overflow.CLAMP
        and field.type.snowflake != "VARIANT"
        and field.type.postgres != "bpchar"
    )


def _value(field: Field, size: Composable, together: Composable | None) -> Composable:
    value = sql.sent_value(field)
    instead: Composable = SQL("null")
    if _is_cut(field):
        cut = "substr({}, 1, {})" if pa.types.is_binary(field.type.arrow) else "left(({})::text, {})"
        instead = SQL(cut).format(value, Literal(limit_of(field) + 1))
    whole = SQL("when {} > {} then null ").format(together, Literal(ROW_LIMIT)) if together else SQL("")
    return SQL("case when {} is null then {} {}when {} then {} else {} end").format(
        Identifier(OVERSIZE), value, whole, _is_oversize(field, size), instead, value
    )


def _together(sizes: dict[int, Composed]) -> Composable | None:
    """An expression: the bytes of a row's values together, as far as they are read; None if they cannot be too many."""
    if len(sizes) * TEXT_LIMIT <= ROW_LIMIT:
        return None
    kept = [
        SQL("least(coalesce({}, 0), {})::bigint").format(size, Literal(TEXT_LIMIT)) for size in sizes.values()
    ]
    return SQL("({})").format(SQL(" + ").join(kept))


def _oversize_text(plan: TablePlan, sizes: dict[int, Composed], together: Composable | None) -> Composed:
    """An expression: for a row with oversize values, the text of OVERSIZE with those that are not read
    (perhaps none, if they are cut); NULL for any other row."""
    parts: list[tuple[int, Composable, Composable]] = [
        (at, _is_oversize(plan.fields[at], size), size) for at, size in sizes.items()
    ]
    if together is not None:
        parts.append((_WHOLE_ROW, SQL("{} > {}").format(together, Literal(ROW_LIMIT)), together))
    left = [part for part in parts if part[0] == _WHOLE_ROW or not _is_cut(plan.fields[part[0]])]
    return SQL("case when {} then concat_ws(';', {}) when random() < 0 then '' end").format(
        SQL(" or ").join(condition for _, condition, _ in parts),
        SQL(", ").join([SQL("null"), *map(_one_entry, left)]),
    )


def _one_entry(part: Sequence[object]) -> Composed:
    at, condition, size = part
    return SQL("case when {} then {} || {} end").format(condition, Literal(f"{at}="), size)
