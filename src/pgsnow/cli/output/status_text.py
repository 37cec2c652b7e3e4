"""Text of `pgsnow status`: the word for the whole with its reason, the tables, notes, totals."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from pgsnow.cli.options import Format
from pgsnow.cli.output.layout import Role, wrapped
from pgsnow.cli.output.report import totals, write_totals
from pgsnow.cli.output.screen import Shown, ShownTable, say, stdout, table_of, write_records
from pgsnow.model.duration import approximate_duration
from pgsnow.model.sentences import counted
from pgsnow.operations.status.budget import BudgetState
from pgsnow.operations.status.log import LogHealth, log_line
from pgsnow.operations.status.summary import ALARMS
from pgsnow.operations.status.table_state import HealthState

STATE_STYLES = {
    HealthState.SYNCED: "green",
    HealthState.IDLE: "dim green",
    HealthState.RUNNING: "cyan",
    HealthState.PARTIAL: "yellow",
    HealthState.UNVERIFIED: "bold yellow",
    HealthState.DIFFERENT: "bold red",
    HealthState.FAILED: "bold red",
    HealthState.STUCK: "bold white on red",
    HealthState.NEVER: "dim",
    HealthState.PAUSED: "dim",
    HealthState.OFF: "dim",
}
SHOWN_STATES = {HealthState.PARTIAL: "rows-rejected"}
"""Text of a state in the table where it differs from its value, which stays for programs."""
SHOWN_ORDER = tuple(SHOWN_STATES.get(state, str(state)) for state in HealthState)
"""Order of the states in the totals."""
WORST_FIRST = tuple(dict.fromkeys((*ALARMS, HealthState.RUNNING, *HealthState)))
COLUMNS = (
    Shown("table", role=Role.NAME),
    Shown("state", {SHOWN_STATES.get(k, str(k)): v for k, v in STATE_STYLES.items()}),
    Shown("lag", right=True),
    Shown("last success", right=True),
    Shown("rows last run", right=True),
    Shown("rejected", right=True, role=Role.EXTRA),
    Shown("lease", role=Role.EXTRA),
    Shown("why", role=Role.TEXT),
)


WORD_STYLES = {
    "fresh": "bold green",
    "behind": "bold yellow",
    "starting": "bold cyan",
    "empty": "bold",
    "failing": "bold red",
    "stopped": "bold white on red",
    "unknown": "bold white on red",
}


@dataclass(frozen=True, slots=True)
class StatusView:
    """The states at `now`, one record a table. word, reason, advice: the state of the whole; "" if only some tables
    were asked for. budget: today's, if one is configured. log: if tables are read from it."""

    records: Sequence[dict[str, Any]]
    now: datetime
    word: str = ""
    reason: str = ""
    advice: str = ""
    budget: BudgetState | None = None
    log: LogHealth | None = None

    def headline(self, width: int | None) -> list[Text]:
        """`failing: public.orders stopped …`, then the next step."""
        if not self.word:
            return []
        texts = [(f"{self.word}: {self.reason}", "")] + [(self.advice, "  → ")] * bool(self.advice)
        lines = [
            Text(line)
            for text, begin in texts
            for line in (wrapped(text, width, begin, " " * len(begin) or "  ") if width else [begin + text])
        ]
        lines[0].stylize(WORD_STYLES.get(self.word, "bold"), 0, len(self.word))
        return lines


def states_table(records: Sequence[dict[str, Any]], now: datetime, *, wide: bool = False) -> ShownTable:
    return table_of(
        COLUMNS,
        [
            (
                r["table"],
                SHOWN_STATES.get(r["state"], r["state"]),
                None if r["lag_seconds"] is None else approximate_duration(r["lag_seconds"]),
                _ago(r["last_success"], now),
                r["rows_processed"],
                r["open_errors"],
                r["lease_holder"],
                r["why"],
            )
            for r in records
        ],
        wide=wide,
    )


