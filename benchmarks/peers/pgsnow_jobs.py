"""pgsnow itself, as a worker that has already run a tick, and as a command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from benchmarks.peers.contestant import SECONDS, Done, Job, Setup, command, usual_env
from benchmarks.process_tree import CommandFailed, Peak, Spent
from pgsnow import __version__

TABLES = """
tables:
  - source: public.users
    target: pgsnow.users
    pk: id
    watermark_column: updated_at
"""
WARMING = """
  - source: public.warming
    target: pgsnow.warming
    pk: id
    watermark_column: updated_at
"""


class Cold:
    """`pgsnow run`: interpreter, imports and connections each time."""

    name = "pgsnow, cold command"
    packages: tuple[str, ...] = ()
    folder = ""
    most_rows = 0
    target = "PGSNOW.USERS"

    def open(self, place: Setup) -> AbstractContextManager[Job]:
        (place.folder / "sync_config.yaml").write_text(TABLES)
        return command([sys.executable, "-m", "pgsnow", "run", "--quiet"], place.pgsnow_env(), place)

    def version(self, _venvs: Path) -> str:
        return __version__


class Warm:
    """An Engine in a process that has synced another table before, like a Celery worker."""

    name = "pgsnow, warm worker"
    packages: tuple[str, ...] = ()
    folder = ""
    most_rows = 0
    target = "PGSNOW.USERS"

    def version(self, _venvs: Path) -> str:
        return __version__

    @contextmanager
    def open(self, place: Setup) -> Iterator[Job]:
        config = place.folder / "sync_config.yaml"
        config.write_text(TABLES + WARMING)
        argv = [sys.executable, "-m", "benchmarks.peers.warm_worker", str(config)]
        log = place.folder / "output.log"
        with (
            log.open("ab") as errors,
            subprocess.Popen(
                argv,
                env={**usual_env(), **place.pgsnow_env()},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            ) as worker,
        ):
            try:
                _answer(worker, log)  # it has ticked
                yield lambda: _tick(worker, log)
            finally:
                worker.kill()


def _tick(worker: subprocess.Popen[str], log: Path) -> Done:
    assert worker.stdin is not None
    with Peak(worker.pid) as peak:
        worker.stdin.write("tick\n")
        worker.stdin.flush()
        told = _answer(worker, log)
    return Done(Spent(told.pop("wall"), told.pop("cpu"), peak.mb), told)


def _answer(worker: subprocess.Popen[str], log: Path) -> dict[str, float]:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise CommandFailed(f"the worker ended (waited up to {SECONDS:.0f} s): {log.read_text()[-400:]}")
    told: dict[str, float] = json.loads(line)
    return told
