# ruff: noqa: S608  (composing SQL is what this module is for; every name in it goes through names.py)
"""The hash of a row's content in Snowflake's SQL; postgres/compare/content.py writes the same in Postgres's.

Every expression is exact. A fraction of a second is written to the nanosecond, though the source has microseconds, and
a number with all of its column's decimals, so that a value that a person has changed is never taken for the source's.
Sources: Snowflake docs, "CONCAT", "MD5", "SQL format models", "HEX_ENCODE", "LN", "POWER".
"""

from __future__ import annotations

from collections.abc import Sequence

from pgsnow.model.table import TargetName
from pgsnow.model.types.content_cell import ContentCell
from pgsnow.snowflake.names import qualified, quote

_DAY, _TIME = "YYYY-MM-DD", "HH24:MI:SS.FF9"


def select(target: TargetName, expressions: Sequence[str], where: str = "") -> str:
    """These expressions of all rows (where: of those)."""
    return f"SELECT {', '.join(expressions)} FROM {qualified(target)}{' WHERE ' + where if where else ''}"


def row_text(cells: Sequence[ContentCell], *, octets: bool = False) -> str:
    """An expression: the text of a row. octets: lengths are bytes, as in a database with encoding SQL_ASCII."""
    parts = [part for cell in cells for part in (*_cell(cell, octets), "','")]
    return f"CONCAT({', '.join(parts)})"


def row_hash(cells: Sequence[ContentCell], *, octets: bool = False) -> str:
    """An expression: the MD5 of a row's text in UTF-8, as 32 hexadecimal digits."""
    return f"MD5({row_text(cells, octets=octets)})"


def _cell(cell: ContentCell, octets: bool) -> tuple[str, ...]:
    column = quote(cell.field.target)
    if cell.family == "VARCHAR":
        length = "OCTET_LENGTH" if octets else "LENGTH"
        return f"NVL(TO_VARCHAR({length}({column})), '')", "':'", f"NVL({column}, '')"
    return (f"NVL({_TEXTS[cell.family].format(c=column)}, '')",)


def _trimmed(form: str, column: str = "{c}") -> str:
    """A moment without trailing zeros of its fraction, as Postgres writes it."""
    return f"RTRIM(RTRIM(TO_VARCHAR({column}, '{form}'), '0'), '.')"


def _double() -> str:
    """A double as `h:m` with x = m * 4^(h - 27): h by a logarithm, and m, in two exact steps, an integer below 2^56.

    h changes where x is 4^(k - 0.15), so that only doubles next to that, and no usual ones, may get another h where
    logarithms are computed otherwise. They would count as different, and be compared by value then."""
    finite = "NULLIF(NULLIF(NULLIF(ABS({c}), 0), 'inf'::FLOAT), 'NaN'::FLOAT)"
    h = f"FLOOR(LN({finite}) * 0.7213475204444817 + 0.15)"
    m = f"{{c}} * POWER(2, 27 - {h}) * POWER(2, 27 - {h})"
    return (
        f"NVL(TO_VARCHAR(TO_NUMBER({h}, 38, 0)) || ':' || TO_VARCHAR(TO_NUMBER({m}, 38, 0)),"
        " CASE WHEN {c} = 0 THEN '0' WHEN {c} = 'NaN'::FLOAT THEN 'NaN' WHEN {c} > 0 THEN 'Infinity'"
        " WHEN {c} < 0 THEN '-Infinity' END)"
    )


_TEXTS = {
    "NUMBER": "TO_VARCHAR({c})",
    "BOOLEAN": "TO_VARCHAR({c})",
    "FLOAT": _double(),
    "BINARY": "'x' || HEX_ENCODE({c}, 0)",
    "DATE": f"TO_VARCHAR({{c}}, '{_DAY}')",
    "TIME": _trimmed(_TIME),
    "TIMESTAMP_NTZ": _trimmed(f"{_DAY} {_TIME}"),
    "TIMESTAMP_TZ": _trimmed(f"{_DAY} {_TIME}", "CONVERT_TIMEZONE('UTC', {c})") + " || '+00'",
}
"""A family of types → the text of a value that is not NULL."""
