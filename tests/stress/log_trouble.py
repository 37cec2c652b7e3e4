"""Everything that interferes with `mode: log` at once: workers, the source's server and the target's server are killed
at any moment, while tables are written and altered."""

from __future__ import annotations

import multiprocessing as mp
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.embedded.snowflake import EmbeddedSnowflake
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.errors import PgsnowError
from pgsnow.model.settings.settings import Settings
from pgsnow.snowflake.session import connect
from pgsnow.sync.engine import Engine
from tests.stress import log_writers

SPAWN = mp.get_context("spawn")
LONGEST_ROUND = 20.0
"""Seconds between two kills at most."""
ENOUGH_RUNS = 40
"""Runs of tables that have loaded changes."""
ENOUGH_LOOKS = 10
"""Looks of the reader at states that their tick calls consistent, while the writers write."""
LOOK = """
SELECT (SELECT COALESCE(SUM(AMOUNT), 0) FROM ANALYTICS.L_ACCOUNT),
    (SELECT COUNT(*) FROM ANALYTICS.L_ENTRY e
        WHERE NOT EXISTS (SELECT 1 FROM ANALYTICS.L_ACCOUNT a WHERE a.ID = e.ACCOUNT)),
    (SELECT CASE WHEN CONSISTENT THEN TO_JSON(LEFT_OUT) END FROM ANALYTICS.PGSNOW_TICKS
        ORDER BY COMMITTED_AT DESC LIMIT 1)
"""


def tick_on(config: Mapping[str, Any], env: dict[str, str]) -> None:
    """A worker: one tick after another until it is killed, also while a server is away."""
    while True:
        with (
            suppress(PgsnowError),
            Engine(parse_config(config, file="sync_config.yaml", env=env), Settings.from_env(env)) as engine,
        ):
            while True:
                engine.tick(requested=True)
        time.sleep(0.3)


def write_on(act: Callable[[str, int, float], None], dsn: str, number: int, until: float) -> None:
    """A writer, which connects again after the server was away."""
    while time.monotonic() < until:
        with suppress(psycopg.Error):
            act(dsn, number, until)
        time.sleep(0.2)


@dataclass
class Looks:
    """A reader of the target. broken: what it saw of states that their tick calls consistent, and are not.
    whole: looks at such states; others: at other ones."""

    env: Mapping[str, str]
    stop: threading.Event = field(default_factory=threading.Event)
    whole: int = 0
    others: int = 0
    broken: list[tuple[Any, ...]] = field(default_factory=list)

    def follow(self) -> None:
        """Look again and again, also after the server was away."""
        while not self.stop.is_set():
            with (
                suppress(PgsnowError),
                connect(Settings.from_env(self.env).snowflake, query_tag="reader") as session,
            ):
                while not self.stop.is_set():
                    self._judge(*session.execute(LOOK).rows[0])
            time.sleep(0.3)

    def _judge(self, total: Any, orphans: Any, left_out: Any) -> None:
        if left_out != "{}":
            self.others += 1
            return
        self.whole += 1
        if (float(total), int(orphans)) != (0.0, 0):
            self.broken.append((total, orphans))


@dataclass
class Trouble:
    """What is killed, and when. done: how often, by kind."""

    postgres: EmbeddedPostgres
    emulator: EmbeddedSnowflake
    config: Mapping[str, Any]
    env: dict[str, str]
    rnd: random.Random
    workers: list[Any] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    def run(self, seconds: float, *, writers: int, ddl: bool, looks: Looks | None = None) -> None:
        """Write, sync, alter and kill for so long, and until some runs have loaded changes and the reader, if there is
        one, has looked at some consistent states, but not for more than ten times as long; at the end no worker and no
        writer is left."""
        dsn, began = self.env["POSTGRES_DSN"], time.monotonic()
        last = began + 10 * seconds
        writing = [
            SPAWN.Process(target=write_on, args=(act, dsn, number, last), daemon=True)
            for number, act in enumerate([log_writers.write] * writers + [log_writers.alter] * ddl)
        ]
        self.workers = [self._worker(), self._worker()]
        for process in (*writing, *self.workers):
            process.start()
        while (now := time.monotonic()) < last:
            seen = looks is None or looks.whole >= ENOUGH_LOOKS
            if now > began + seconds and seen and self.ended("ok", "partial") >= ENOUGH_RUNS:
                break
            self._let_runs_end(self.rnd.randint(0, 12))
            kind = self.rnd.choices(["worker", "postgres", "emulator"], [3, 1, 1])[0]
            {"worker": self._kill_worker, "postgres": self._kill_postgres, "emulator": self._kill_emulator}[
                kind
            ]()
            self.done[kind] += 1
        for process in (*self.workers, *writing):
            process.kill()
        for process in (*self.workers, *writing):
            process.join()

    def _let_runs_end(self, count: int) -> None:
        """Until so many more runs of tables have ended, but not for long; then for another moment."""
        deadline, first = time.monotonic() + LONGEST_ROUND, self.ended()
        while time.monotonic() < deadline and self.ended() < first + count:
            time.sleep(0.1)
        time.sleep(self.rnd.random())

    def ended(self, *statuses: str) -> int:
        """How many runs of tables have ended so, or at all."""
        with psycopg.connect(self.env["POSTGRES_DSN"]) as conn:
            query = "select count(*) from sync_logs where status = any (%s) or %s"
            [(count,)] = conn.execute(query, [[*statuses], not statuses]).fetchall()
        return int(count)

    def _worker(self) -> Any:
        return partial(SPAWN.Process, target=tick_on, args=(self.config, self.env), daemon=True)()

    def _kill_worker(self) -> None:
        at = self.rnd.randrange(len(self.workers))
        self.workers[at].kill()
        self.workers[at].join()
        self.workers[at] = self._worker()
        self.workers[at].start()

    def _kill_postgres(self) -> None:
        self.postgres.kill()
        time.sleep(self.rnd.random())
        self.postgres.start()

    def _kill_emulator(self) -> None:
        self.emulator.kill()
        time.sleep(self.rnd.random())
        self.emulator.start()


def looking(env: Mapping[str, str]) -> tuple[threading.Thread, Looks]:
    """A reader that runs in a thread, and the thread."""
    looks = Looks(env)
    thread = threading.Thread(target=looks.follow, daemon=True)
    thread.start()
    return thread, looks
