"""Privileges that check demands on the ledger's tables."""

from __future__ import annotations

import re
from importlib.resources import files

from pgsnow.ledger.migrate import ledger_tables
from pgsnow.operations.check.ledger_tables import NEEDED

USES = {
    "SELECT": r"(?:from|join)\s+\{{schema\}}\.{table}\b",
    "INSERT": r"insert\s+into\s+\{{schema\}}\.{table}\b",
    "UPDATE": r"update\s+\{{schema\}}\.{table}\b"
    r"|insert\s+into\s+\{{schema\}}\.{table}\b(?:(?!insert\s+into)[^;])*do\s+update\b",
    "DELETE": r"delete\s+from\s+\{{schema\}}\.{table}\b",
}


def test_each_privilege_is_one_that_a_statement_uses() -> None:
    """No right is demanded that no statement needs, and none is forgotten."""
    text = (files("pgsnow.ledger") / "queries.sql").read_text(encoding="utf-8")
    used = {
        table: tuple(p for p, use in USES.items() if re.search(use.format(table=table), text, re.IGNORECASE))
        for table in (*ledger_tables(), "pgsnow_migrations")
    }
    assert used == NEEDED
