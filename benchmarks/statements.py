"""Counts the statements that a tick sends to Snowflake, in a warm engine: `python -m benchmarks.statements`."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psycopg

from benchmarks.figures import Figures
from pgsnow.embedded.stack import Stack
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.settings.settings import Settings
from pgsnow.sync.engine import Engine

LOADED = "staged rows loaded"
LATER = "update sync_loaded_files set loaded_at = now() - interval '11 minutes';"
TABLE = """
create table users (id bigint primary key, name text, updated_at timestamptz not null default clock_timestamp());
insert into users select g, 'n' || g from generate_series(1, 5000) g;
create index on users (updated_at);
create table orders (like users including all);
insert into orders select * from users;
create table prices (id bigint primary key, price numeric);
insert into prices select g, g from generate_series(1, 5000) g;
analyze
"""
CONFIG = {
    "tables": [
        {"source": "public.users", "target": "analytics.users", "pk": "id", "watermark_column": "updated_at"},
        {"source": "public.prices", "target": "analytics.prices", "pk": "id", "mode": "full"},
        {
            "source": "public.orders",
            "target": "analytics.orders",
            "pk": "id",
            "watermark_column": "updated_at",
            "load_every": "1h",
        },
    ]
}
USERS, PRICES, ORDERS = "public.users", "public.prices", "public.orders"
TICKS = (
    ("first load of a table, and of its schema", USERS, ""),
    ("first load of another table", ORDERS, ""),
    ("nothing changed", USERS, ""),
    ("3 rows changed", USERS, "update users set name = 'x', updated_at = now() where id <= 3"),
    ("1,000 rows changed, staged", USERS, "update users set name = 'y', updated_at = now() where id <= 1000"),
    ("first load, mode full", PRICES, ""),
    ("nothing changed, mode full", PRICES, ""),
    ("replaced, mode full", PRICES, "update prices set price = price + 1 where id = 1"),
    ("1,000 rows staged, load_every", ORDERS, "update orders set updated_at = now() where id <= 1000"),
    ("another 1,000 rows staged", ORDERS, "update orders set updated_at = now() where id > 4000"),
    (LOADED, ORDERS, ""),
    ("10 minutes later, 3 rows changed", USERS, LATER + "update users set updated_at = now() where id <= 3"),
)


def main() -> None:
    figures = Figures()
    figures.forget({"statements"})
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
        env = stack.env()
        with psycopg.connect(env["POSTGRES_DSN"], autocommit=True) as conn:
            conn.execute(TABLE)
            config = parse_config(CONFIG, file="benchmark", env={})
            with Engine(config, Settings.from_env(env)) as engine:
                for name, table, change in TICKS:
                    if change:
                        conn.execute(change.encode())
                    sent, logins = counted(stack, partial(tick, engine, table, load=name == LOADED))
                    verbs = Counter(text.split(None, 1)[0].upper() for text in sent)
                    figures.add("statements", tick=name, sent=len(sent), logins=logins, verbs=dict(verbs))


def counted(stack: Stack, action: Callable[[], None]) -> tuple[list[str], int]:
    before, logins = stack.snowflake.noted(), stack.snowflake.connections()
    action()
    return stack.snowflake.statements_since(before), stack.snowflake.connections() - logins


def tick(engine: Engine, table: str, *, load: bool) -> None:
    report = engine.tick([table], load=load)
    if report.failures:
        raise SystemExit(report.failures[0].error or "failed")


if __name__ == "__main__":
    main()
