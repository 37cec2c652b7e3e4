"""Runs the demo: servers, tables, writers, ticks, and the comparison at the end."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from types import FrameType

import psycopg

from pgsnow.config.load import load_config
from pgsnow.embedded.demo.live import Screen, rows_of, screen
from pgsnow.embedded.demo.source import count_rows, create_source
from pgsnow.embedded.demo.verdict import give_verdict
from pgsnow.embedded.demo.workers import Workers
from pgsnow.embedded.demo.writers import APPLICATION, PAUSE_SECONDS, Writers
from pgsnow.embedded.stack import Stack
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.errors import PgsnowError
from pgsnow.model.settings.settings import Settings

REFRESH_SECONDS = 0.5
SETTLE_SECONDS = 120.0
"""Seconds that the last ticks may take without any progress."""
LONGEST_SETTLING = 900.0
"""Seconds that the last ticks may take in all, on any machine."""
INTERRUPTING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class NotSettled(PgsnowError):
    """The last ticks did not bring every table up to date."""


class Interrupted(BaseException):
    """SIGINT or SIGTERM: unwinds the stack so that every process is ended. `signum` says which."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


@dataclass(frozen=True, slots=True)
class DemoStage:
    """Objects of the running demo."""

    config: SyncConfig
    settings: Settings
    ledger: Ledger
    conn: psycopg.Connection[tuple[int]]
    writers: Writers
    workers: Workers
    screen: Screen


def run_demo(*, seconds: float, keep: Path | None, worker_app: str) -> int:
    """Servers, tables, worker, beat and writers for `seconds` seconds, then the comparison.

    worker_app: module of a Celery application that reads CELERY_BROKER_URL and PGSNOW_CONFIG. Returns the
    exit code: 0 equal, 4 not, 130 or 143 after a signal. No process and (without keep) no file is left.
    """
    try:
        with _interruptible() as interruption, _folder(keep) as folder:
            return _run(seconds, folder, keep is not None, worker_app, interruption)
    except Interrupted as end:
        _say("interrupted: everything is stopped")
        return 128 + end.signum


def _run(seconds: float, folder: Path, kept: bool, worker_app: str, interruption: Interruption) -> int:
    _say("starting Postgres, the Snowflake emulator and a broker …")
    began = time.monotonic()
    with Stack(folder, broker=True) as stack:
        interruption.check()
        _say(f"ready after {time.monotonic() - began:.1f} s")
        up_at = time.monotonic()
        config_file = folder / "sync_config.yaml"
        config_file.write_bytes(files(__package__).joinpath("sync_config.yaml").read_bytes())
        env = {**stack.env(), "PGSNOW_CONFIG": str(config_file)}
        with Workers(worker_app, env, folder) as workers:
            settings, config = Settings.from_env(env), load_config(config_file)
            dsn = settings.source.conninfo()
            create_source(dsn)
            with _stage(config, settings, workers, dsn) as stage:
                interruption.check()
                _show_live(stage, seconds, up_at)
                _settle(stage)
        equal = give_verdict(config, settings)
        if kept:
            _say(_how_to_look(folder))
        return 0 if equal else 4


@contextlib.contextmanager
def _stage(config: SyncConfig, settings: Settings, workers: Workers, dsn: str) -> Iterator[DemoStage]:
    ledger = Ledger(settings.ledger, config.ledger_schema)
    writers = Writers(dsn)
    try:
        ledger.migrate()
        writers.start()
        with psycopg.connect(dsn, autocommit=True) as conn, screen() as shown:
            yield DemoStage(config, settings, ledger, conn, writers, workers, shown)
    finally:
        with contextlib.suppress(Exception):  # its failure was raised by _settle, or a signal goes before it
            writers.stop()
        ledger.close()


