"""Long lists of literals: `key IN (1, 2, …)`."""

from __future__ import annotations

import secrets
from typing import Any

import fakesnow.cursor
from sqlglot import exp

SHORT = 20
"""Number of members up to which a list stays in the tree: walking through so few takes no notable time."""
WRAPPERS = (exp.Paren, exp.Tuple, exp.Neg)


def pass_by_long_lists() -> None:
    """Stock: walks through the whole tree of a statement about eighty times to rewrite it, which with a thousand keys
    takes longer than everything else. Here long lists of literals, in which nothing is rewritten, are taken out of the
    tree first and put back afterwards."""
    cursor = fakesnow.cursor.FakeSnowflakeCursor
    stock = cursor._transform

    def transform(self: Any, expression: Any, params: Any) -> Any:
        if isinstance(expression, exp.Create):  # its query runs meanwhile, and must be complete
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
