"""Divisions by zero."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from pgsnow.embedded.snowflake.hooks.cursor import rewrite_tree
from pgsnow.embedded.snowflake.hooks.errors import DIVIDED_BY_ZERO


def refuse_division_by_zero() -> None:
    """Stock: a division by zero is infinity, and a remainder of it is NULL. In Snowflake both are an error, 100051."""
    rewrite_tree(lambda _, node: _checked(node), exp.Div, exp.Mod)


def _checked(node: exp.Expression) -> exp.Expression:
    if isinstance(node, exp.Div | exp.Mod) and not _is_another_number(node.expression):
        divisor: Any = node.expression
        refusal = exp.func("error", exp.Literal.string(DIVIDED_BY_ZERO))
        zero = exp.EQ(this=exp.paren(divisor.copy()), expression=exp.Literal.number(0))
        node.set("expression", exp.paren(exp.Case().when(zero, refusal).else_(divisor)))
    return node


def _is_another_number(divisor: Any) -> bool:
    """True for a constant that is not zero."""
    return isinstance(divisor, exp.Literal) and not divisor.is_string and float(divisor.name) != 0
