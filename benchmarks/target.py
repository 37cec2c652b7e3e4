"""A plain client of the emulator: the connector, without pgsnow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import snowflake.connector

from benchmarks.peers.contestant import DATABASE
from pgsnow.embedded.snowflake import WAREHOUSE, EmbeddedSnowflake


@contextmanager
def cursor(emulator: EmbeddedSnowflake, database: str = DATABASE) -> Iterator[Any]:
    connection = snowflake.connector.connect(
        user="u", password="p", account="pgsnow", host="127.0.0.1", port=emulator.port, protocol="http",
        database=database, schema="PUBLIC", warehouse=WAREHOUSE,
    )  # fmt: skip
    with closing(connection), closing(connection.cursor()) as asked:
        yield asked


def wake(emulator: EmbeddedSnowflake) -> None:
    """Send some statements to a new emulator, whose first statements cost more than later ones."""
    with cursor(emulator) as asked:
        for statement in (
            "create schema if not exists PUBLIC",
            "create schema if not exists ING",
            "create table WAKE (ID NUMBER(19,0), NAME VARCHAR)",
            "insert into WAKE values (1, 'a')",
            "merge into WAKE t using (select 1 as ID, 'b' as NAME) s on t.ID = s.ID"
            " when matched then update set NAME = s.NAME when not matched then insert (ID, NAME) values (s.ID, s.NAME)",
            "drop table WAKE",
        ):
            asked.execute(statement)


def count_users(emulator: EmbeddedSnowflake, table: str) -> int:
    """Number of users with different ids."""
    with cursor(emulator) as asked:
        asked.execute(f"select count(distinct ID) from {table}")
        return int(asked.fetchone()[0])
