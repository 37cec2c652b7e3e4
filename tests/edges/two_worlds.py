"""Two configurations that get in each other's way: two sources, one ledger or one target."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.model.report import TableReport
from tests.servers import own_database
from tests.world import MemoryWorld


@contextmanager
def another(
    postgres: EmbeddedPostgres, template: str, folder: Path, world: MemoryWorld
) -> Iterator[MemoryWorld]:
    """Another source database, with a ledger of its own, whose target is in the same account."""
    with own_database(postgres, template) as dsn:
        other = MemoryWorld(dsn, folder)
        other.warehouse = world.warehouse
        yield other
        other.close()


def fill(world: MemoryWorld, name: str, rows: int = 5) -> None:
    world.sql(f"insert into users (id, name) select g, '{name}' from generate_series(1, {rows}) g")


def tick(world: MemoryWorld, **options: Any) -> TableReport:
    with world.engine() as engine:
        [report] = engine.tick(**options).tables
    return report
