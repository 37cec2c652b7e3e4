"""`pgsnow demo`, from the first server to the verdict, and every way to cut it short."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.cli_user import Done, seen
from tests.forked import run_forked
from tests.progress import CEILING, exit_code, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")
LONG = "3600"
"""Seconds of writing that a demo is not going to reach: it is cut short."""


class Demo:
    """One demo in a process of its own. Every process that descends from it carries a mark in its
    environment."""

    def __init__(self, folder: Path, *args: str) -> None:
        self.mark = f"PGSNOW_TEST_MARK={secrets.token_hex(8)}"
        name, _, value = self.mark.partition("=")
        self.known: set[tuple[int, str]] = set()
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.log = folder / "demo.out"
        env = {**os.environ, name: value, "TMPDIR": str(self.temporary), "PYTHONUNBUFFERED": "1"}
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pgsnow", "demo", *args],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                env=env,
                start_new_session=True,
            )

    @property
    def out(self) -> str:
        return self.log.read_text()

    def end(self) -> Done:
        code = exit_code(self.process)
        assert "Traceback" not in self.out, self.out
        return Done(code, self.out, "")

    def says(self, text: str) -> None:
        def said() -> bool:
            ended = self.process.poll() is not None
            assert text in self.out or not ended, self.out
            return text in self.out

        wait_until(said, lambda: f"{text!r} is not in {self.out}", progress=lambda: self.out)

    def descendants(self) -> list[str]:
        """Command lines of every process that this demo started and that is alive, the demo itself left out.

        Those seen below it in an earlier call count, whoever is their parent now, and so does whatever
        carries the mark. (Postgres writes its title over its environment.)
        """
        running = processes()
        below = {self.process.pid}
        while more := {pid for pid, found in running.items() if found.parent in below} - below:
            below |= more
        self.known |= {(pid, running[pid].born) for pid in below if pid in running}
        return [
            found.command
            for pid, found in running.items()
            if pid != self.process.pid and ((pid, found.born) in self.known or self.mark in found.environment)
        ]


@dataclass(frozen=True)
class Process:
    """A process as described in /proc."""

    parent: int
    born: str
    command: str
    environment: str


def processes() -> dict[int, Process]:
    """Every process that is not a zombie."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            environment = (entry / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if fields[0] != "Z":
            found[int(entry.name)] = Process(int(fields[1]), fields[19], command, environment)
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def one(*args: str) -> Demo:
        started.append(Demo(tmp_path, *args))
        return started[-1]

    yield one
    for demo in started:
        if demo.process.poll() is None:
            demo.process.terminate()
            demo.process.wait(CEILING)


def test_killed_while_writing_it_leaves_no_process_behind(start: Callable[..., Demo]) -> None:
    demo = start("--for", LONG)
    demo.says("first tick after")
    assert demo.descendants()
    demo.process.send_signal(signal.SIGKILL)
    assert demo.end().code == -signal.SIGKILL
    wait_until(lambda: demo.descendants() == [], "every process has ended")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.thorough)]
)
def test_cut_short_while_servers_start_it_leaves_no_process_and_no_file_behind(
    start: Callable[..., Demo], number: signal.Signals, code: int
) -> None:
    demo = start("--for", LONG)
    wait_until(lambda: bool(demo.descendants()), "the first server is there")
    demo.process.send_signal(number)
    assert demo.end().code == code
    wait_until(lambda: demo.descendants() == [], "every process has ended")
    assert list(demo.temporary.glob("pgsnow-demo-*")) == []


def test_the_demo_ends_equal_leaves_no_process_and_what_it_keeps_can_be_looked_at(
    start: Callable[..., Demo], tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    demo = start("--for", "10", "--keep", str(folder))
    demo.says("transactions")
    kinds = " ".join(demo.descendants())
    for part in ("postgres", "pgsnow.embedded.snowflake", "valkey", "worker", "beat", "serve"):
        assert part in kinds, kinds
    done = demo.end()
    assert done.code == 0, done.out
    assert "public.users" in done.out
    assert "public.checkins" in done.out
    assert "verdict: EQUAL" in done.out
    assert "the usual query" in done.out
    assert done.out.splitlines()[-1].endswith(f"serve --config {folder}/sync_config.yaml")
    assert demo.descendants() == []
    assert list(demo.temporary.glob("pgsnow-demo-*")) == []
    assert f"pgsnow dev up --dir {folder} --detach" in done.out
    assert pgsnow("dev", "up", "--dir", str(folder), "--detach").code == 0
    try:
        config = folder / "sync_config.yaml"
        assert pgsnow("verify", "--config", str(config)).code == 0
        assert "public.users" in pgsnow("status", "--config", str(config)).out
        one_changed_value_makes_the_verdict_different(config)
    finally:
        assert pgsnow("dev", "down", "--dir", str(folder)).code == 0


def pgsnow(*args: str) -> Done:
    running = run_forked("pgsnow", args, env=os.environ, cwd=Path.cwd())
    code = running.wait()
    return seen(Done(code, *running.output()))


def one_changed_value_makes_the_verdict_different(config: Path) -> None:
    """The demo's comparison can fail: one value is changed behind the sync's back."""
    from pgsnow.config.load import load_config, load_settings
    from pgsnow.embedded.demo.verdict import give_verdict
    from pgsnow.snowflake.session import connect

    settings = load_settings(env_file=config.parent / ".env")
    assert give_verdict(load_config(config), settings)
    with connect(settings.snowflake, query_tag="test") as session:
        session.execute("UPDATE ANALYTICS.USERS SET NAME = 'changed' WHERE ID = 17")
    assert not give_verdict(load_config(config), settings)
