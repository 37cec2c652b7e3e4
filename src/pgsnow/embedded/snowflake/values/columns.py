"""Columns of tables: numbers as wide as Snowflake's, keys that are not enforced, JSON that keeps its digits."""

from __future__ import annotations

from typing import Any

import fakesnow.server
import fakesnow.transforms
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from pgsnow.embedded.snowflake.hooks.cursor import rewrite_tree

WHOLE = "DECIMAL(38, 0)"
WHOLE_NAMES = (
    exp.DataType.Type.INT,
    exp.DataType.Type.SMALLINT,
    exp.DataType.Type.TINYINT,
    exp.DataType.Type.BIGINT,
)
INT64 = (-(2**63), 2**63 - 1)
KEYS = (exp.PrimaryKey, exp.ForeignKey, exp.UniqueColumnConstraint, exp.Reference)
COLUMN_KEYS = (exp.PrimaryKeyColumnConstraint, exp.UniqueColumnConstraint, exp.Reference)


def keep_38_digits() -> None:
    """Stock: NUMBER(38,0), NUMBER and INT hold 64 bits. In Snowflake all of them hold 38 digits."""
    stock = fakesnow.transforms.integer_precision

    def integer_precision(node: Any) -> Any:
        if isinstance(node, exp.DataType) and _is_whole(node):
            return exp.DataType.build(WHOLE)
        return stock(node)

    fakesnow.transforms.integer_precision = integer_precision
    fakesnow.server.to_sf = _with_narrow_integers(fakesnow.server.to_sf)


def _is_whole(kind: exp.DataType) -> bool:
    if kind.this in WHOLE_NAMES:
        return isinstance(kind.parent, exp.ColumnDef)
    if kind.this != exp.DataType.Type.DECIMAL:
        return False
    return [size.name for size in kind.expressions] in ([], ["38"], ["38", "0"])


def _with_narrow_integers(stock: Any) -> Any:
    """Whole numbers travel as 64-bit integers where all of a column's values fit, as from the real service."""

    def to_sf(table: pa.Table, rowtype: Any) -> pa.Table:
        for index, column in enumerate(table.columns):
            if pa.types.is_decimal(column.type) and column.type.scale == 0 and _fits(column):
                table = table.set_column(
                    index, table.field(index).with_type(pa.int64()), column.cast(pa.int64())
                )
        return stock(table, rowtype)

    return to_sf


def _fits(column: pa.ChunkedArray) -> bool:
    extremes = pc.min_max(column).as_py()
    low, high = extremes["min"], extremes["max"]
    return low is None or (low >= INT64[0] and high <= INT64[1])


def enforce_no_keys() -> None:
    """Stock: PRIMARY KEY, UNIQUE and FOREIGN KEY are enforced. Snowflake only stores them, and makes a primary
    key's columns NOT NULL (Snowflake docs, "Constraints")."""
    rewrite_tree(lambda _, node: _without_keys(node), exp.Create)


def _without_keys(node: exp.Expression) -> exp.Expression:
    if not (isinstance(node, exp.Create) and node.kind == "TABLE" and isinstance(node.this, exp.Schema)):
        return node
    definitions = node.this.expressions
    required = _key_columns(definitions)
    kept = [definition for definition in definitions if not _is_key(definition)]
    for column in kept:
        if isinstance(column, exp.ColumnDef):
            _loosen(column, required)
    node.this.set("expressions", kept)
    return node


def _is_key(definition: exp.Expression) -> bool:
    if isinstance(definition, exp.Constraint):
        return any(isinstance(part, KEYS) for part in definition.expressions)
    return isinstance(definition, KEYS)


def _key_columns(definitions: list[exp.Expression]) -> set[str]:
    keys = [key for definition in definitions for key in definition.find_all(exp.PrimaryKey)]
    return {column.name for key in keys for column in key.expressions}


def _loosen(column: exp.ColumnDef, required: set[str]) -> None:
    constraints = column.args.get("constraints") or []
    kinds = [constraint.args.get("kind") for constraint in constraints]
    primary = column.name in required or any(
        isinstance(kind, exp.PrimaryKeyColumnConstraint) for kind in kinds
    )
    kept = [one for one, kind in zip(constraints, kinds, strict=True) if not isinstance(kind, COLUMN_KEYS)]
    if primary and not any(isinstance(kind, exp.NotNullColumnConstraint) for kind in kinds):
        kept.append(exp.ColumnConstraint(kind=exp.NotNullColumnConstraint()))
    column.set("constraints", kept)


def keep_json_digits() -> None:
    """Stock: PARSE_JSON converts every number to a float, and keeps both values of a key that an object has twice.
    Snowflake keeps up to 38 digits, and such a key is an error without the option `d`. Here, with the option both
    values stay, and without it only the keys of the outermost object are looked at."""
    rewrite_tree(lambda _, node: _as_cast(node), exp.ParseJSON)


def _as_cast(node: exp.Expression) -> exp.Expression:
    if not isinstance(node, exp.ParseJSON) or node.args.get("safe"):
        return node
    cast = exp.Cast(this=node.this, to=exp.DataType.build("JSON"))
    if node.args.get("expression") is not None:
        return cast
    keys = exp.func("json_keys", cast.copy())
    twice = exp.NEQ(
        this=exp.func("len", keys), expression=exp.func("len", exp.func("list_distinct", keys.copy()))
    )
    refusal = exp.func("error", exp.Literal.string("Error parsing JSON: duplicate object attribute"))
    return exp.Case().when(twice, refusal).else_(cast)
