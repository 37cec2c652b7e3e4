"""The states of a sync that the pages are designed for, each with a router over a ledger in that state."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from fastapi import APIRouter

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.integrations.fastapi.router import status_router
from tests.browser.ledgers import SHOP, Past, begin, config_of, ledger_at, reject, write
from tests.browser.served import settings_at
from tests.servers import own_database
from tests.world import MemoryWorld

WRONG = """
tables:
  - source: public.users
    target: analytics.users
    pk: id
    watermark_colum: updated_at
  - source: public.orders
    target: analytics.orders
    pk: id
    mode: incremental
"""
NOWHERE = "postgresql://pgsnow:secret@127.0.0.1:1/ledger"


@contextlib.contextmanager
def routers_in(
    postgres: EmbeddedPostgres, folder: Path, *names: str, template: str = "template1"
) -> Iterator[dict[str, APIRouter]]:
    """A router by the name of each of these states. template: a database to copy, which may have a ledger already."""
    (folder / "sync_config.yaml").write_text(WRONG)
    with contextlib.ExitStack() as stack:
        yield {
            name: STATES[name](stack.enter_context(own_database(postgres, template)), folder)
            for name in names
        }


def _busy_day(dsn: str, _folder: Path) -> APIRouter:
    """Most tables are well; one fails, one is behind, one has rejected rows, one is being loaded, one is off."""
    ledger = ledger_at(dsn)
    write(ledger, dsn, SHOP)
    reject(ledger, "public.addresses", 3)
    ledger.close()
    begin(dsn, "public.page_views")
    config = config_of([*SHOP, "public.reviews", "legacy.audit_trail"], off=["legacy.audit_trail"])
    return status_router(config, settings=settings_at(dsn))


def _well(dsn: str, _folder: Path) -> APIRouter:
    ledger = ledger_at(dsn)
    good = {name: Past(past.runs.replace("e", "o").replace("p", "o")) for name, past in SHOP.items()}
    write(ledger, dsn, good)
    ledger.close()
    return status_router(config_of(list(good)), settings=settings_at(dsn))


def _stopped(dsn: str, _folder: Path) -> APIRouter:
    """The worker was stopped three hours ago."""
    ledger = ledger_at(dsn)
    write(ledger, dsn, SHOP, age=3 * 3600)
    ledger.close()
    return status_router(config_of(list(SHOP)), settings=settings_at(dsn))


def _empty(dsn: str, _folder: Path) -> APIRouter:
    """Nothing has run yet."""
    ledger_at(dsn).close()
    return status_router(config_of(list(SHOP)), settings=settings_at(dsn))


def _many(dsn: str, _folder: Path) -> APIRouter:
    """A thousand tables; every hundredth fails."""
    ledger = ledger_at(dsn)
    names = [f"tenant_{n // 40:02}.table_{n:04}" for n in range(1000)]
    kinds = {
        0: Past("oie", error="a column is missing", lag=4000),
        1: Past("ooi"),
        2: Past("ioo"),
        3: Past("iii"),
    }
    write(ledger, dsn, {name: kinds[0 if n % 100 == 7 else n % 3 + 1] for n, name in enumerate(names)})
    ledger.close()
    return status_router(config_of(names), settings=settings_at(dsn))


def _broken(_dsn: str, _folder: Path) -> APIRouter:
    """Nothing listens where the ledger should be."""
    return status_router(config_of(list(SHOP)), settings=settings_at(NOWHERE))


def _wrong(dsn: str, folder: Path) -> APIRouter:
    """The configuration has mistakes."""
    return status_router(folder / "sync_config.yaml", settings=settings_at(dsn))


def _story(dsn: str, folder: Path) -> APIRouter:
    """A table of a real sync with a day of runs, a short failure among them. dsn: of a copy of `world_template`."""
    world = MemoryWorld(dsn, folder)
    world.sql(
        "insert into users (id, name, balance) select n, 'user ' || n, n from generate_series(1, 900) n"
    )
    with world.engine() as engine:
        engine.tick()
    world.sql(
        "update sync_logs set (started_at, ended_at) = (started_at - '1 day'::interval, ended_at - '1 day'::interval)"
    )
    ledger = ledger_at(dsn)
    runs = "ooioooiooooi" * 60
    day = Past(runs[:500] + "e" * 14 + runs[514:], each={"rows_inserted": 90, "rows_updated": 210}, wave=0.9)
    write(ledger, dsn, {"public.users": day})
    world.sql(
        "update sync_logs r set applied_until = good, lag_seconds = extract(epoch from ended_at - good)"
        " from (select run_id, max(ended_at - interval '2 seconds') filter (where status <> 'error')"
        " over (order by started_at) as good from sync_logs) loaded where loaded.run_id = r.run_id"
    )
    ledger.close()
    router = status_router(world.config, settings=world.settings)
    world.close()
    return router


STATES: Mapping[str, Callable[[str, Path], APIRouter]] = MappingProxyType(
    {
        "day": _busy_day,
        "well": _well,
        "stopped": _stopped,
        "empty": _empty,
        "many": _many,
        "broken": _broken,
        "wrong": _wrong,
        "story": _story,
    }
)
"""Makers of routers over an empty database: by its DSN, and a folder with a wrong sync_config.yaml."""