def _show_live(stage: DemoStage, seconds: float, up_at: float) -> None:
    end = time.monotonic() + seconds
    first_tick: float | None = None
    while (left := end - time.monotonic()) > 0:
        stage.workers.check()
        stage.writers.check()
        if first_tick is None and stage.ledger.run_log.logs(limit=1):
            first_tick = time.monotonic() - up_at
        tick = "" if first_tick is None else f", first tick after {first_tick:.1f} s"
        title = f"writing for {left:.0f} s more, {stage.writers.transactions} transactions{tick}"
        _show(stage, title)
        time.sleep(min(REFRESH_SECONDS, left))


def _settle(stage: DemoStage) -> None:
    """Stop the writers, and wait for a successful run of every table that started after their last commit."""
    stage.writers.stop()
    _wait_for_counters(stage)
    stopped_at = datetime.now(UTC)  # the ledger is on this machine: one clock
    began = moved_at = time.monotonic()
    progress: object = None
    while waiting := _not_run_since(stage, stopped_at):
        stage.workers.check()
        _show(stage, f"writers stopped after {stage.writers.transactions} transactions, last ticks")
        now = time.monotonic()
        if (seen := _progress(stage)) != progress:
            progress, moved_at = seen, now
        if now > min(moved_at + SETTLE_SECONDS, began + LONGEST_SETTLING):
            raise NotSettled(f"no successful run of {', '.join(sorted(waiting))} within {now - began:.0f} s")
        time.sleep(REFRESH_SECONDS)


def _wait_for_counters(stage: DemoStage) -> None:
    """Wait until the writers' sessions have ended: then Postgres has counted all rows that they deleted."""
    query = "select count(*) from pg_stat_activity where application_name = %s"
    while (row := stage.conn.execute(query, (APPLICATION,)).fetchone()) is not None and row[0]:
        time.sleep(PAUSE_SECONDS)


def _progress(stage: DemoStage) -> object:
    """A value that changes whenever a run begins, loads something or ends."""
    return [
        (mark.last_run, mark.last_status, mark.lease_holder, mark.rows_processed, mark.chunks_done)
        for mark in stage.ledger.run_log.watermarks()
    ]


def _not_run_since(stage: DemoStage, moment: datetime) -> set[str]:
    """Tables without a successful run that started later."""
    marks = stage.ledger.run_log.watermarks()
    done = {mark.source_table for mark in marks if mark.last_success and mark.last_success > moment}
    return {table.name for table in stage.config.enabled} - done


def _show(stage: DemoStage, title: str) -> None:
    stage.screen(rows_of(stage.config, stage.ledger, count_rows(stage.conn)), title)


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="pgsnow-demo-"))
    folder.chmod(0o711)  # as root, Postgres runs as another user, who must pass through
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Interruption:
    """Signal handler that raises Interrupted. Python drops the exception in some places (a callback at a
    fork), so `check` raises it again."""

    def __init__(self) -> None:
        self.signum: int | None = None

    def received(self, number: int, _frame: FrameType | None) -> None:
        for each in INTERRUPTING:
            signal.signal(each, signal.SIG_IGN)
        self.signum = number
        raise Interrupted(number)

    def dropped(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Print no message for a dropped Interrupted, which `check` raises again."""
        if unraisable.exc_type is not Interrupted:
            sys.__unraisablehook__(unraisable)

    def check(self) -> None:
        if self.signum is not None:
            raise Interrupted(self.signum)


@contextlib.contextmanager
def _interruptible() -> Iterator[Interruption]:
    """Let signals raise Interrupted, once: a second signal must not interrupt the shutdown of the servers."""
    before = {number: signal.getsignal(number) for number in INTERRUPTING}
    interruption = Interruption()
    for number in INTERRUPTING:
        signal.signal(number, interruption.received)
    sys.unraisablehook = interruption.dropped
    try:
        yield interruption
    finally:
        sys.unraisablehook = sys.__unraisablehook__
        for number, handler in before.items():
            signal.signal(number, handler)


def _how_to_look(folder: Path) -> str:
    return files(__package__).joinpath("how_to_look.txt").read_text().replace("DIR", str(folder))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
