"""`pgsnow logs`: the history of runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pgsnow.cli.invocation import Invocation, or_nothing
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output, Wide
from pgsnow.cli.output.layout import Role
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.report import STATUS_STYLES, write_totals
from pgsnow.cli.output.screen import Shown, ShownTable, write_records
from pgsnow.ledger.errors import unless_missing
from pgsnow.model.report import Status

if TYPE_CHECKING:
    from pgsnow.ledger.history.rows import RecentRun, RunRow
    from pgsnow.ledger.ledger import Ledger

COLUMNS = (
    Shown("started (UTC)"),
    Shown("table", role=Role.NAME),
    Shown("status", {str(k): v for k, v in STATUS_STYLES.items()}),
    Shown("inserted", right=True),
    Shown("updated", right=True),
    Shown("deleted", right=True),
    Shown("rejected", right=True, role=Role.EXTRA),
    Shown("seconds", right=True),
    Shown("by", role=Role.EXTRA),
    Shown("run", role=Role.EXTRA),
    Shown("note", role=Role.TEXT),
)
PAGE = 200
"""Runs that are read at once in search of one tick."""


class RunStatus(StrEnum):
    """Status of a run in sync_logs."""

    OK = Status.OK
    IDLE = Status.IDLE
    PARTIAL = Status.PARTIAL
    ERROR = Status.ERROR
    LOCKED = Status.LOCKED
    STOPPED = Status.STOPPED
    APPLIED = Status.APPLIED


@dataclass(frozen=True, slots=True)
class RunChoice:
    """Which runs are shown; None stands for any. idle: with the runs that found nothing new."""

    table: str | None = None
    status: str | None = None
    run_id: str | None = None
    idle: bool = True

    def admits(self, run: RunRow | RecentRun, table: str | None = None) -> bool:
        """True for a run of `table` (None: of a table that was asked for) that matches."""
        return (
            (table is None or self.table in (None, table))
            and self.status in (None, run.status)
            and self.run_id in (None, run.run_id)
            and (self.idle or run.status != Status.IDLE)
        )


def logs(
    table: Annotated[
        str | None,
        typer.Argument(metavar="[TABLE]", help="Only runs of this table (name, source or target)."),
    ] = None,
    status: Annotated[
        RunStatus | None, typer.Option("--status", help="Only runs that ended like this.")
    ] = None,
    run_id: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="Only runs of the tick with this id.")
    ] = None,
    changes: Annotated[
        bool, typer.Option("--changes", help="Leave out runs that found nothing new.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most this many, the newest.")] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show further runs as they end, until Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option("--every", min=0.2, metavar="SECONDS", help="Interval of --follow.")
    ] = 2.0,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    wide: Wide = False,
    debug: Debug = False,
) -> None:
    """Show past runs, the newest last. Reads only the ledger."""
    quiet_log(debug=debug)
    if follow and output is Format.JSON:
        raise typer.BadParameter("--follow has no end: use --output jsonl", param_hint="--output")
    sync_config, ledger = Invocation(config, env_file, output).ledger()
    name = sync_config.select([table])[0].name if table else None
    choice = RunChoice(name, None if status is None else status.value, run_id, idle=not changes)
    try:
        recent = _recent(ledger) if follow else {}
        runs = or_nothing(lambda: newest(ledger, choice, limit))
        _write(runs, output, wide=wide)
        if not follow:
            write_totals(output, [run.status for run in runs], list(Status), noun="run")
        while follow:
            time.sleep(every)
            before, recent = recent, _recent(ledger)
            _write(new_runs(ledger, choice, before, recent), output, wide=wide, is_first=False)
    finally:
        ledger.close()


def newest(ledger: Ledger, choice: RunChoice, limit: int) -> list[RunRow]:
    """The newest runs that match, oldest first."""
    found: list[RunRow] = []
    before = None
    size = limit if choice.run_id is None else PAGE
    while len(found) < limit:
        page = ledger.history.runs(
            table=choice.table, status=choice.status, idle=choice.idle, before=before, limit=size
        )
        found.extend(run for run in page if choice.admits(run))
        if len(page) < size:
            break
        before = page[-1].cursor
    return found[:limit][::-1]


def _recent(ledger: Ledger) -> dict[str, tuple[RecentRun, ...]]:
    """The newest runs of each table, newest first."""
    none: dict[str, tuple[RecentRun, ...]] = {}
    return unless_missing(ledger.history.recent, none)


def new_runs(
    ledger: Ledger,
    choice: RunChoice,
    before: Mapping[str, Sequence[RecentRun]],
    after: Mapping[str, Sequence[RecentRun]],
) -> list[RunRow]:
    """The matching runs that ended between two looks at the newest runs, oldest first. A run is recorded at its end, so
    a long one may have begun before many that were shown already."""
    found: list[RunRow] = []
    for table, runs in after.items():
        known = {run.run_id for run in before.get(table, ())}
        for run in runs:
            if run.run_id not in known and choice.admits(run, table):
                whole = ledger.history.run(run.run_id, table)
                found.extend([whole] if whole else [])
    return sorted(found, key=lambda run: (run.ended_at, run.source_table))


def _write(runs: Sequence[RunRow], output: Format, *, wide: bool, is_first: bool = True) -> None:
    empty = "no runs" if is_first else ""
    shown = runs_table(runs, wide=wide, has_heading=is_first)
    write_records(output, [record_of(run) for run in runs], shown, empty=empty)


def record_of(run: RunRow) -> dict[str, Any]:
    """The JSON form: the columns of sync_logs."""
    record = asdict(run)
    record["table"] = record.pop("source_table")
    record["target"] = record.pop("target_table")
    return record


def runs_table(runs: Sequence[RunRow], *, wide: bool = False, has_heading: bool = True) -> ShownTable:
    rows = [
        (
            f"{_utc(run.started_at):%m-%d %H:%M:%S}",
            run.source_table,
            run.status,
            run.rows_inserted,
            run.rows_updated,
            run.rows_deleted,
            run.rows_rejected,
            f"{run.seconds:.1f}",
            run.requested_by if run.requested_by != "schedule" else None,
            run.run_id,
            _note(run),
        )
        for run in runs
    ]
    return ShownTable(COLUMNS, rows, wide, has_heading)


def _note(run: RunRow) -> str:
    """The first line of the error, or why everything was read, and the events."""
    if run.error:
        return run.error.splitlines()[0]
    notes = [f"full read: {run.full_read}"] if run.full_read else []
    return "; ".join([*notes, *(event for event in run.events if event != run.full_read)])


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
