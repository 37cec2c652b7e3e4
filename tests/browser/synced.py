"""A real sync of a few tables, whose ledger the pages show: loads, rejected rows, a schema change, a failing table."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.ledger.ledger import Ledger
from tests.servers import own_database
from tests.world import MemoryWorld

ORDERS = """
create table orders (
    "order no" bigint primary key, customer bigint not null, total numeric, placed timestamptz,
    updated_at timestamptz not null default now()
);
create index on orders (updated_at)
"""
MORE = [
    {
        "source": "public.orders",
        "target": "analytics.orders",
        "pk": "order no",
        "watermark_column": "updated_at",
    },
    {"source": "public.gone", "target": "analytics.gone", "pk": "id", "watermark_column": "updated_at"},
    {"source": "public.unread", "target": "analytics.unread", "pk": "id", "watermark_column": "updated_at"},
]
CHECKS = [
    {"name": "postgres", "level": "ok", "detail": "PostgreSQL 18.1, 3 tables", "fix": ""},
    {
        "name": "warehouse",
        "level": "warning",
        "detail": "auto_suspend is 600 s",
        "fix": "ALTER WAREHOUSE W SET …",
    },
    {
        "name": "public.gone",
        "level": "failed",
        "detail": "no such table",
        "fix": "Remove it from the table list.",
    },
]
"""A saved `pgsnow check`."""


@contextlib.contextmanager
def synced_world(postgres: EmbeddedPostgres, template: str, folder: Path) -> Iterator[MemoryWorld]:
    """public.users (two rows are rejected), public.orders, and public.gone, which fails, after a few ticks.
    public.unread never ran."""
    with own_database(postgres, template) as dsn:
        world = MemoryWorld(dsn, folder)
        world.tables += MORE[:2]
        world.sql(ORDERS)
        _work(world)
        world.tables.append(MORE[2])
        yield world
        world.close()


def ledger_of(world: MemoryWorld) -> Ledger:
    """A ledger of its own, which the caller closes."""
    return Ledger(world.settings.ledger, "public")


def tick(world: MemoryWorld) -> None:
    with world.engine() as engine:
        engine.tick()


def _work(world: MemoryWorld) -> None:
    world.sql("insert into users select n, 'user ' || n, n, '{}' from generate_series(1, 40) n")
    world.sql("insert into users values (41, 'Ada', 'NaN', '{}'), (42, '<b>Bo</b>', 'NaN', '{}')")
    world.sql("insert into orders select n, n % 40, n * 1.5, now() from generate_series(1, 60) n")
    tick(world)
    world.sql("alter table users add city text")
    world.sql("update users set city = 'Oslo', updated_at = now() where id <= 12")
    world.sql('delete from orders where "order no" > 55')
    tick(world)
    tick(world)
    ledger = ledger_of(world)
    ledger.checks.save(CHECKS, "web-1:7")
    ledger.close()
