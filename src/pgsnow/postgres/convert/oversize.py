"""Values longer than Snowflake takes stay in Postgres: their size comes in their place.

Postgres knows the length of text and bytes without looking at them, so there the guard costs little:
https://www.postgresql.org/docs/current/storage-toast.html
Of documents, arrays and other types only the text that they become has a length. It is made for that where the stored
(compressed) value is large, so that what slips through is small enough to be rejected on arrival.
A message of more than 1 GB would end the read, so rows that are too long as a whole are rejected too.
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
from pgsnow.postgres.convert.checks import Checked

LONG = "__pgsnow_long"
"""The last column of a read that has long values: NULL, or `<field>=<bytes>` of each, joined by `;`."""
STORED = 65_536
"""Bytes from which on a stored value's text is measured. Compression makes no more than about 1/256 of a value."""
ROW_LIMIT = 256 * 1024 * 1024
"""Bytes of a row's long values together."""
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


def may_hold_long(plan: TablePlan) -> Composed:
    """SQL: could a value be long? Not if less than STORED is stored out of line, in the table and in each leaf.

    Sizes of files are of the present, not of the snapshot; they shrink under locks only that a reader's lock keeps off.
    https://www.postgresql.org/docs/current/storage-toast.html"""
    oids = [plan.source.oid, *(leaf.oid for leaf in plan.source.leaves)]
    return SQL(
        "(select coalesce(bool_or(relkind not in ('r', 'p', 'm')"
        " or coalesce(pg_relation_size(reltoastrelid), 0) >= {}), true) from pg_class where oid = any ({}::oid[]))"
    ).format(Literal(STORED), Literal("{" + ",".join(map(str, oids)) + "}"))


def select_list(plan: TablePlan, extra: Iterable[tuple[Composable, str]] = (), *, guard: bool) -> Composed:
    """The plan's fields, then `extra` expressions under their names, then LONG if any may be long. Of `rows_of`."""
    sizes = _sizes(plan) if guard else {}
    together = _together(sizes)
    values = [
        (_value(field, sizes[at], together) if at in sizes else sql.value_of(field), field.source)
        for at, field in enumerate(plan.fields)
    ]
    told = [(Identifier(LONG), LONG)] if sizes else []
    return sql.named([*values, *extra, *told])


def rows_of(plan: TablePlan, *, guard: bool) -> Composable:
    """The table, and beside each row what is to be said of its long values: worked out once a row.

    A volatile expression is neither worked out again where it is used, nor remembered by the values it depends on,
    for which those would have to be fetched: PostgreSQL source, is_simple_subquery, paraminfo_get_equal_hashops."""
    sizes = _sizes(plan) if guard else {}
    if not sizes:
        return sql.table(plan)
    return SQL("{}, lateral (select {} as {}) {}").format(
        sql.table(plan), _told(plan, sizes, _together(sizes)), Identifier(LONG), Identifier(f"{LONG}_ones")
    )


def long_ones(plan: TablePlan, batch: pa.RecordBatch) -> list[tuple[Field | None, Checked]]:
    """What LONG says of a batch: each field (None: a whole row), and which of its values were left behind."""
    at = batch.schema.get_field_index(LONG)
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
    return Checked(mask, mask, lambda row: why_long(field, sizes[row]))


def why_long(field: Field, size: int) -> str:
    return f"{size} bytes; {field.type.snowflake} holds at most {limit_of(field)}"


def limit_of(field: Field) -> int:
    return BINARY_LIMIT if pa.types.is_binary(field.type.arrow) else TEXT_LIMIT


def shown(plan: TablePlan) -> list[Composable]:
    """Each field as JSON under its name, for people; of a long one its size."""
    sizes = _sizes(plan)
    together = _together(sizes)
    return [
        _shown(field, sizes[at], together) if at in sizes else Identifier(field.source)
        for at, field in enumerate(plan.fields)
    ]


def _shown(field: Field, size: Composable, together: Composable | None) -> Composable:
    long = _is_long(field, size)
    if together is not None:
        long = SQL("{} or {} > {}").format(long, together, Literal(ROW_LIMIT))
    name = Identifier(field.source)
    return SQL("case when {} then to_json('… (' || {} || ' bytes)') else to_json({}) end as {}").format(
        long, size, name, name
    )


