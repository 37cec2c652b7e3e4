"""The table of the benchmarks of whole jobs: users with nine columns, among them jsonb, text[], numeric, timestamptz.

A template database is filled once; every measurement gets a new copy of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from pgsnow.embedded.postgres import FAST_AND_FORGETFUL, EmbeddedPostgres

SERVER = {
    **FAST_AND_FORGETFUL,
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "max_parallel_workers_per_gather": "0",
    "autovacuum": "off",
    "timezone": "UTC",
}
TEMPLATE = "users_template"
TABLE = """
create table users (
  id bigint primary key, email text, name text, balance numeric(18,4), is_active boolean, profile jsonb, tags text[],
  created_at timestamptz, updated_at timestamptz);
insert into users
select g, 'user' || g || '@example.com', 'Name ' || md5(g::text), ((g * 7919) % 100000000) / 10000.0, g % 3 <> 0,
       jsonb_build_object('plan', (array['free', 'pro', 'team'])[1 + g % 3], 'n', g, 'city', 'City ' || g % 500,
                          'flags', jsonb_build_array(g % 2, g % 5)),
       array['t' || g % 10, 'g' || g % 7], timestamptz '2024-01-01Z' + g * interval '10 seconds',
       timestamptz '2024-06-01Z' + g * interval '1 second'
from generate_series(1::bigint, {rows}) g;
create index on users (updated_at);
vacuum (freeze, analyze) users
"""
UPDATE = """
update users set name = %(mark)s || id, balance = balance + 1, updated_at = clock_timestamp()
where id %% %(every)s = %(at)s
"""


class Source:
    """A server with the template database, and its copies. Superuser `postgres`, trusted on loopback."""

    def __init__(self, server: EmbeddedPostgres, rows: int) -> None:
        self.server = server
        self.rows = rows
        with self.admin() as conn:
            conn.execute(f"create database {TEMPLATE}")
        with psycopg.connect(server.dsn(TEMPLATE), autocommit=True) as conn:
            for statement in TABLE.format(rows=rows).split(";"):
                conn.execute(statement.encode())
        with self.admin() as conn:
            conn.execute("checkpoint")

    def admin(self) -> psycopg.Connection:
        return psycopg.connect(self.server.dsn(), autocommit=True)

    @contextmanager
    def copy(self, name: str) -> Iterator[str]:
        """Create a database of this name with the users in it; returns its DSN."""
        with self.admin() as conn:
            conn.execute(f"create database {name} template {TEMPLATE} strategy file_copy")
        dsn = self.server.dsn(name)
        with psycopg.connect(dsn) as conn:  # into the cache, as it would be
            conn.execute("select count(*), sum(length(name)) from users")
        try:
            yield dsn
        finally:
            with self.admin() as conn:
                conn.execute(f"drop database {name} with (force)")

    def keep(self, dsn: str, rows: int) -> None:
        """Delete all users but the first ones, up to this number."""
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("delete from users where id > %s", [rows])
            conn.execute("vacuum analyze users")

    def update(self, dsn: str, number: int, rows: int, changed: int) -> None:
        """Give `changed` users another name; each `number` selects other users."""
        every = rows // changed
        with psycopg.connect(make_conninfo(dsn), autocommit=True) as conn:
            given = {"mark": f"u{number}-", "every": every, "at": number % every}
            done = conn.execute(UPDATE, given).rowcount
        if done != changed:
            raise RuntimeError(f"{done} rows were updated instead of {changed}")


@contextmanager
def users(folder: Path, rows: int) -> Iterator[Source]:
    with EmbeddedPostgres(folder / "postgres", config=SERVER) as server:
        yield Source(server, rows)
