"""Functions that write values as texts and hash them."""

from __future__ import annotations

import re
from typing import Any

from sqlglot import exp

from pgsnow.embedded.snowflake.hooks.cursor import rewrite_tree

_ELEMENTS = {
    "YYYY": "%Y", "MM": "%m", "DD": "%d", "HH24": "%H", "MI": "%M", "SS": "%S",
    "FF9": "%n", "FF6": "%f", "FF3": "%g",
}  # fmt: skip
"""Elements of Snowflake's formats → DuckDB's. (Snowflake docs, "Date and time format specifiers")"""
_FORMAT = re.compile("|".join((*_ELEMENTS, r"[-:. ]")))
_NINE = "%f_nine"
"""How sqlglot writes FF9."""
_TRIMS = {"LEADING": "ltrim", "TRAILING": "rtrim"}


def write_and_hash_as_snowflake() -> None:
    """Stock: TO_CHAR and TO_VARCHAR with a format ignore it, RTRIM and LTRIM trim blanks on both ends, whatever they
    are told to trim, and MD5_NUMBER_LOWER64 is no function."""
    rewrite_tree(lambda _, node: _rewritten(node))


def _rewritten(node: exp.Expression) -> exp.Expression:
    if isinstance(node, exp.MD5NumberLower64):
        digits = exp.func("substring", exp.func("md5", _inside(node)), exp.Literal.number(17))
        number = exp.DPipe(this=exp.Literal.string("0x"), expression=digits, safe=True)
        return exp.cast(number, exp.DataType.Type.UBIGINT)
    if isinstance(node, exp.Trim) and (node.args.get("position") or node.expression):
        name = _TRIMS.get(str(node.args.get("position") or "").upper(), "trim")
        trimmed = exp.cast(_inside(node), exp.DataType.Type.TEXT)
        return exp.Anonymous(this=name, expressions=[trimmed, node.expression or exp.Literal.string(" ")])
    form = _format_of(node)
    if form is None:
        return node
    moment = _inside(node)
    if "%d" not in form:  # a time of day, which DuckDB's function does not take
        day = exp.cast(exp.Literal.string("1970-01-01"), exp.DataType.Type.DATE)
        time = exp.cast(moment, exp.DataType.Type.TIME)
        moment = exp.Paren(this=exp.Add(this=day, expression=time))
    return exp.Anonymous(this="strftime", expressions=[moment, exp.Literal.string(form)])


def _inside(node: exp.Expression) -> exp.Expression:
    """A function's argument, rewritten: what takes a node's place is not visited again."""
    argument: exp.Expression = node.this
    return argument.transform(_rewritten)


def _format_of(node: exp.Expression) -> str | None:
    """DuckDB's format for a function with Snowflake's; None without one, or with an element that is not known here."""
    given: Any = node.args.get("format") if isinstance(node, (exp.ToChar, exp.TimeToStr)) else None
    if not isinstance(given, exp.Literal) or not given.is_string:
        return None
    name = str(given.this)
    if isinstance(node, exp.TimeToStr):
        return name.replace(_NINE, "%n")
    parts = _FORMAT.findall(name)
    return "".join(_ELEMENTS.get(part, part) for part in parts) if "".join(parts) == name else None
