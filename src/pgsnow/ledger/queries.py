"""The ledger's statements: read from queries.sql, composed for one schema, sent by name, with values that jsonb can
store: a rejected row may contain any value of any length.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from operator import methodcaller
from typing import Any, overload

import psycopg
from psycopg import sql

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.session import LedgerSession
from pgsnow.model.errors import LeaseLost

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)

Rows = psycopg.Cursor[dict[str, Any]]
"""The rows of an executed statement, all received; `rowcount` is the number of rows returned or changed."""
MAX_TEXT = 4_000
"""Characters of a reason, an error, or one value of a payload."""
MAX_PAYLOAD = 64_000
"""Characters of a payload as JSON."""
PARTS = ("files_due",)
"""Statements that others contain as {name}."""
LEFT_OUT = "… [left out: the row is too long]"


@cache
def texts() -> dict[str, str]:
    """Name → text with {schema} and %(parameter)s placeholders, comments left in."""
    text = files("pgsnow.ledger").joinpath("queries.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    return dict(zip(parts[::2], (part.strip().rstrip(";") for part in parts[1::2]), strict=True))


@cache
def statement(name: str, schema: str) -> sql.Composed:
    """One statement of queries.sql in one schema. Raises KeyError for a name that is not in queries.sql."""
    place, known = sql.Identifier(schema), texts()
    return sql.SQL(known[name]).format(
        schema=place, **{part: sql.SQL(known[part]).format(schema=place) for part in PARTS}
    )


class Queries:
    """Sends single statements by name. Each is a transaction of its own, repeated once if the connection
    was broken.
    """

    def __init__(self, session: LedgerSession) -> None:
        self.session = session
        self.schema = session.schema

    def execute(self, name: str, **params: Any) -> Rows:
        """Run one statement."""
        return self.session.run(methodcaller("execute", statement(name, self.schema), params))

    def fenced(self, name: str, claim: Claim, **params: Any) -> Rows:
        """Run one write under a claim. Raises LeaseLost if it changed nothing."""
        query = statement(name, self.schema)
        done: Rows = self.session.run(methodcaller("execute", query, fence_of(claim) | params))
        if not done.rowcount:
            raise self.lease_lost(claim)
        return done

    def fenced_count(self, name: str, claim: Claim, **params: Any) -> int:
        """Run one write under a claim to a table other than sync_watermarks; returns how many rows it
        changed. Raises LeaseLost.
        """
        query = statement(name, self.schema)
        [row] = self.session.run(methodcaller("execute", query, fence_of(claim) | params))
        if not row["ours"]:
            raise self.lease_lost(claim)
        return int(row["changed"])

    def lease_lost(self, claim: Claim) -> LeaseLost:
        """The error for a write under this claim that changed nothing: it says who has the table or chunk
        now.
        """
        if claim.chunk is not None:
            return LeaseLost(
                f"{claim.table}: run {claim.run_id} lost chunk {claim.chunk.number}: another attempt was made at"
                " it, or the backfill has ended"
            )
        row = self.execute("lease_of", table=claim.table).fetchone()
        return LeaseLost(f"{claim.table}: {_why_lost(claim, row)}")


def fence_of(claim: Claim) -> dict[str, Any]:
    """The parameters by which a fenced statement recognises the claim."""
    chunk = claim.chunk
    return {
        "table": claim.table,
        "fence": claim.fence,
        "backfill": chunk.backfill if chunk else None,
        "number": chunk.number if chunk else None,
    }


def _why_lost(claim: Claim, row: dict[str, Any] | None) -> str:
    if row is None:
        return f"its row in sync_watermarks is gone; run {claim.run_id} is not recorded"
    if row["fence"] == claim.fence:
        return f"a later read than that of run {claim.run_id} is recorded already"
    holder = f"{row['lease_holder']} has it" if row["lease_holder"] else "another run had it"
    return f"run {claim.run_id} lost its lease; {holder}, since {row['lease_since']}"


@overload
def cut(text: str) -> str: ...
@overload
def cut(text: None) -> None: ...
def cut(text: str | None) -> str | None:
    """Text that Postgres can store, at most MAX_TEXT characters of it, with a note if there was more."""
    if text is None:
        return None
    text = _clean(text)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… [cut: {len(text)} characters]"


def storable(value: Any) -> Any:
    """The value in JSON's types, as jsonb accepts them; bytes become hex, other types their text.

    jsonb accepts no NUL character, no half of a surrogate pair and no NaN:
    https://www.postgresql.org/docs/current/datatype-json.html
    """
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return _clean(value)
        case bytes() | bytearray() | memoryview():
            return "\\x" + bytes(value).hex()
        case Mapping():
            return {_clean(str(name)): storable(item) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [storable(item) for item in value]
        case _:
            return _clean(str(value))


def bounded(payload: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The payload with long values cut, and its last values left out if it would exceed MAX_PAYLOAD."""
    if payload is None:
        return None
    room = MAX_PAYLOAD
    kept: dict[str, Any] = {}
    for name, value in payload.items():
        short = _short(storable(value))
        size = len(json.dumps(short, ensure_ascii=False)) + len(name)
        kept[_clean(str(name))] = short if size <= room else LEFT_OUT
        room -= min(size, room)
    return kept


def _short(value: Any) -> Any:
    if isinstance(value, str):
        return cut(value)
    text = json.dumps(value, ensure_ascii=False)
    return value if len(text) <= MAX_TEXT else cut(text)


def _clean(text: str) -> str:
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
