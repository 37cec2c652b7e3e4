"""A source, a plan on one of its tables, and a follower that keeps a copy of it tick by tick."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from pgsnow.model.batch import Rejected
from pgsnow.model.checkpoint import Checkpoint, Horizon, VirtualXids
from pgsnow.model.config.sync_config import TableConfig
from pgsnow.model.plan import TablePlan, fields_of, watermark_of
from pgsnow.model.settings.postgres import CopyMode
from pgsnow.model.table import TargetName
from pgsnow.model.table_key import key_of
from pgsnow.postgres.catalog.describe import describe
from pgsnow.postgres.connection import Source
from pgsnow.postgres.incremental.audit import audit_if_due
from pgsnow.postgres.incremental.horizon import take_horizon
from pgsnow.postgres.incremental.probe import idle_checkpoint, probe
from pgsnow.postgres.read.reader import open_reader


@dataclass(frozen=True)
class Dsn:
    """Settings, as far as Source needs them."""

    text: str
    copy: CopyMode = CopyMode.AUTO

    def conninfo(self) -> str:
        return self.text


class Lab:
    """One database. `admin` is a session of the owner's, in autocommit mode."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.source = Source(Dsn(dsn))
        self.admin = psycopg.connect(dsn, autocommit=True)
        self._others: list[psycopg.Connection[Any]] = []

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.admin.execute(statement.encode())

    def one(self, query: str) -> Any:
        """The single value that a query gives."""
        ((value,),) = self.admin.execute(query.encode()).fetchall()
        return value

    def session(self, *, user: str | None = None) -> psycopg.Connection[Any]:
        """Another session, not in autocommit mode: an application's."""
        dsn = make_conninfo(self.dsn, user=user) if user else self.dsn
        conn = psycopg.connect(dsn, prepare_threshold=None)
        self._others.append(conn)
        return conn

    def plan(self, table: str = "public.t", **options: Any) -> TablePlan:
        given = {"pk": ["id"], "watermark_column": "updated_at", "max_skew": 0, **options}
        config = TableConfig(source=table, target="t", **given)  # type: ignore[arg-type]
        source = describe(self.admin, config.source)
        fields = fields_of(config, source)
        return TablePlan(
            config,
            source,
            TargetName("D", "S", "T"),
            fields,
            fields,
            watermark_of(config, source),
            key_of(config, source),
        )

    def follow(self, table: str = "public.t", *, user: str | None = None, **options: Any) -> Follower:
        source = Source(Dsn(make_conninfo(self.dsn, user=user))) if user else self.source
        return Follower(source, self.plan(table, **options))

    def close(self) -> None:
        for conn in [*self._others, self.admin]:
            conn.close()
        self.source.close()


@dataclass
class Follower:
    """Ticks as the product does, without a target: what it has read is in `copy` (key → row)."""

    source: Source
    plan: TablePlan
    checkpoint: Checkpoint | None = None
    copy: dict[Any, dict[str, Any]] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    listing: VirtualXids | None = None
    full_read: str | None = None
    finding: str | None = None

    def horizon(self) -> Horizon:
        with self.source.connect() as conn:
            horizon, listing = take_horizon(conn, self.listing)
        self.listing = listing or self.listing
        return horizon

    def tick(self, *, save: bool = True, full: bool = False, horizon: Horizon | None = None) -> list[Any]:
        """One tick; the keys that it read, in order. `save=False`: crash before the checkpoint is saved."""
        horizon = horizon or self.horizon()
        with self.source.connect() as conn:
            before, self.finding = audit_if_due(conn, self.plan, self.checkpoint, horizon)
            found = probe(conn, self.plan, before, horizon)
        if not found.busy and not full:
            assert before is not None
            self.checkpoint = idle_checkpoint(found, self.plan, before, horizon)
            self.full_read = None
            return []
        keys: list[Any] = []
        with open_reader(self.source, self.plan, before, horizon, full=full) as reading:
            self.full_read = reading.full_read
            assert bool(found.full_read) == bool(reading.full_read) or full
            for page in reading.pages():
                keys.extend(self._take(page.rows.to_pylist()))
                self.rejected.extend(page.rejected)
            after = reading.checkpoint()
        if save:
            self.checkpoint = after
        return keys

    def _take(self, rows: list[dict[str, Any]]) -> Iterator[Any]:
        pk = self.plan.pk
        for row in rows:
            key = row[pk[0]] if len(pk) == 1 else tuple(row[name] for name in pk)
            self.copy[key] = row
            yield key


@contextmanager
def lab_in(dsn: str) -> Iterator[Lab]:
    lab = Lab(dsn)
    try:
        yield lab
    finally:
        lab.close()