def _sizes(plan: TablePlan) -> dict[int, Composed]:
    """By position, the fields that may be long, and their size in bytes: NULL where it is not worth measuring."""
    long = dict(long_fields(plan))
    return {at: _size(long[field], field) for at, field in enumerate(plan.fields) if field in long}


def long_fields(plan: TablePlan) -> list[tuple[Field, Column]]:
    """The fields that may hold long values, and their columns."""
    columns = ((field, plan.source.column(field.source)) for field in plan.fields)
    return [
        (field, column)
        for field, column in columns
        if column is not None and not field.key and _may_be_long(column, field)
    ]


def _may_be_long(column: Column, field: Field) -> bool:
    """Keys are not: an index holds no long values."""
    arrow = field.type.arrow
    if not (pa.types.is_string(arrow) or pa.types.is_binary(arrow)):
        return False
    if column.type_name in ("varchar", "bpchar") and column.typmod >= 4:
        return (
            column.typmod - 4
        ) * 4 > TEXT_LIMIT  # https://www.postgresql.org/docs/current/catalog-pg-attribute.html
    return column.kind not in _SHORT_KINDS and column.type_name not in _SHORT


def is_measured(column: Column) -> SQL | None:
    """The cast with which the length of its stored values is known without a look at them; None: it is not known."""
    if column.type_name not in _MEASURED or column.kind != "b":
        return None
    return SQL("::text" if column.type_name in ("citext", "xml") else "")


def _size(column: Column, field: Field) -> Composed:
    name = Identifier(field.source)
    if (cast := is_measured(column)) is not None:
        return SQL("octet_length({}{})").format(name, cast)
    return SQL("case when pg_column_size({}) > {} then octet_length(({})::text) end").format(
        name, Literal(STORED), sql.value_of(field)
    )


def _is_long(field: Field, size: Composable) -> Composed:
    return SQL("{} > {}").format(size, Literal(limit_of(field)))


def _is_cut(field: Field) -> bool:
    """Its beginning comes, a little too long, and is cut on arrival. (As text, char(n) would lose its padding.)"""
    return (
        field.overflow is Overflow.CLAMP
        and field.type.snowflake != "VARIANT"
        and field.type.postgres != "bpchar"
    )


def _value(field: Field, size: Composable, together: Composable | None) -> Composable:
    value = sql.value_of(field)
    instead: Composable = SQL("null")
    if _is_cut(field):
        cut = "substr({}, 1, {})" if pa.types.is_binary(field.type.arrow) else "left(({})::text, {})"
        instead = SQL(cut).format(value, Literal(limit_of(field) + 1))
    whole = SQL("when {} > {} then null ").format(together, Literal(ROW_LIMIT)) if together else SQL("")
    return SQL("case when {} is null then {} {}when {} then {} else {} end").format(
        Identifier(LONG), value, whole, _is_long(field, size), instead, value
    )


def _together(sizes: dict[int, Composed]) -> Composable | None:
    """The bytes of a row's long values that are not left behind, if they could be too many."""
    if len(sizes) * TEXT_LIMIT <= ROW_LIMIT:
        return None
    kept = [
        SQL("least(coalesce({}, 0), {})::bigint").format(size, Literal(TEXT_LIMIT)) for size in sizes.values()
    ]
    return SQL("({})").format(SQL(" + ").join(kept))


def _told(plan: TablePlan, sizes: dict[int, Composed], together: Composable | None) -> Composed:
    """Of a row with long values all that are left behind (perhaps none, if they are cut); NULL for any other row."""
    parts: list[tuple[int, Composable, Composable]] = [
        (at, _is_long(plan.fields[at], size), size) for at, size in sizes.items()
    ]
    if together is not None:
        parts.append((_WHOLE_ROW, SQL("{} > {}").format(together, Literal(ROW_LIMIT)), together))
    left = [part for part in parts if part[0] == _WHOLE_ROW or not _is_cut(plan.fields[part[0]])]
    return SQL("case when {} then concat_ws(';', {}) when random() < 0 then '' end").format(
        SQL(" or ").join(condition for _, condition, _ in parts),
        SQL(", ").join([SQL("null"), *map(_one_told, left)]),
    )


def _one_told(part: Sequence[object]) -> Composed:
    at, condition, size = part
    return SQL("case when {} then {} || {} end").format(condition, Literal(f"{at}="), size)
