"""The demo's source tables."""

from __future__ import annotations

from importlib.resources import files

import psycopg

TABLES = ("public.users", "public.checkins")


def create_source(dsn: str) -> None:
    """Create and fill the tables in one transaction; does nothing if the source has them already."""
    with psycopg.connect(dsn) as conn:
        row = conn.execute("select to_regclass('public.users') is not null").fetchone()
        if row is not None and row[0]:
            return
        for script in ("schema.sql", "initial.sql"):
            conn.execute(files(__package__).joinpath(script).read_bytes())


def count_rows(conn: psycopg.Connection[tuple[int]]) -> dict[str, int]:
    """Rows of each table, as of now."""
    counted = {}
    for table, query in COUNTS.items():
        row = conn.execute(query).fetchone()
        counted[table] = row[0] if row else 0
    return counted


COUNTS = {
    "public.users": b"select count(*) from public.users",
    "public.checkins": b"select count(*) from public.checkins",
}
