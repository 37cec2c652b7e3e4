"""Collations of columns, and the default for new columns of a database."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from fakesnow.expr import normalise_ident
from sqlglot import exp

from pgsnow.embedded.snowflake.hooks.cursor import rewrite_text, rewrite_tree
from pgsnow.embedded.snowflake.hooks.errors import not_implemented
from pgsnow.embedded.snowflake.statements.gaps import DONE, IDENTIFIER

DEFAULT = re.compile(
    rf"\s*alter\s+database\s+(?P<name>{IDENTIFIER})\s+set\s+default_ddl_collation\s*=\s*'(?P<collation>[^']*)'"
    r"\s*;?\s*\Z",
    re.IGNORECASE,
)
NONE = ("", "utf8")
"""Snowflake docs, "Collation support": texts are compared by their characters' codes."""
IGNORES_CASE = re.compile(r"[a-z_]+-ci\Z", re.IGNORECASE)
TEXTS = (exp.DataType.Type.VARCHAR, exp.DataType.Type.TEXT, exp.DataType.Type.CHAR)


@dataclass
class Collations:
    """defaults: database → DEFAULT_DDL_COLLATION. used: a column may have a collation."""

    defaults: dict[str, str] = field(default_factory=dict)
    used: bool = False


def collate_columns(known: Collations) -> None:
    """Stock: COLLATE '…' of a column is an error of DuckDB, and there is no DEFAULT_DDL_COLLATION. Here, a database may
    have a default, for as long as the emulator runs, and collations that ignore case are supported (`en-ci`)."""
    rewrite_text(lambda _, command: _set_default(known, command))
    rewrite_tree(lambda cursor, node: _collated(known, cursor, node), exp.ColumnDef)


def _set_default(known: Collations, command: str) -> str | None:
    match = DEFAULT.match(command)
    if match is None:
        return None
    known.defaults[normalise_ident(match["name"])] = match["collation"]
    return DONE


def compare_bytes(known: Collations) -> None:
    """Stock: COLLATE(text, '') is the text itself, which is compared by its column's collation. Here it is compared by
    its bytes, as in Snowflake."""
    rewrite_tree(lambda _, node: _by_bytes(known, node), exp.Collate)


def _by_bytes(known: Collations, node: exp.Expression) -> exp.Expression:
    if known.used and isinstance(node, exp.Collate) and node.expression.name in NONE:
        node.set("expression", exp.to_identifier("binary", quoted=True))
    return node


def _collated(known: Collations, cursor: Any, node: exp.Expression) -> exp.Expression:
    kind = node.args.get("kind") if isinstance(node, exp.ColumnDef) else None
    if kind is None or kind.this not in TEXTS:
        return node
    constraints = node.args.get("constraints") or []
    stated = [one for one in constraints if isinstance(one.args.get("kind"), exp.CollateColumnConstraint)]
    table = node.root().find(exp.Table)
    default = known.defaults.get((table and table.catalog) or cursor._conn.database, "")
    collation = stated[0].args["kind"].this.name if stated else default
    kept = [one for one in constraints if one not in stated]
    if collation not in NONE:
        if not IGNORES_CASE.match(collation):
            raise not_implemented(f"COLLATE '{collation}'")
        nocase = exp.CollateColumnConstraint(this=exp.Var(this="NOCASE"))
        kept.insert(0, exp.ColumnConstraint(kind=nocase))
        known.used = True
    node.set("constraints", kept)
    return node
