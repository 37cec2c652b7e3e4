"""Long lists of literals: `key IN (1, 2, …)`."""

from __future__ import annotations

import secrets
from typing import Any

import fakesnow.cursor
from sqlglot import exp

SHORT = 20
"""Members. Of these a walk through the tree takes no notable time."""
WRAPPERS = (exp.Paren, exp.Tuple, exp.Neg)


def pass_by_long_lists() -> None:
    """Stock walks through the whole tree of a statement some eighty times to rewrite it; with a thousand keys
    that takes longer than all the rest. There is nothing to rewrite in a literal."""
    cursor = fakesnow.cursor.FakeSnowflakeCursor
    stock = cursor._transform

    def transform(self: Any, expression: Any, params: Any) -> Any:
        if isinstance(expression, exp.Create):  # its query is run on the way, and must be whole
            return stock(self, expression, params)
        lists = {secrets.token_hex(): found for found in _long_lists(expression)}
        members = {mark: found.expressions for mark, found in lists.items()}
        for mark, found in lists.items():
            found.set("expressions", [exp.Literal.string(mark)])
        rewritten = stock(self, expression, params)
        return _filled(rewritten, members) if members else rewritten

    cursor._transform = transform


def _long_lists(expression: Any) -> list[exp.In]:
    return [
        found
        for found in expression.find_all(exp.In)
        if len(found.expressions) > SHORT and all(_is_literal(member) for member in found.expressions)
    ]


def _is_literal(member: Any) -> bool:
    if isinstance(member, WRAPPERS):
        return all(_is_literal(inner) for inner in member.iter_expressions())
    return isinstance(member, exp.Literal)


def _filled(rewritten: Any, members: dict[str, list[Any]]) -> Any:
    for literal in list(rewritten.find_all(exp.Literal)):
        if literal.is_string and literal.this in members:
            literal.parent.set("expressions", members.pop(literal.this))
    if members:
        raise RuntimeError("a list of the statement was lost")
    return rewritten
