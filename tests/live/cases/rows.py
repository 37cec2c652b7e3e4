"""The rows that the cases load, and their table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from pgsnow.model.metadata_columns import ORDER_COLUMN
from pgsnow.model.types.mapping import Field, as_text
from pgsnow.snowflake.names import qualified
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.sql.staged import ExpectedTarget, guarded, staged_source
from tests.live.contract import Account

NUMBER = replace(as_text("bigint", ""), carried="int64", snowflake="NUMBER(38,0)", staged="NUMBER(38,0)")
JSON = replace(as_text("jsonb", ""), snowflake="VARIANT", merge="PARSE_JSON({c}, 'd')")
ID, NAME = Field("id", "ID", NUMBER, nullable=False, key=True), Field("name", "NAME", as_text("text", ""))
DOC = Field("doc", "DOC", JSON)
FIELDS, KEY = (ID, NAME), (ID,)
LATEST = ((1, "old"), (2, "b"), (1, "a"))
"""Two rows of one key: the last one counts."""


def part(rows: Sequence[tuple[int, str | None]]) -> pa.Table:
    """Rows (id, name) as in a part file."""
    table = pa.table({"ID": pa.array([i for i, _ in rows], pa.int64()), "NAME": [name for _, name in rows]})
    return table.append_column(ORDER_COLUMN, pa.array(range(len(rows)), pa.int64()))


def with_table(account: Account, name: str, *rows: tuple[int, str]) -> None:
    """Create the target of this name, with these rows of fence 1."""
    target = account.target(name)
    account.session.execute(sql.create_table(target, FIELDS, KEY))
    if rows:
        values = ", ".join(f"({number}, '{text}', 1)" for number, text in rows)
        account.session.execute(f"INSERT INTO {qualified(target)} VALUES {values}")


def held(account: Account, name: str) -> list[tuple[object, ...]]:
    return account.rows(f'SELECT * FROM {qualified(account.target(name))} ORDER BY "ID"')


def at(there: int | None) -> ExpectedTarget | None:
    """The target as a run expects it: so many rows, all of fence 1 or later."""
    return None if there is None else ExpectedTarget(there, 1)


def merge(account: Account, name: str, places: Sequence[str], rows: int, there: int | None = None) -> str:
    """The MERGE of so many rows of these folders into the target, with fence 5."""
    target = account.target(name)
    source = staged_source(target, FIELDS, places, counted=there is not None)
    return sql.merge_from(target, source, FIELDS, KEY, guarded("5", rows, at(there)))
