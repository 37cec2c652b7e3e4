"""Texts of values: formats of dates and times, hexadecimal numbers, trimmed texts."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sqlglot import exp

from pgsnow.embedded.snowflake.hooks.cursor import rewrite_statements_with

ELEMENTS = {
    "YYYY": "%Y",
    "MM": "%m",
    "DD": "%d",
    "HH24": "%H",
    "MI": "%M",
    "SS": "%S",
    "FF6": "%f",
    "FF9": "%n",
}
"""Elements of Snowflake's formats that are supported, in DuckDB's terms."""
SQLGLOTS_FF9 = "%f_nine"
FORMAT = re.compile(r"(?:YYYY|MM|DD|HH24|MI|SS|FF6|FF9|[-: .])+")
MOMENT = "%Y-%m-%d %H:%M:%S.%n"
HEX_DIGITS = re.compile(r"X{1,15}")
TRIMS = {"LEADING": "ltrim", "TRAILING": "rtrim", "": "trim"}


def write_by_format() -> None:
    """Stock: TO_VARCHAR of a column ignores the format. Here the format of a date, a time or a timestamp is honoured,
    if it consists of YYYY, MM, DD, HH24, MI, SS, FF6, FF9 and punctuation."""
    _rewrite(exp.ToChar, _formatted)
    _rewrite(exp.TimeToStr, _to_nanoseconds)


def trim_as_told() -> None:
    """Stock: LTRIM, RTRIM and TRIM remove blanks on both sides, whatever characters are given."""
    _rewrite(exp.Trim, _trimmed)


def read_hexadecimal() -> None:
    """Stock: TO_NUMBER with a format fails. Here a format of up to 15 digits `X` is supported."""
    _rewrite(exp.ToNumber, _number)


def join_in_one_step() -> None:
    """Stock: CONCAT of many texts becomes a chain of `||`, of which each link copies what is joined so far. DuckDB's
    concat leaves NULLs out, so it serves where no argument can be NULL."""
    _rewrite(exp.Concat, _joined)


def _rewrite(kind: type[Any], rewrite: Callable[[Any], Any]) -> None:
    """Rewrites each expression of this kind, the innermost first: they contain one another."""

    def whole(_: Any, tree: exp.Expression) -> exp.Expression:
        for found in reversed(list(tree.find_all(kind))):
            found.replace(rewrite(found))
        return tree

    rewrite_statements_with(whole, kind)


def _formatted(node: exp.Expression) -> exp.Expression:
    pattern = node.args.get("format")
    if not isinstance(pattern, exp.Literal) or not FORMAT.fullmatch(pattern.name):
        return node
    written = re.sub("|".join(ELEMENTS), lambda found: ELEMENTS[found[0]], pattern.name)
    return _call("strftime", _moment(node.this, pattern.name), exp.Literal.string(written))


def _to_nanoseconds(node: exp.Expression) -> exp.Expression:
    """FF9 of a value whose type sqlglot knows, as it writes it."""
    pattern = node.args.get("format")
    if isinstance(pattern, exp.Literal) and pattern.name.endswith(SQLGLOTS_FF9):
        pattern.set("this", pattern.name.replace(SQLGLOTS_FF9, "%n"))
        return _call("strftime", node.this, pattern)
    return node


def _joined(node: exp.Expression) -> exp.Expression:
    if all(isinstance(part, (exp.Literal, exp.Coalesce)) for part in node.expressions):
        return _call("concat", *node.expressions)
    return node


def _moment(value: exp.Expression, pattern: str) -> exp.Expression:
    """The value as a timestamp; DuckDB has no format of times."""
    if "YYYY" in pattern:
        return exp.cast(value, "TIMESTAMP")
    day = exp.cast(exp.Literal.string("2000-01-01"), "DATE")
    return exp.Paren(this=exp.Add(this=day, expression=exp.cast(value, "TIME")))


def _trimmed(node: exp.Expression) -> exp.Expression:
    characters: Any = node.expression or exp.Literal.string(" ")
    if isinstance(moment := _without_zeros(node), exp.Expression):
        return moment
    return _call(TRIMS[str(node.args.get("position") or "")], exp.cast(node.this, "VARCHAR"), characters)


def _without_zeros(node: exp.Expression) -> exp.Expression | None:
    """For RTRIM(RTRIM(<moment to the nanosecond>, '0'), '.') the moment's text in DuckDB, which is the same."""
    inner = node.this
    while isinstance(inner, (exp.Cast, exp.Paren)):
        inner = inner.this
    written = inner.expressions if isinstance(inner, exp.Anonymous) and inner.name == "rtrim" else []
    moment = written[0].find(exp.Anonymous) if written else None
    if moment is None or moment.name != "strftime" or node.expression != exp.Literal.string("."):
        return None
    value, pattern = moment.expressions
    if pattern.name == MOMENT and written[1] == exp.Literal.string("0"):
        return exp.cast(exp.cast(value, "TIMESTAMP"), "VARCHAR")
    return None


def _number(node: exp.Expression) -> exp.Expression:
    pattern = node.args.get("format")
    if not isinstance(pattern, exp.Literal) or not HEX_DIGITS.fullmatch(pattern.name):
        return node
    digits = exp.DPipe(this=exp.Literal.string("0x"), expression=node.this)
    return exp.cast(exp.Paren(this=digits), "BIGINT")


def _call(name: str, *arguments: exp.Expression) -> exp.Expression:
    return exp.Anonymous(this=name, expressions=list(arguments))
