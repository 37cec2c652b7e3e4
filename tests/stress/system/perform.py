"""Does the actions of an episode. What fails because of another action (a server that is away, a lock, a key that is
there already) is counted and no more: the comparison at the end says whether anything was lost."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from pgsnow.ledger.ledger import Ledger
from pgsnow.ledger.requests.requests import RequestAction
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.errors import PgsnowError
from pgsnow.model.settings.settings import Settings
from pgsnow.snowflake.session import connect
from tests.forked import run_forked
from tests.stress.system.script import Action
from tests.stress.system.servers import Servers
from tests.stress.system.tables import BY_NAME, PUBLICATION
from tests.stress.system.workers import Workers

COMMAND_SECONDS = 900
"""A command that takes longer hangs: every wait of pgsnow ends earlier."""
UNEXPECTED = re.compile(r"Traceback \(most recent call last\)|unexpected \w+(Error|Exception)|Usage: pgsnow")


@dataclass
class Episode:
    """One source and one target, and what the actions have made of the configuration. `problems`: what must not happen,
    whatever else does."""

    servers: Servers
    folder: Path
    env: dict[str, str]
    settings: Mapping[str, Any]
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    edited: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.workers = Workers(self.servers, self.folder, self.env, self.settings, self.counts)
        names = self.settings["tables"]
        with psycopg.connect(self.env["POSTGRES_DSN"], autocommit=True) as admin:
            for name in names:
                for statement in BY_NAME[name].schema():
                    admin.execute(statement.encode())
            listed = ", ".join(name for name in names)
            admin.execute(
                f"create publication {PUBLICATION} for table {listed} with (publish_via_partition_root = true)".encode()
            )
        self.entries = {name: BY_NAME[name].configured() for name in names}
        self.options = {
            "sync_interval_seconds": 2,
            "execution": self.settings["execution"],
            "log_publication": PUBLICATION,
            "defaults": {"sweep_share": 1, "max_delete_share": 1},
        }
        self.workers.set_clock(0)
        if self.settings["consistency"] == "tick":
            self.options["consistency"] = "tick"
            for entry in self.entries.values():
                entry.pop("load_every", None)
        if not self.write_config():  # none of these tables is read from the log
            self.options.pop("consistency", None)
            assert self.write_config()

    @property
    def shown(self) -> dict[str, Any]:
        """The configuration as it is now."""
        return {
            **self.options, "tables": [entry for name, entry in self.entries.items() if name not in self.removed],
        }  # fmt: skip

    def write_config(self) -> bool:
        """Replace the file, if the configuration is one that pgsnow accepts."""
        with suppress(PgsnowError):
            config = parse_config(self.shown, file="sync_config.yaml", env=dict(self.env))
            config.check_staging(bucket=True)
            new = self.folder / "sync_config.new"
            new.write_text(json.dumps(self.shown))
            new.rename(self.folder / "sync_config.yaml")
            return True
        return False

    def perform(self, action: Action, lane: dict[str, Any]) -> None:
        """lane: what the lane keeps between its actions."""
        self.counts[action.kind] += 1
        getattr(self, f"_{action.kind}")(lane, **action.args)

    def _write(
        self,
        lane: dict[str, Any],
        how: str,
        statements: list[str],
        pause: float,
        commits: bool,
        durable: bool,
    ) -> None:
        try:
            conn = lane.get("conn")
            if conn is None or conn.closed:
                conn = lane["conn"] = psycopg.connect(self.env["POSTGRES_DSN"], autocommit=True)
                conn.execute("set lock_timeout = '1s'; set statement_timeout = '20s'")
            conn.execute(f"set synchronous_commit = {'on' if durable else 'off'}".encode())
            getattr(self, f"_{'prepared' if how == 'prepared' else 'transaction'}")(
                conn, how, statements, pause, commits
            )
            self.counts[f"transaction: {how}"] += 1
        except psycopg.Error as error:
            self.counts[f"transaction failed: {type(error).__name__}"] += 1
            with suppress(psycopg.Error, KeyError):
                lane["conn"].execute("rollback")
            time.sleep(0.2)

    def _transaction(
        self, conn: psycopg.Connection[Any], how: str, statements: list[str], pause: float, commits: bool
    ) -> None:
        conn.execute("begin")
        for number, statement in enumerate(statements):
            if how == "savepoints":
                conn.execute(f"savepoint s{number}".encode())
            self.counts["rows written"] += max(0, conn.execute(statement.encode()).rowcount)
            if how == "savepoints" and number % 2:
                conn.execute(f"rollback to savepoint s{number}".encode())
            time.sleep(pause / len(statements))
        conn.execute("commit" if commits and how != "aborted" else "rollback")

    def _prepared(
        self, conn: psycopg.Connection[Any], how: str, statements: list[str], pause: float, commits: bool
    ) -> None:
        name = f"p{id(statements)}_{time.monotonic_ns()}"
        conn.execute("begin")
        for statement in statements:
            conn.execute(statement.encode())
        conn.execute(f"prepare transaction '{name}'".encode())
        time.sleep(pause)
        conn.execute(f"{'commit' if commits else 'rollback'} prepared '{name}'".encode())

    def _define(self, lane: dict[str, Any], statement: str) -> None:
        try:
            with psycopg.connect(self.env["POSTGRES_DSN"], autocommit=True) as conn:
                conn.execute("set lock_timeout = '3s'")
                conn.execute(statement.encode())
            self.counts["definitions changed"] += 1
        except psycopg.Error:
            self.counts["definitions refused"] += 1

    def _restart(self, lane: dict[str, Any], server: str, crash: bool, away: float) -> None:
        self.counts[f"{server}: {'crash' if crash else 'restart'}"] += 1
        self.servers.restart(server, crash=crash, away=away)

    def _end(self, lane: dict[str, Any], process: str, how: str, seconds: float) -> None:
        with self._lock:
            self.workers.end(process, how, seconds)

    def _clock(self, lane: dict[str, Any], seconds: int) -> None:
        self.workers.set_clock(seconds)

    def _messages(self, lane: dict[str, Any], what: str, seconds: float = 0.0) -> None:
        with suppress(Exception):  # the broker is away
            self.workers.send(what, seconds)

    def _configure(
        self, lane: dict[str, Any], table: str | None, change: dict[str, Any], restart: str
    ) -> None:
        with self._lock:
            before = (
                {name: dict(entry) for name, entry in self.entries.items()},
                dict(self.options),
                set(self.removed),
            )
            if table is None:
                _apply(self.options, change)
            elif "removed" in change:
                (self.removed.add if change["removed"] else self.removed.discard)(table)
            else:
                _apply(self.entries[table], change)
            if not self.write_config():
                self.entries, self.options, self.removed = before
                self.counts["configurations refused"] += 1
                return
            self.counts["configurations changed"] += 1
            if restart == "worker":  # the others read the file again by themselves
                self.workers.restart(("worker", "beat"))

    def _request(self, lane: dict[str, Any], table: str, action: str) -> None:
        try:
            ledger = Ledger(Settings.from_env(self.env).ledger, "public")
            ledger.requests.add(table, RequestAction(action), by="stress")
            ledger.close()
        except PgsnowError:
            self.counts["requests refused"] += 1

    def _command(self, lane: dict[str, Any], args: list[str]) -> None:
        running = run_forked(
            "pgsnow", [*args, "-c", str(self.workers.config)],
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **self.env}, cwd=self.folder,
        )  # fmt: skip
        try:
            code = running.wait(COMMAND_SECONDS)
        except TimeoutError:
            self.problems.append(f"pgsnow {' '.join(args)} did not end within {COMMAND_SECONDS} s")
            return
        self.counts[f"pgsnow {args[0]}: exit {code}"] += 1
        out, err = running.output()
        if UNEXPECTED.search(out + err):
            self.problems.append(f"pgsnow {' '.join(args)} ended with {code}: {(out + err)[-1500:]}")

    def _edit(self, lane: dict[str, Any], table: str, statement: str) -> None:
        """In the target, by a person. A table that is dropped has to be noticed; rows that were changed have not, so
        the table is synced again at the end."""
        try:
            with connect(Settings.from_env(self.env).snowflake, query_tag="person") as session:
                session.execute(statement)
            self.counts["targets edited"] += 1
            if not statement.startswith(("DROP", "ALTER")):
                self.edited.add(table)
        except PgsnowError:
            self.counts["target edits refused"] += 1


def _apply(entry: dict[str, Any], change: Mapping[str, Any]) -> None:
    """None takes a key away."""
    for key, value in change.items():
        if value is None:
            entry.pop(key, None)
        else:
            entry[key] = value
        if key == "mode" and value == "watermark":
            entry["watermark_column"] = "at"