def _ago(moment: datetime | None, now: datetime) -> str | None:
    if moment is None:
        return None
    return f"{approximate_duration(max(0.0, (now - _aware(moment)).total_seconds()))} ago"


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def write_status(form: Format, view: StatusView, *, wide: bool) -> None:
    """Write the states, notes about the lag and about comparisons, the state of the whole, and the totals as the last
    line."""
    records, now = view.records, view.now
    shown = states_table(records, now, wide=wide)
    write_records(form, records, shown, empty="the table list is empty")
    if form is not Format.TABLE:
        return
    if partial := sum(record["lag_covers"] is not None for record in records):
        tables = counted(partial, "table")
        say(
            f"lag: that of {tables} counts only changes that move the watermark (`lag_covers` in --output json)"
        )
    for record in records:
        for certificate in record["certificates"]:
            say(f"{record['table']}: {_compared(certificate)}")
        if record["verify_progress"] is not None:
            share = f"{record['verify_progress']:.0%}"
            say(f"{record['table']}: {share} of it is compared in this round of verify_every")
    if view.log is not None:
        say(f"log: {log_line(view.log, view.now)}")
    if view.budget is not None:
        say(f"budget: {view.budget.sentence}")
        if view.budget.conflict:
            say(f"budget: {view.budget.conflict}")
    console = stdout()
    if headline := view.headline(console.width if sys.stdout.isatty() else None):
        console.print()
        console.print(Text("\n").join(headline), soft_wrap=True)
    write_totals(form, _shown_states(records), SHOWN_ORDER, _extremes(records, now))


def _shown_states(records: Sequence[dict[str, Any]]) -> list[str]:
    return [SHOWN_STATES.get(record["state"], record["state"]) for record in records]


def _extremes(records: Sequence[dict[str, Any]], now: datetime) -> Iterator[str]:
    """The worst lag with its table, and the last success."""
    lagging = [record for record in records if record["lag_seconds"] is not None]
    if worst := max(lagging, key=lambda record: record["lag_seconds"], default=None):
        named = f" ({worst['table']})" if len(records) > 1 else ""
        yield f"worst lag {approximate_duration(worst['lag_seconds'])}{named}"
    successes = [record["last_success"] for record in records if record["last_success"]]
    if successes:
        yield f"last success {_ago(max(successes, key=_aware), now)}"


def _compared(certificate: dict[str, Any]) -> str:
    """A certificate in one line."""
    what = {"keys": "keys", "content": "keys and contents", "sample": "a sample of the rows"}
    at = datetime.fromisoformat(certificate["ended_at"]).astimezone(UTC)
    found = [
        f"{counted(certificate[name], 'row')} {name}" for name in ("repaired", "kept") if certificate[name]
    ]
    return (
        f"{what[certificate['method']]} compared {at:%Y-%m-%d %H:%M} UTC by {certificate['by']}"
        + (f", up to transaction {certificate['snapshot']}" if certificate["snapshot"] else "")
        + f": {counted(certificate['rows'], 'row')} in {counted(certificate['ranges'], 'range')},"
        f" {counted(certificate['differences'], 'difference')}{''.join(f', {text}' for text in found)}"
    )


def frame_of(view: StatusView, width: int, height: int) -> list[Text]:
    """The lines of one screen: the state of the whole, the totals, and the tables that need attention first. Tables for
    which there is no room are counted by state."""
    records = view.records
    ranked = sorted(records, key=_rank)
    counts = totals(_shown_states(records), SHOWN_ORDER)
    title = " · ".join((f"{view.now:%H:%M:%S} UTC", counts, *_extremes(records, view.now)))
    head = [*view.headline(width), *(Text(line) for line in wrapped(title, width))]
    room = max(2, height - len(head) - 1)
    for count in range(min(len(ranked), room), -1, -1):
        lines = states_table(ranked[:count], view.now).lines(width)
        rest = ranked[count:]
        if rest:
            lines.append(Text(f"… and {totals(_shown_states(rest), SHOWN_ORDER)}", style="dim"))
        if len(lines) <= room or count <= 1:
            return [*head, Text(), *lines][:height]
    return head


def _rank(record: dict[str, Any]) -> tuple[int, float]:
    """Sorts by what needs attention: the state, then the lag."""
    return WORST_FIRST.index(record["state"]), -(record["lag_seconds"] or 0.0)
