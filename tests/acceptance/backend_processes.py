"""The backend's workers and beats as processes of their own, started as its operators start them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from celery import Celery

from pgsnow.model.errors import TargetMissing
from tests.progress import CEILING, wait_until
from tests.world import World

BACKEND = Path(__file__).parents[2] / "backend"
FROM_OUTSIDE = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
LOOK_SECONDS = 0.5
"""Between two looks at the target: each takes time from the workers that are watched."""


@dataclass(frozen=True)
class Run:
    """One row of sync_logs; times are seconds since 1970. `granted` is the ledger's own time of the lease:
    fences are its microseconds."""

    table: str
    status: str
    granted: float
    start: float
    end: float
    error: str | None


class Process:
    """One `celery` command in a session of its own, its output in a file."""

    def __init__(self, args: list[str], env: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("w") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "worker.celery_app", *args],
                cwd=BACKEND, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log entries of the sync with this name: a JSON object a line, on stdout."""
        lines = [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def say(self, text: str) -> None:
        """Wait until it has written this. Fails, with all it has written, when it does not."""
        wait_until(lambda: text in self.output or self._process.poll() is not None, lambda: self.output)
        assert text in self.output, self.output

    def terminate(self) -> None:
        self._process.terminate()

    def wait(self, seconds: float = CEILING) -> int:
        return self._process.wait(seconds)

    def end(self) -> None:
        """It and all its children, at once."""
        if self._process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


class Backend:
    """The backend over one World: its tables, its environment, its processes. A context manager that ends
    them."""

    def __init__(self, world: World, broker_url: str) -> None:
        self.world = world
        self._broker_url = broker_url
        self._processes: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self._processes):
            process.end()

    @property
    def env(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            # Transforms of a test are beside its sync_config.yaml.
            "PYTHONPATH": os.pathsep.join([str(self.world.folder), *FROM_OUTSIDE]),
            "CELERY_BROKER_URL": self._broker_url,
            "SYNC_CONFIG": str(self.world.folder / "sync_config.yaml"),
            **self.world.env,
        }

    def worker(self, *options: str, pool: str = "prefork", ready: bool = True) -> Process:
        name = f"worker{len(self._processes)}"
        args = [
            "worker",
            "-n",
            name,
            "-l",
            "INFO",
            "-P",
            pool,
            "-c",
            "2",
            "--without-mingle",
            "--without-gossip",
        ]
        process = self._start([*args, *options], name)
        if ready:
            process.say("ready.")
        return process

    def beat(self) -> Process:
        name = f"beat{len(self._processes)}"
        return self._start(["beat", "-l", "INFO", "-s", str(self.world.folder / name)], name)

    def send(self) -> None:
        """One tick now, without beat."""
        with Celery(broker=self._broker_url) as client:
            client.send_task("worker.sync.sync_postgres_to_snowflake")

    def runs(self) -> list[Run]:
        """Each run in sync_logs, oldest first, without the chunks that other workers loaded for it."""
        if not self.world.sql("select to_regclass('sync_logs') is not null")[0][0]:
            return []
        found = self.world.sql(
            "select source_table, status, fence / 1e6, extract(epoch from started_at)::float8,"
            " extract(epoch from ended_at)::float8, error from sync_logs"
            " where not exists (select from unnest(events) e where e like 'chunk % of a backfill')"
            " order by started_at"
        )
        return [Run(*row) for row in found]

    def until(self, promise: Callable[[], object]) -> None:
        """Wait until `promise()` holds; fails with the end of every log when it does not."""
        wait_until(promise, self._logs, pause=LOOK_SECONDS)

    def _logs(self) -> str:
        return "\n".join(f"--- {p.log.name}\n{p.output[-4000:]}" for p in self._processes)

    def target_count(self, table: str = "USERS") -> int:
        """Rows in the target; 0 while it is not there yet."""
        try:
            return int(self.world.snowflake(f'SELECT count(*) FROM "ANALYTICS"."{table}"')[0][0])
        except TargetMissing:
            return 0

    def _start(self, args: list[str], name: str) -> Process:
        (self.world.folder / "sync_config.yaml").write_text(
            json.dumps({**self.world.options, "tables": self.world.tables})
        )
        process = Process(args, self.env, self.world.folder / f"{name}.log")
        self._processes.append(process)
        return process
