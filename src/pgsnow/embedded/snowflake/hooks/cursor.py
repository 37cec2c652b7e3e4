"""Wraps fakesnow's cursor, which executes every statement. The repair that is installed last is the outermost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fakesnow.cursor
from sqlglot import exp

Execute = Callable[..., Any]
"""execute(cursor, command, *args, **kwargs) -> cursor"""


def wrap_execute(wrap: Callable[[Execute], Execute]) -> None:
    cursor = fakesnow.cursor.FakeSnowflakeCursor
    cursor.execute = wrap(cursor.execute)


def rewrite_text(rewrite: Callable[[Any, str], str | None]) -> None:
    """Lets `rewrite(cursor, command)` replace a statement's text before the emulator reads it."""

    def wrap(stock: Execute) -> Execute:
        def execute(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
            return stock(self, rewrite(self, command) or command, *args, **kwargs)

        return execute

    wrap_execute(wrap)


def rewrite_tree(rewrite: Callable[[Any, Any], exp.Expression], *kinds: type[Any]) -> None:
    """Lets `rewrite(cursor, node)` replace the nodes of these classes in a statement's tree, before fakesnow's own
    transformations. What stands in place of a node is not looked at again."""

    def each(cursor: Any, tree: Any) -> Any:
        return tree.transform(
            lambda node: rewrite(cursor, node) if isinstance(node, kinds) else node, copy=False
        )

    rewrite_statements_with(each, *kinds)


def rewrite_statements_with(rewrite: Callable[[Any, Any], Any], *kinds: type[Any]) -> None:
    """Lets `rewrite(cursor, tree)` replace the tree of a statement that has a node of one of these classes. Other
    statements are not walked through, which would take longer than most of them."""
    cursor = fakesnow.cursor.FakeSnowflakeCursor
    if not hasattr(cursor, "pgsnow_rewrites"):
        cursor.pgsnow_rewrites = []
        cursor._transform = _rewriting(cursor._transform)
    cursor.pgsnow_rewrites.append((frozenset(kinds), rewrite))


def _rewriting(stock: Callable[..., Any]) -> Callable[..., Any]:
    def transform(self: Any, expression: Any, params: Any) -> Any:
        there = _classes(expression)
        for kinds, rewrite in reversed(self.pgsnow_rewrites):
            if not there.isdisjoint(kinds):
                expression = rewrite(self, expression)
                there = _classes(expression)
        return stock(self, expression, params)

    return transform


def _classes(tree: Any) -> set[type[Any]]:
    return {type(node) for node in tree.walk()}
