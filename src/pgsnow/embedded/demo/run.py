"""Runs the demo: servers, tables, writers, ticks, and the comparison at the end."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import psycopg

from pgsnow.config.load import load_config
from pgsnow.embedded.demo.interruption import Interrupted, Interruption, interruptible
from pgsnow.embedded.demo.live import Screen, rows_of, screen
from pgsnow.embedded.demo.next_steps import next_steps
from pgsnow.embedded.demo.page import PageServer
from pgsnow.embedded.demo.source import count_rows, create_source
from pgsnow.embedded.demo.usual_query import Missed, UsualQuery
from pgsnow.embedded.demo.verdict import give_verdict, usual_query_lines
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


class NotSettled(PgsnowError):
    """The last ticks did not bring every table up to date."""


@dataclass(frozen=True, slots=True)
class DemoStage:
    """Objects of the running demo."""

    config: SyncConfig
    settings: Settings
    ledger: Ledger
    conn: psycopg.Connection[tuple[int]]
    writers: Writers
    usual: UsualQuery
    workers: Workers
    page: PageServer
    screen: Screen


def run_demo(*, seconds: float, keep: Path | None, worker_app: str, page_command: Sequence[str]) -> int:
    """Servers, tables, worker, beat and writers for `seconds` seconds, then the comparison.

    worker_app: module of a Celery application that reads CELERY_BROKER_URL and PGSNOW_CONFIG. page_command: arguments
    of Python that serve the status page of PGSNOW_CONFIG; `--port N` is added. Returns the exit code: 0 equal, 4 not,
    130 or 143 after a signal. No process and (without keep) no file is left.
    """
    try:
        with interruptible() as interruption, _folder(keep) as folder:
            code = _run(seconds, folder, worker_app, page_command, interruption)
        _say(next_steps(keep))
        return code
    except Interrupted as end:
        _say("interrupted: everything is stopped")
        return 128 + end.signum


def _run(
    seconds: float, folder: Path, worker_app: str, page_command: Sequence[str], interruption: Interruption
) -> int:
    _say("starting Postgres, the Snowflake emulator and a broker …")
    began = time.monotonic()
    with Stack(folder, broker=True) as stack:
        interruption.check()
        _say(f"ready after {time.monotonic() - began:.1f} s")
        up_at = time.monotonic()
        config_file = folder / "sync_config.yaml"
        config_file.write_bytes(files(__package__).joinpath("sync_config.yaml").read_bytes())
        env = {**stack.env(), "PGSNOW_CONFIG": str(config_file)}
        settings, config = Settings.from_env(env), load_config(config_file)
        with Workers(worker_app, env, folder) as workers, PageServer(page_command, env, folder) as page:
            dsn = settings.source.conninfo()
            create_source(dsn)
            with _stage(config, settings, workers, page, dsn) as stage:
                interruption.check()
                _show_live(stage, seconds, up_at)
                _settle(stage)
                missed = _missed(stage)
            served = page.url if page.answers else None
        equal = give_verdict(config, settings, missed)
        if missed is not None:
            _say("\n".join(usual_query_lines(missed, seconds, config.sync_interval_seconds)))
        if served:
            _say(f"status page: it was at {served} while the demo ran")
        return 0 if equal else 4


def _missed(stage: DemoStage) -> Mapping[str, Missed] | None:
    """Rows that the usual query has wrong now; None if it could not be measured."""
    try:
        missed = stage.usual.missed()
    except psycopg.Error as error:
        stage.usual.error = error
    if stage.usual.error is None:
        return missed
    _say(f"the usual query was not measured: {type(stage.usual.error).__name__}")
    return None


@contextlib.contextmanager
def _stage(
    config: SyncConfig, settings: Settings, workers: Workers, page: PageServer, dsn: str
) -> Iterator[DemoStage]:
    ledger = Ledger(settings.ledger, config.ledger_schema)
    writers, usual = Writers(dsn), UsualQuery(dsn, config.tables, config.sync_interval_seconds)
    try:
        ledger.migrate()
        usual.start()
        writers.start()
        with psycopg.connect(dsn, autocommit=True) as conn, screen() as shown:
            yield DemoStage(config, settings, ledger, conn, writers, usual, workers, page, shown)
    finally:
        usual.stop()
        with contextlib.suppress(Exception):  # its failure was raised by _settle, or a signal goes before it
            writers.stop()
        ledger.close()


def _show_live(stage: DemoStage, seconds: float, up_at: float) -> None:
    end = time.monotonic() + seconds
    began_at = datetime.now(UTC)  # the ledger is on this machine: one clock
    first_tick: float | None = None
    while (left := end - time.monotonic()) > 0:
        stage.workers.check()
        stage.writers.check()
        if first_tick is None and _has_ticked(stage, began_at):
            first_tick = time.monotonic() - up_at
        tick = "" if first_tick is None else f", first tick after {first_tick:.1f} s"
        title = f"writing for {left:.0f} s more, {stage.writers.transactions} transactions{tick}"
        _show(stage, title)
        time.sleep(min(REFRESH_SECONDS, left))


def _has_ticked(stage: DemoStage, since: datetime) -> bool:
    """True once a run has ended that began later; an earlier demo in the same folder has left others."""
    return any(log["started_at"] > since for log in stage.ledger.run_log.logs(limit=1))


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
    if line := stage.page.news():
        stage.screen.say(line)
    stage.screen.show(rows_of(stage.config, stage.ledger, count_rows(stage.conn)), title)


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


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
