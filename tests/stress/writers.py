"""Writers that do whatever a real application does to the order of commits."""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import threading
import time
from dataclasses import dataclass, field
from typing import ClassVar

import psycopg

SCHEMA = """
drop table if exists s;
create table s (
    id bigint primary key,
    v bigint not null,
    updated_at timestamptz,
    updated_local timestamp not null,
    change bigint generated always as identity
);
create index on s (updated_at, id);
create index on s (updated_local);
create index on s (change);
"""
CLOCKS = ["now()"] * 6 + ["statement_timestamp()", "clock_timestamp()"]
ZONES = ["UTC", "America/Los_Angeles", "Asia/Tokyo", "Asia/Kolkata"]
TWO_PHASE_CYCLE, TWO_PHASE_PART = 20.0, 8.0
"""Seconds: two-phase commits come in waves, so that horizons with and without them are both stressed."""
PROCESSES = 2
RARE = 0.01
"""Share of transactions whose timestamps are older than they are."""


@dataclass
class Writer:
    """One session. Every transaction is a random mix of what is risky for a reader."""

    dsn: str
    seed: int
    until: float
    pooled: bool = False
    """A pooler gives each transaction another session, so that settings are local to each."""
    own_clock: bool = False
    """Timestamps are the application's: taken before the transaction begins, a few of them long before (each audit that
    finds one reads everything again, so many of them would hide one that no audit finds)."""
    pending: list[tuple[str, float]] = field(default_factory=list)

    expected: ClassVar[tuple[type[Exception], ...]] = (
        psycopg.errors.LockNotAvailable,
        psycopg.errors.DeadlockDetected,
    )
    """Errors that a transaction of an application may end with."""

    def run(self) -> None:
        self.random = random.Random(self.seed)
        self.first = self.last = self.seed * 10_000_000
        self.number = 0
        self.conn = psycopg.connect(self.dsn, prepare_threshold=None)
        scope = "local " if self.pooled else ""
        zone = self.random.choice(ZONES)
        self.settings = f"set {scope}timezone to '{zone}'; set {scope}lock_timeout to 400"
        if not self.pooled:
            self.conn.execute(self.settings.encode())
            self.conn.commit()
        while time.time() < self.until:
            with contextlib.suppress(*self.expected):
                self.transaction()
            self.conn.rollback()
            self.settle(time.time())
        self.settle(float("inf"))
        self.conn.close()

    def transaction(self) -> None:
        if self.pooled:
            self.conn.execute(self.settings.encode())
        if self.random.random() < 0.4:
            self.conn.execute("select now()")  # begun, but without an xid yet
        if self.random.random() < 0.3:
            time.sleep(self.random.expovariate(1 / 0.15))
        self.job_began = time.time() - (self.random.uniform(1, 12) if self.random.random() < RARE else 0)
        for _ in range(self.random.choice([1, 1, 1, 2, 5])):
            self.maybe_in_savepoint()
            self.pause()
        self.end()

    def maybe_in_savepoint(self) -> None:
        self.inside = self.random.random() < 0.5
        if self.inside:
            self.conn.execute("savepoint p")
        self.write()
        if self.inside:
            self.conn.execute("rollback to p" if self.random.random() < 0.2 else "release p")

    def write(self) -> None:
        clock, value = self.random.choice(CLOCKS), self.random.getrandbits(40)
        if self.own_clock:
            clock = f"to_timestamp({self.job_began!r})"
        if self.random.random() < 0.6 or self.last == self.first:
            count = self.random.choice([1, 1, 3, 40])  # rows of one statement tie
            watermark = "null" if self.random.random() < 0.02 else clock
            self.conn.execute(
                f"insert into s select g, {value}, {watermark}, {clock}"
                f" from generate_series({self.last + 1}::bigint, {self.last + count}) g"
            )
            self.last += count
        else:
            start = self.random.randint(self.first + 1, self.last)
            self.conn.execute(
                f"update s set v = {value}, updated_at = {clock}, updated_local = {clock}, change = default"
                f" where id between {start} and {start + self.random.choice([0, 0, 2])}"
            )

    def pause(self) -> None:
        chance = self.random.random()
        if chance < 0.05:
            time.sleep(self.random.uniform(1, 6))
        elif chance < 0.4:
            time.sleep(self.random.expovariate(1 / 0.03))

    def end(self) -> None:
        chance = self.random.random()
        if chance < 0.15 and time.time() % TWO_PHASE_CYCLE < TWO_PHASE_PART and len(self.pending) < 3:
            gid = f"g{self.seed}_{self.number}"
            self.number += 1
            self.conn.execute(f"prepare transaction '{gid}'")
            self.pending.append((gid, time.time() + self.random.uniform(0.2, 5)))
        elif chance < 0.25:
            self.conn.rollback()
        else:
            self.conn.commit()

    def settle(self, now: float) -> None:
        """End the prepared transactions whose time has come."""
        for gid, due in [entry for entry in self.pending if entry[1] < now]:
            self.conn.autocommit = True
            self.conn.execute(f"{'commit' if self.random.random() < 0.8 else 'rollback'} prepared '{gid}'")
            self.conn.autocommit = False
            self.pending.remove((gid, due))


def _run_all(
    dsn: str, seeds: list[int], seconds: float, pooled: bool, own_clock: bool, kind: type[Writer]
) -> None:
    until = time.time() + seconds
    writers = [kind(dsn, seed, until, pooled, own_clock) for seed in seeds]
    threads = [threading.Thread(target=writer.run) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def start_writers(
    dsn: str,
    count: int,
    seed: int,
    seconds: float,
    *,
    pooled: bool = False,
    own_clock: bool = False,
    kind: type[Writer] = Writer,
) -> list[multiprocessing.process.BaseProcess]:
    """`count` sessions, spread over a few processes so that they really run at once."""
    context = multiprocessing.get_context("spawn")
    seeds = [seed * 1000 + at + 1 for at in range(count)]
    processes = [
        context.Process(target=_run_all, args=(dsn, seeds[at::PROCESSES], seconds, pooled, own_clock, kind))
        for at in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    return list(processes)
