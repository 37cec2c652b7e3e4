"""docs/statements.md names every kind of statement that the package for Snowflake composes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.unit.project.markdown import ROOT

PACKAGE = ROOT / "src/pgsnow/snowflake"
PAGE = ROOT / "docs/statements.md"
VERBS = {
    *(
        "ALTER",
        "CALL",
        "COMMENT",
        "COPY",
        "CREATE",
        "DELETE",
        "DESCRIBE",
        "DROP",
        "GRANT",
        "INSERT",
        "LIST",
        "MERGE",
    ),
    *("PUT", "REMOVE", "REVOKE", "SELECT", "SHOW", "TRUNCATE", "UNDROP", "UPDATE", "USE"),
}
OPTIONAL = re.compile(r"\b(?:IF NOT EXISTS|IF EXISTS|OR REPLACE)\b")
GAP = "\N{HORIZONTAL ELLIPSIS}"


def test_every_kind_of_statement_has_a_row_with_its_page() -> None:
    """A statement without a kind: add its kind to docs/statements.md, with Snowflake's page about it."""
    rows = re.findall(
        r"^\| `([A-Z_$ ]+)` \| (?:sql-reference|user-guide)/\S+", PAGE.read_text(), re.MULTILINE
    )
    longest_first = sorted(rows, key=len, reverse=True)
    used: set[str] = set()
    for text in (text for file in PACKAGE.rglob("*.py") for text in statements(file)):
        words = " ".join(OPTIONAL.sub(" ", text.replace(GAP, " ")).split())
        kind = next((kind for kind in longest_first if re.match(rf"{re.escape(kind)}\b", words)), None)
        assert kind is not None, text
        used.add(kind)
    assert sorted(rows) == sorted(used)


def statements(file: Path) -> Iterator[str]:
    """The texts in a module that begin like a statement, with a gap for each value."""
    tree = ast.parse(file.read_text())
    inner = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)
    }
    inner |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    privileges = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)
        for part in node.value.elts
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(v.value) if isinstance(v, ast.Constant) else GAP for v in node.values)
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in inner | privileges
        ):
            text = node.value
        else:
            continue
        if text.split(" ")[0] in VERBS and " " in text:
            yield text
