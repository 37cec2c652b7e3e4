"""`pgsnow dev`: up, down, up again, with all data, whatever was killed in between. Real processes throughout."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import snowflake.connector.errors
from dotenv import dotenv_values

from pgsnow.embedded.broker import EmbeddedBroker
from pgsnow.embedded.process import EmbeddedServerFailed, accepts, alive, free_port
from pgsnow.embedded.stack import Stack
from tests.forked import run_forked
from tests.integration.embedded.clients import connect, rows, run
from tests.progress import CEILING, wait_until

SECONDS = CEILING


class Dev:
    """`pgsnow dev` on one directory, as a person runs it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.running: list[subprocess.Popen[str]] = []

    def up(self, *options: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "pgsnow", "dev", "up", "--dir", str(self.directory), *options]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.running.append(process)
        return process

    def up_and_ready(self, *options: str) -> subprocess.Popen[str]:
        process = self.up(*options)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "up: Postgres on port" in line, line + process.stdout.read()
        return process

    def down(self) -> str:
        args = ["dev", "down", "--dir", str(self.directory)]
        running = run_forked("pgsnow", args, env=os.environ, cwd=Path.cwd())
        assert running.wait(SECONDS) == 0
        said, _ = running.output()
        return said

    @property
    def env(self) -> dict[str, str]:
        return {key: value or "" for key, value in dotenv_values(self.directory / ".env").items()}

    def pid(self, server: str) -> int:
        return int((self.directory / f"{server}.pid").read_text())

    def write(self, number: int) -> None:
        with psycopg.connect(self.env["POSTGRES_DSN"], autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS t (i int)")
            connection.execute("INSERT INTO t VALUES (%s)", [number])
        with connect(self.env) as connection:
            run(
                connection,
                "CREATE TABLE IF NOT EXISTS T (I NUMBER(38,0))",
                f"INSERT INTO T VALUES ({number})",
            )

    def read(self) -> tuple[list[int], list[int]]:
        with psycopg.connect(self.env["POSTGRES_DSN"]) as connection:
            source = [row[0] for row in connection.execute("SELECT i FROM t ORDER BY i")]
        with connect(self.env) as connection:
            return source, [row[0] for row in rows(connection, "SELECT I FROM T ORDER BY I")]


@pytest.fixture
def dev() -> Iterator[Dev]:
    with tempfile.TemporaryDirectory(prefix="pgsnow-dev-", ignore_cleanup_errors=True) as name:
        running = Dev(Path(name) / "dir")
        yield running
        running.down()
        for process in running.running:
            process.wait(SECONDS)
            if process.stdout is not None:
                process.stdout.close()


def assert_ends_everything(dev: Dev, process: subprocess.Popen[str], number: signal.Signals) -> None:
    """A signal to the supervisor ends the servers in order."""
    servers = [dev.pid("postgres"), dev.pid("snowflake")]
    process.send_signal(number)
    assert process.wait(SECONDS) == 0
    assert not any(alive(pid) for pid in servers)


def test_data_and_ports_survive_killed_servers_down_and_up_and_ctrl_c_ends_everything(dev: Dev) -> None:
    """The env file is complete and private; a second `up` says that the servers are up already."""
    ports = free_port(), free_port()
    process = dev.up_and_ready("--pg-port", str(ports[0]), "--snowflake-port", str(ports[1]))
    assert_env_is_complete(dev, *ports)
    assert_second_up_says_so(dev)
    before = dev.env
    dev.write(1)
    kill_servers(dev)
    dev.write(2)
    assert "stopped" in dev.down()
    assert process.wait(SECONDS) == 0
    assert not accepts(int(before["SNOWFLAKE_PORT"]))
    process = dev.up_and_ready()
    assert dev.env == before
    assert dev.read() == ([1, 2], [1, 2])
    assert_ends_everything(dev, process, signal.SIGINT)


def assert_env_is_complete(dev: Dev, postgres_port: int, snowflake_port: int) -> None:
    assert set(dev.env) == {
        "POSTGRES_DSN",
        *(
            f"SNOWFLAKE_{name}"
            for name in [
                "ACCOUNT",
                "USER",
                "PASSWORD",
                "WAREHOUSE",
                "DATABASE",
                "SCHEMA",
                "HOST",
                "PORT",
                "PROTOCOL",
            ]
        ),
    }
    assert f":{postgres_port}/" in dev.env["POSTGRES_DSN"]
    assert dev.env["SNOWFLAKE_PORT"] == str(snowflake_port)
    assert stat.S_IMODE((dev.directory / ".env").stat().st_mode) == 0o600


def assert_second_up_says_so(dev: Dev) -> None:
    second = dev.up()
    said, _ = second.communicate(timeout=SECONDS)
    assert second.returncode == 0
    assert "already up" in said
    assert dev.env["SNOWFLAKE_PORT"] in said


def test_down_where_nothing_runs_succeeds(dev: Dev) -> None:
    assert "nothing is running" in dev.down()


def kill_servers(dev: Dev) -> None:
    """They come back with the one row that was written."""
    killed = {name: dev.pid(name) for name in ("postgres", "snowflake")}
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all(dev.pid(name) != pid for name, pid in killed.items()), "other processes")
    wait_until(lambda: reads(dev), "both servers answer")


def reads(dev: Dev) -> bool:
    """Each server answers in its own time; until both do, the connection to either is refused."""
    try:
        return dev.read() == ([1], [1])
    except (psycopg.OperationalError, snowflake.connector.errors.OperationalError):
        return False


def test_after_kill_9_of_the_supervisor_or_of_all_three_up_works_with_all_data(dev: Dev) -> None:
    """And SIGTERM ends everything."""
    process = dev.up_and_ready()
    dev.write(1)
    before = dev.env
    process.kill()
    process.wait()
    process = dev.up_and_ready()
    assert dev.env == before
    assert dev.read() == ([1], [1])
    for pid in (process.pid, dev.pid("postgres"), dev.pid("snowflake")):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    process = dev.up_and_ready()
    assert dev.read() == ([1], [1])
    assert_ends_everything(dev, process, signal.SIGTERM)


def test_detached_it_stays_up_by_itself_until_down(dev: Dev) -> None:
    said, _ = dev.up("--detach").communicate(timeout=SECONDS)
    assert "up: Postgres on port" in said
    dev.write(1)
    assert dev.read() == ([1], [1])
    servers = [dev.pid("postgres"), dev.pid("snowflake")]
    assert "stopped" in dev.down()
    assert not any(alive(pid) for pid in servers)


def test_a_taken_port_is_named_and_nothing_is_left_running(dev: Dev, broker: EmbeddedBroker) -> None:
    stack = Stack(dev.directory, pg_port=broker.port)
    with pytest.raises(EmbeddedServerFailed, match=f"port {broker.port} is in use"):
        stack.up()
    assert not accepts(stack.snowflake.port)
    assert not (dev.directory / ".env").exists()


def test_a_stack_with_a_broker_names_it(dev: Dev) -> None:
    with Stack(dev.directory, broker=True) as stack:
        assert accepts(stack.broker.port)
        assert dev.env == stack.env()
        assert dev.env["CELERY_BROKER_URL"] == stack.broker.url
    assert not accepts(stack.broker.port)
