"""The hash of a row's content in Postgres's SQL; snowflake/sql/compare_content.py writes the same in Snowflake's.

The text of a row is that of its cells, each followed by a comma: nothing for NULL, the length before a text. So no two
rows have one text, whatever their values are. Doubles are taken apart into two
integers, without rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from pgsnow.model.types.content_cell import ContentCell
from pgsnow.model.types.mapping import digits_of

_MOST_ARGUMENTS = 90
"""Arguments of one call of concat; Postgres takes 100."""
_FIRST = {"DATE": "0001-01-01", "TIMESTAMP_NTZ": "0001-01-01", "TIMESTAMP_TZ": "0001-01-01 00:00:00Z"}
_LAST = {
    "DATE": "9999-12-31",
    "TIME": "23:59:59.999999",
    "TIMESTAMP_NTZ": "9999-12-31 23:59:59.999999",
    "TIMESTAMP_TZ": "9999-12-31 23:59:59.999999Z",
}


def row_text(cells: Sequence[ContentCell], encoding: str) -> Composable:
    """An SQL expression of type text: the text of a row. encoding: of the database; in SQL_ASCII lengths are bytes."""
    length = "octet_length" if encoding == "SQL_ASCII" else "length"
    parts = [part for cell in cells for part in (*_cell(cell, length), SQL("','"))]
    return _concat(parts)


def row_hash(cells: Sequence[ContentCell], encoding: str) -> Composable:
    """An SQL expression of type text: the MD5 of a row's text in UTF-8, as 32 hexadecimal digits."""
    form = "md5({})" if encoding in ("UTF8", "SQL_ASCII") else "md5(convert_to({}, 'UTF8'))"
    return SQL(form).format(row_text(cells, encoding))


def _concat(parts: Sequence[Composable]) -> Composable:
    """concat leaves NULLs out, and calls each type's own output function."""
    while len(parts) > _MOST_ARGUMENTS:
        ends = range(0, len(parts), _MOST_ARGUMENTS)
        parts = [_concat(parts[at : at + _MOST_ARGUMENTS]) for at in ends]
    return SQL("concat({})").format(SQL(", ").join(parts))


def _cell(cell: ContentCell, length: str) -> tuple[Composable, ...]:
    if cell.absent:
        return (SQL("':'"),) if cell.family == "VARCHAR" else ()
    if cell.family == "VARCHAR":
        text = _fitted(cell, _formatted(cell, f"({cell.field.type.text})"))
        return (SQL(f"{length}({{}})").format(text), SQL("':'"), text)
    if cell.family == "FLOAT":
        return (_double(_formatted(cell, f"({cell.field.type.read})::float8")),)
    if cell.family == "BINARY":
        return (
            SQL("'x' || encode({}, 'hex')").format(_fitted(cell, _formatted(cell, cell.field.type.read))),
        )
    if cell.family == "NUMBER":
        return (_number(cell),)
    if cell.family in _LAST:
        return (_moment(cell),)
    return (_formatted(cell, f"({cell.field.type.text})"),)


def _formatted(cell: ContentCell, template: str) -> Composed:
    return SQL(template).format(c=Identifier(cell.field.source))


def _fitted(cell: ContentCell, value: Composable) -> Composable:
    """A text or bytes as the target's column holds it, if it is shorter than they are."""
    if cell.limit is None:
        return value
    if cell.nullifies:
        return SQL("case when length({0}) <= {1} then {0} end").format(value, Literal(cell.limit))
    return SQL("substr({}, 1, {})").format(value, Literal(cell.limit))


def _number(cell: ContentCell) -> Composable:
    """A number with as many decimals as the target's column writes."""
    digits = digits_of(cell.field.type.carried)
    if cell.scale == (digits[1] if digits else 0):
        text: Composable = _formatted(cell, f"({cell.field.type.text})")
    else:
        text = SQL("round({}, {})::text").format(
            _formatted(cell, f"({cell.field.type.text})::numeric"), Literal(cell.scale)
        )
    return SQL("nullif({}, 'NaN')").format(text) if cell.nullifies and digits else text


def _moment(cell: ContentCell) -> Composable:
    """A date or time, after `on_overflow`."""
    value: Composable = _formatted(cell, f"({cell.field.type.read})")
    last, first = Literal(_LAST[cell.family]), _FIRST.get(cell.family)
    if cell.nullifies:
        least = SQL("true") if first is None else SQL("{} >= {}").format(value, Literal(first))
        value = SQL("case when {} and {} <= {} then {} end").format(least, value, last, value)
    elif cell.clamps:
        value = SQL("least({}, {})").format(value, last)
        value = SQL("greatest({}, {})").format(value, Literal(first)) if first is not None else value
    return SQL("({})::text").format(value)


def _double(value: Composable) -> Composable:
    """A double as `h:m` with x = m * 4^(h - 27), exactly; 0 for both zeros. See snowflake/sql/compare_content.py."""
    h = SQL("floor(ln(abs({})) * 0.7213475204444817::float8 + 0.15::float8)").format(value)
    power = SQL("power(2::float8, 27 - {})").format(h)
    return SQL(
        "case when {0} = 0 then '0' when {0} in ('NaN', 'Infinity', '-Infinity') then {0}::text"
        " else {1}::text || ':' || ({0} * {2} * {2})::int8::text end"
    ).format(value, h, power)
