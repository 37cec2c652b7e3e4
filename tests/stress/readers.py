"""The product's reader in each of its ways, and what it is compared with. All keep a copy of the table."""

from __future__ import annotations

import random
import threading
import traceback
from dataclasses import dataclass, field
from typing import Any

import psycopg

from pgsnow.model.checkpoint import Checkpoint, ReadMode, VirtualXids
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.connection import Source
from pgsnow.postgres.incremental.audit import audit, audit_if_due
from pgsnow.postgres.incremental.horizon import take_horizon
from pgsnow.postgres.incremental.probe import idle_checkpoint, probe
from pgsnow.postgres.read.reader import open_reader

CRASHES = 0.1
"""Share of reads whose rows arrive but whose checkpoint is never saved."""
EVERY = 0.4
"""Seconds between two reads, about."""


@dataclass
class PollingReader:
    """Polls until told to stop, then twice more."""

    name: str
    lossless: bool
    copy: dict[int, int] = field(default_factory=dict)
    runs: int = 0
    rows: int = 0
    findings: int = 0
    """Audits that found rows, where audits are part of the ticks."""
    false_alarms: int = 0
    failure: str = ""

    def follow(self, stop: threading.Event) -> None:
        rng = random.Random(self.name)
        try:
            while not stop.wait(EVERY * rng.uniform(0.3, 1.7)):
                self.poll(crash=rng.random() < CRASHES)
                self.runs += 1
            self.poll(crash=False)
            self.poll(crash=False)
            self.finish()
        except Exception:
            self.failure = traceback.format_exc()

    def poll(self, *, crash: bool) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        pass


@dataclass
class ProductReader(PollingReader):
    """A tick of the product: horizon, probe, and a read or an idle move."""

    source: Source = field(kw_only=True)
    plan: TablePlan = field(kw_only=True)
    mode: ReadMode | None = field(default=None, kw_only=True)
    """A mode to move to after the first read, as an audit does."""
    audits: bool = field(default=False, kw_only=True)
    """Audits are part of the ticks. A table that one of them moved to xmin mode is moved back after one read, as if all
    rows had been read, so that the next audit has something to find."""
    checkpoint: Checkpoint | None = None
    listing: VirtualXids = field(default_factory=VirtualXids)
    fallbacks: int = 0

    def __post_init__(self) -> None:
        self.conn = self.source.connect()

    def poll(self, *, crash: bool) -> None:
        horizon, listing = take_horizon(self.conn, self.listing)
        self.fallbacks += listing is not None
        self.listing = listing or self.listing
        before = self.checkpoint
        if self.audits:
            before, finding = audit_if_due(self.conn, self.plan, before, horizon)
            self.findings += finding is not None
        found = probe(self.conn, self.plan, before, horizon)
        if not found.busy:
            self.checkpoint = idle_checkpoint(found, self.plan, before, horizon)
            return
        with open_reader(self.source, self.plan, before, horizon) as reading:
            for page in reading.pages():
                ids, values = (page.rows.column(name).to_pylist() for name in ("id", "v"))
                self.copy.update(zip(ids, values, strict=True))
                self.rows += len(ids)
            if not crash:
                self.checkpoint = reading.checkpoint()
        if self.mode and self.checkpoint:
            self.checkpoint = self.checkpoint.evolve(mode=self.mode)
        if self.audits and self.checkpoint and self.checkpoint.mode is ReadMode.XMIN:
            newest = self.checkpoint.trail[-1:]
            self.checkpoint = self.checkpoint.evolve(
                mode=ReadMode.WATERMARK, trail=newest, audit_x=self.checkpoint.x
            )

    def finish(self) -> None:
        if self.audits and self.checkpoint is not None:
            self.checkpoint = self.checkpoint.evolve(audited_at=None)
            self.poll(crash=False)
        elif self.checkpoint is not None and self.checkpoint.mode is ReadMode.WATERMARK:
            self.false_alarms = audit(self.conn, self.plan, self.checkpoint).late_rows
        self.conn.close()
        self.source.close()


@dataclass
class LiteralReader(PollingReader):
    """The usual query: everything above the last watermark, in its order, so many rows at a time."""

    dsn: str = field(kw_only=True)
    limit: int = 500
    last: Any = "-infinity"

    def __post_init__(self) -> None:
        self.conn = psycopg.connect(self.dsn, autocommit=True, prepare_threshold=None)

    def poll(self, *, crash: bool) -> None:
        while True:
            rows = self.conn.execute(
                "select id, v, updated_at::text from s where updated_at > %s::timestamptz"
                " order by updated_at limit %s",
                [self.last, self.limit],
            ).fetchall()
            self.copy.update((row[0], row[1]) for row in rows)
            self.rows += len(rows)
            if rows:
                self.last = rows[-1][2]
            if len(rows) < self.limit:
                return
