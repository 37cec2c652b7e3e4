"""What is sent to a Postgres server is ASCII: its database may be in an encoding that lacks any other character."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pgsnow

PACKAGE = Path(pgsnow.__file__).parent
SENDS = frozenset(
    {"SQL", "Literal", "Identifier", "raw", "execute", "fetch", "rows", "run", "stream", "copy"}
)
"""Functions whose texts become SQL."""
LOOKS_LIKE_SQL = re.compile(
    r"\b(select|from|where|insert into|update|delete from|case when|begin|commit|lock table|set local)\b"
)
"""SQL of this project is in lower case; sentences with such a word are rare, and can do without special characters."""
TALKS_TO_POSTGRES = ("postgres", "ledger")


def test_sql_files_are_ascii() -> None:
    """Comments too: they are sent with the statement."""
    files = sorted(PACKAGE.rglob("*.sql"))
    assert len(files) > 10
    assert [str(file) for file in files if not file.read_text(encoding="utf-8").isascii()] == []


@pytest.mark.parametrize("folder", TALKS_TO_POSTGRES)
def test_sql_in_modules_is_ascii(folder: str) -> None:
    found = [
        f"{file.relative_to(PACKAGE)}:{line}: {text!r}"
        for file in sorted((PACKAGE / folder).rglob("*.py"))
        for line, text in _sent(ast.parse(file.read_text(encoding="utf-8")))
        if not text.isascii()
    ]
    assert found == []


def test_a_character_in_a_statement_would_be_found() -> None:
    source = "x = SQL('… {}').format(1)\ny = f\"select '…' {x}\"\nz = 'a sentence …'"
    assert {text for _, text in _sent(ast.parse(source)) if not text.isascii()} == {"… {}", "select '…' "}


def _sent(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, text) of each constant that is an argument of a function of SENDS, or looks like SQL; no docstrings."""
    documented = {
        id(node.value)
        for parent in ast.walk(tree)
        if isinstance(parent, ast.Module | ast.ClassDef | ast.FunctionDef)
        for node in parent.body
        if isinstance(node, ast.Expr)
    }
    arguments = {
        id(inner)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and _name(call.func) in SENDS
        for argument in call.args
        for inner in ast.walk(argument)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in documented:
            continue
        if id(node) in arguments or LOOKS_LIKE_SQL.search(node.value):
            yield node.lineno, node.value


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
