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


def rewrite_tree(rewrite: Callable[[Any, exp.Expression], exp.Expression]) -> None:
    """Lets `rewrite(cursor, node)` replace nodes of a statement's tree, before fakesnow's own transformations."""
    cursor = fakesnow.cursor.FakeSnowflakeCursor
    stock = cursor._transform

    def transform(self: Any, expression: exp.Expression, params: Any) -> Any:
        return stock(self, expression.transform(lambda node: rewrite(self, node), copy=False), params)

    cursor._transform = transform
