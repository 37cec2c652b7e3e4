"""The two tables of the read benchmarks: one with seventeen columns of mixed types, one with five plain columns."""

from __future__ import annotations

import psycopg

from pgsnow.model.config.sync_config import TableConfig
from pgsnow.model.plan import TablePlan, fields_of, watermark_of
from pgsnow.model.table import TargetName
from pgsnow.postgres.catalog.describe import describe, fingerprints

WIDE = """
create type plan_kind as enum ('free', 'pro', 'team', 'enterprise');
create table wide (
  id bigint primary key, external_id uuid not null, email text not null, name text, country char(2), kind plan_kind,
  balance numeric(14,2), rate numeric(8,4), score double precision, visits int, active boolean, born date,
  profile jsonb, tags text[], token bytea, created_at timestamptz not null, updated_at timestamptz not null);
insert into wide
select g, md5(g::text)::uuid, 'user' || g || '@example.com', 'Name ' || md5((g * 7)::text),
       (array['de', 'fr', 'it', 'us'])[1 + g % 4], (array['free', 'pro', 'team', 'enterprise'])[1 + g % 4]::plan_kind,
       ((g * 7919) % 100000000)::numeric / 100, (g % 60000)::numeric / 7, sqrt(g), g % 1000, g % 3 <> 0,
       date '1950-01-01' + (g % 20000)::int,
       jsonb_build_object('plan', 'p' || g % 3, 'n', g, 'city', 'City ' || g % 500,
                          'flags', jsonb_build_array(g % 2, g % 5)),
       array['t' || g % 10, 'g' || g % 7], decode(md5(g::text) || md5((g + 1)::text), 'hex'),
       timestamptz '2024-01-01Z' + g * interval '10 seconds', timestamptz '2024-06-01Z' + g * interval '1 second'
from generate_series(1::bigint, {rows}) g;
create index on wide (updated_at);
"""
NARROW = """
create table narrow (
  id bigint primary key, user_id bigint not null, amount double precision, kind int, updated_at timestamptz not null);
insert into narrow
select g, 1 + (g * 31) % 1000000, g * 0.25, g % 12, timestamptz '2024-06-01Z' + g * interval '1 second'
from generate_series(1::bigint, {rows}) g;
create index on narrow (updated_at);
"""
TABLES = {"wide": WIDE, "narrow": NARROW}


def make(conn: psycopg.Connection, table: str, rows: int) -> None:
    """Create the table, fill it, vacuum it and load it into the cache. `conn` is in autocommit mode."""
    for statement in TABLES[table].format(rows=rows).split(";\n"):
        if statement.strip():
            conn.execute(statement.encode())
    conn.execute(f"vacuum (freeze, analyze) {table}".encode())


def plan_of(conn: psycopg.Connection, table: str) -> TablePlan:
    config = TableConfig(source=f"public.{table}", target="t", pk=["id"], watermark_column="updated_at")  # type: ignore[arg-type]
    source = describe(conn, config.source)
    fields = fields_of(config, source)
    pk = ("id",)
    target = TargetName("D", "S", "T")
    mark = fingerprints(conn, [source.name])[source.name]
    return TablePlan(
        config, source, target, fields, fields, watermark_of(config, source), pk, fingerprint=mark
    )
