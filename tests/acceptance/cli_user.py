"""A person at a shell: runs `pgsnow` as a process of its own, and reads what it says."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
import pytest
import yaml

from pgsnow.embedded.postgres import EmbeddedPostgres
from tests.forked import run_forked
from tests.progress import CEILING
from tests.servers import own_database
from tests.world import NO_SNOWFLAKE

SECRET = "pg-s3cr3t-w0rd"
"""The password in this user's POSTGRES_DSN. The server trusts every login, so it has no effect; it must still not
be seen."""
LOGGERS = ("pgsnow", "snowflake.connector")
"""Loggers that a command silences for the rest of its process."""
USERS = """
create table public.users (
    id bigint primary key, name text, balance numeric(12,2), profile jsonb,
    updated_at timestamptz not null default now()
);
create index on public.users (updated_at);
insert into public.users select n, 'name ' || n, n / 4.0, jsonb_build_object('n', n) from generate_series(1, 1000) n;
"""
CHECKINS = """
create table public.checkins (
    id uuid primary key default gen_random_uuid(), user_id bigint, last_modified timestamptz not null default now()
);
create index on public.checkins (last_modified);
insert into public.checkins (user_id) select n from generate_series(1, 500) n;
"""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class User:
    """Has a folder with a table list, a source with users and checkins (a copy of one of the templates below), and an
    empty database in Snowflake."""

    def __init__(self, folder: Path, dsn: str, snowflake: Mapping[str, str]) -> None:
        self.folder = folder
        self.snowflake = dict(snowflake)
        self.dsn = dsn.replace("postgres@", f"postgres:{SECRET}@", 1)
        keep = ("PATH", "HOME", "LANG", "TMPDIR", "PG_BIN", "SSL_CERT_FILE", "VIRTUAL_ENV", "PYTHONPATH")
        base = {name: os.environ[name] for name in keep if name in os.environ}
        self.env = {
            **base,
            "POSTGRES_DSN": self.dsn,
            **self.snowflake,
            "CELERY_BROKER_URL": f"redis://:{SECRET}@127.0.0.1",
        }
        self.tables: list[dict[str, Any]] = [
            {
                "source": f"public.{name}",
                "target": f"analytics.{name}",
                "pk": "id",
                "watermark_column": watermark,
            }
            for name, watermark in (("users", "updated_at"), ("checkins", "last_modified"))
        ]
        self.options: dict[str, Any] = {}
        self.source = psycopg.connect(dsn, autocommit=True)

    @property
    def config(self) -> Path:
        return self.folder / "sync_config.yaml"

    def save(self, text: str | None = None) -> None:
        """Write the table list, or this text in its place."""
        self.config.write_text(
            text if text is not None else yaml.safe_dump({**self.options, "tables": self.tables})
        )

    def pgsnow(self, *args: str, **env: str) -> Done:
        """Run a command to its end, in the folder. No secret may be seen, and no traceback."""
        running = run_forked("pgsnow", args, env={**self.env, **env}, cwd=self.folder)
        code = running.wait()
        return seen(Done(code, *running.output()))

    def here(self, *args: str, **env: str) -> Done:
        """Run a command in this process, without a start; for tests that need neither signals nor a
        terminal."""
        from pgsnow.cli.entry import run

        out, err, levels = (
            io.StringIO(),
            io.StringIO(),
            {name: logging.getLogger(name).level for name in LOGGERS},
        )
        with (
            mock.patch.dict(os.environ, {**self.env, **env}, clear=True),
            mock.patch.object(sys, "stdin", io.StringIO()),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = run(args)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        return seen(Done(code, out.getvalue(), err.getvalue()))

    def start(self, *args: str, **env: str) -> subprocess.Popen[str]:
        """Start a command in a session of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "pgsnow", *args],
            cwd=self.folder,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run it at the source."""
        cursor = self.source.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Run it in Snowflake."""
        from pgsnow.model.settings.settings import Settings
        from pgsnow.snowflake.session import connect

        with connect(Settings.from_env(self.env).snowflake, query_tag="test") as session:
            return list(session.execute(statement).rows)

    def close(self) -> None:
        self.source.close()


@pytest.fixture(scope="session")
def source_template(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The name of a database with users and checkins and no ledger, to make others from."""
    with own_database(postgres) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(USERS.encode())
            connection.execute(CHECKINS.encode())
        yield dsn.rpartition("/")[2]


@pytest.fixture(scope="session")
def user_template(postgres: EmbeddedPostgres, source_template: str) -> Iterator[str]:
    """The name of a database with users, checkins and a ledger that nobody has used yet, to make others from."""
    from pgsnow.ledger.ledger import Ledger
    from pgsnow.model.settings.settings import Settings

    with own_database(postgres, source_template) as dsn:
        ledger = Ledger(Settings.from_env({"POSTGRES_DSN": dsn, **NO_SNOWFLAKE}).ledger, "public")
        ledger.migrate()
        ledger.close()
        yield dsn.rpartition("/")[2]


def seen(done: Done) -> Done:
    """Assertions that hold for every command."""
    for text in (done.out, done.err):
        assert SECRET not in text
        assert "Traceback" not in text, text
    return done


def ended(process: subprocess.Popen[str], timeout: float = CEILING) -> Done:
    """Wait for a started command."""
    out, err = process.communicate(timeout=timeout)
    return seen(Done(process.returncode, out, err))


def interrupt(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> None:
    """As Ctrl-C does."""
    process.send_signal(number)
