# ruff: noqa: S608  (composing SQL is what this module is for; every name in it goes through names.py)
"""The record of the batches that were last copied into a target: a table of one row beside it. Pure.

The row is updated in the transaction that copies the batches, so both are committed or neither. An UPDATE keeps other
transactions from updating the row until its own has ended (Snowflake docs, "Transactions", "Resource locking").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pgsnow.model.table import TargetName
from pgsnow.snowflake.names import qualified, quote, staging_prefix, text
from pgsnow.snowflake.sql.statements import WHOLE

BEGIN, COMMIT, ROLLBACK = "BEGIN TRANSACTION", "COMMIT", "ROLLBACK"
UPDATED = "number of rows updated"
FENCE, BATCHES = quote("FENCE"), quote("BATCHES")
"""The fence of the run that copied, and the names of the batches, each between blanks."""


def show_transactions() -> str:
    """The user's transactions that are open, in any session."""
    return "SHOW TRANSACTIONS"


def abort_transaction(number: int) -> str:
    """Roll back an open transaction of the same user. Its client may be gone: Snowflake itself would wait for it for
    five minutes (Snowflake docs, "Transactions", "Aborting transactions")."""
    return f"SELECT SYSTEM$ABORT_TRANSACTION({number})"


def record_of(target: TargetName) -> TargetName:
    """`<TABLE>__PGSNOW_BATCHES`: one a target, because updates of one table wait for each other."""
    return target.sibling(f"{staging_prefix(target)}BATCHES")


def create_record(target: TargetName) -> str:
    """Create the record with its row, which names no batch."""
    columns = f"0::{WHOLE} AS {FENCE}, ' '::VARCHAR AS {BATCHES}"
    return f"CREATE TRANSIENT TABLE IF NOT EXISTS {qualified(record_of(target))} AS SELECT {columns}"


def record(target: TargetName, fence: int, batches: Sequence[str]) -> str:
    """Record these batches, unless one of them is recorded already, or a run with a higher fence has copied: then no
    row is updated."""
    known = " OR ".join(f"CONTAINS({BATCHES}, {text(f' {batch} ')})" for batch in batches)
    return f"{_update(target, fence, batches)} AND NOT ({known})"


def record_more(target: TargetName, fence: int, batches: Sequence[str], before: str) -> str:
    """Record these batches if the record is still as it was read."""
    return f"{_update(target, fence, batches)} AND {BATCHES} = {text(before)}"


def read_record(target: TargetName) -> str:
    return f"SELECT {FENCE}, {BATCHES} FROM {qualified(record_of(target))}"


def recorded(shown: str) -> frozenset[str]:
    """The batches in the record, from the text in it."""
    return frozenset(shown.split())


def _update(target: TargetName, fence: int, batches: Iterable[str]) -> str:
    names = text(f" {' '.join(batches)} ")
    record = qualified(record_of(target))
    return f"UPDATE {record} SET {FENCE} = {fence}, {BATCHES} = {names} WHERE {FENCE} <= {fence}"
