"""The rules: everything that is wrong at a moment, from the ledger's rows alone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from pgsnow.ledger.alerts.alert import AlertRule, TableTrouble
from pgsnow.ledger.rows import WatermarkRow
from pgsnow.model.comparison.certificate import Verification
from pgsnow.model.config.alerts import AlertsConfig, TableAlerts
from pgsnow.model.config.sync_config import SyncConfig, TableConfig
from pgsnow.model.duration import approximate_duration
from pgsnow.model.errors import PgsnowError, Retry, Unavailable
from pgsnow.model.report import Status
from pgsnow.model.sentences import counted, without_name
from pgsnow.operations.status.budget import BudgetState
from pgsnow.operations.status.lag import lag_of
from pgsnow.operations.status.log import LogHealth

LONGEST_TEXT = 300
"""Characters of a reason in a message."""
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\b[\w$]+(?:\.[\w$]+)+|\b(?:0x)?[0-9a-f]*\d[0-9a-f]*\b")
"""Parts of an error's text that differ between tables or attempts: quoted text, names with dots, numbers."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with one table ('' is the sync as a whole).

    cause: findings of one rule with the same cause are one message; its part before ':' is the kind of the cause.
    shared: the cause lies outside of the table, so that further tables are no news. level: how bad it is, in powers of
    ten; a higher one is reported again.
    """

    rule: AlertRule
    table: str
    cause: str
    since: datetime
    text: str
    advice: str = ""
    shared: bool = False
    level: int = 0

    @property
    def key(self) -> tuple[AlertRule, str]:
        return self.rule, self.table


@dataclass(frozen=True, slots=True)
class AlertFindings:
    """All findings, and the keys about which nothing can be said now: their alerts stay as they are."""

    found: tuple[Finding, ...]
    unknown: frozenset[tuple[AlertRule, str]] = frozenset()


def findings_of(
    config: SyncConfig,
    alerts: AlertsConfig,
    rows: Sequence[WatermarkRow],
    troubles: Sequence[TableTrouble],
    now: datetime,
    budget: BudgetState | None = None,
    log: LogHealth | None = None,
) -> AlertFindings:
    """Everything that is wrong with the enabled tables. rows: of the ledger. A paused table has no findings."""
    by_name = {row.source_table: row for row in rows}
    facts = {trouble.source_table: trouble for trouble in troubles}
    found: list[Finding] = [*_over_budget(budget, now), *_of_the_log(log, config, now)]
    unknown: set[tuple[AlertRule, str]] = set()
    for table in config.enabled:
        row, trouble = by_name.get(table.name), facts.get(table.name)
        limits = alerts.of(table.alerts)
        if row is None or not limits.enabled:
            continue
        if trouble is not None and trouble.paused:
            unknown.update((rule, table.name) for rule in AlertRule)
            continue
        failure = _failure(row, trouble, limits)
        if row.consecutive_failures:
            unknown.add((AlertRule.FAILING, table.name))  # fewer than the limit: neither new nor over
        others = [*_rejected(row, limits), *_different(row, limits)]
        pace = budget.paces.get(table.name) if budget else None
        late = list(_late(table, row, limits, now, pace.accepted_wait(table.max_lag) if pace else 0.0))
        if failure is not None:
            unknown.add((AlertRule.LAG, table.name))  # its consequence
            others.append(failure)
        else:
            others += late
        found += others
    return AlertFindings(tuple(found), frozenset(unknown - {finding.key for finding in found}))


def stopped_finding(silent: float, seconds: float, now: datetime) -> Finding | None:
    """The finding that no worker has run a tick for longer than `seconds`; None: one has. silent: for how long."""
    if seconds <= 0 or silent <= seconds:
        return None
    return Finding(
        AlertRule.STOPPED,
        "",
        "stopped",
        now - timedelta(seconds=silent),
        f"no worker has run a tick for {approximate_duration(silent)}",
        "Start the worker and the schedule (for Celery: `celery worker` and `celery beat`, or `pgsnow run` by cron),"
        " and look at their logs. Nothing is lost: the next tick goes on from the checkpoints.",
    )


def _failure(row: WatermarkRow, trouble: TableTrouble | None, limits: TableAlerts) -> Finding | None:
    """The finding about a failed last run, if it is one already."""
    if row.last_status != Status.ERROR:
        return None
    name = trouble.error_type if trouble and trouble.error_type else "Error"
    kind = _errors().get(name)
    blocked = kind is not None and kind.retry is Retry.AFTER_FIX and limits.blocked
    if not blocked and row.consecutive_failures < (limits.failures or 1):
        return None
    text = _line(row, row.last_error or "")
    shared = kind is not None and (issubclass(kind, Unavailable) or kind.of_account)
    return Finding(
        AlertRule.BLOCKED if blocked else AlertRule.FAILING,
        row.source_table,
        name if shared else f"{name}:{_VARYING.sub('#', text)}",
        (trouble and trouble.since) or row.last_success or row.last_run or datetime.now(UTC),
        text,
        (trouble and trouble.advice) or "",
        shared,
    )


def _over_budget(budget: BudgetState | None, now: datetime) -> Iterator[Finding]:
    if budget is not None and budget.conflict:
        yield Finding(
            AlertRule.BUDGET,
            "",
            "budget",
            budget.conflict_since or now,
            budget.conflict,
            "Raise `credits_per_day:`, allow a longer `max_lag:`, or look which table costs most: `pgsnow cost`."
            " Rows are loaded in any case.",
        )


def _of_the_log(log: LogHealth | None, config: SyncConfig, now: datetime) -> Iterator[Finding]:
    if log is not None and log.is_news(now, config.sync_interval_seconds):
        yield Finding(
            AlertRule.LOG,
            "",
            "log",
            log.trouble_since or log.read_at or now,
            log.sentence,
            "See `pgsnow log status` and `pgsnow check`. Nothing is lost: tables are read without the log until it can"
            " be read.",
        )


def _late(
    table: TableConfig, row: WatermarkRow, limits: TableAlerts, now: datetime, slowed: float
) -> Iterator[Finding]:
    """A lag that counts from the last audit may be as long as the time between two audits. slowed: seconds that changes
    wait because of the budget."""
    lag = lag_of(table, row)
    allowed = (
        (limits.lag or 0)
        + table.every
        + max(table.load_every, slowed)
        + (table.audit_every if lag.why else 0)
    )
    if lag.seconds is None or not limits.lag or lag.seconds <= allowed:
        return
    yield Finding(
        AlertRule.LAG,
        table.name,
        "lag",
        now - timedelta(seconds=lag.seconds),
        f"{approximate_duration(lag.seconds)} behind; {approximate_duration(allowed)} is accepted",
        f"See what its runs are doing: `pgsnow status --select {shlex.quote(table.name)}`."
        " A long load is shown with its progress.",
        level=_digits(lag.seconds / allowed),
    )


def _rejected(row: WatermarkRow, limits: TableAlerts) -> Iterator[Finding]:
    if row.open_errors > (limits.rejected or 0):
        yield Finding(
            AlertRule.REJECTED,
            row.source_table,
            "rejected",
            datetime.now(UTC),
            f"{counted(row.open_errors, 'row')} rejected"
            + (f", of {row.stale_rows} of them Snowflake keeps an older version" if row.stale_rows else ""),
            f"`pgsnow errors list --table {shlex.quote(row.source_table)}` shows the reasons,"
            " and how to load the rows.",
            level=_digits(row.open_errors),
        )


def _different(row: WatermarkRow, limits: TableAlerts) -> Iterator[Finding]:
    """Without the keys of the rows: they may be personal data."""
    if not limits.differences:
        return
    found = Verification.from_json(row.verification).differences
    if found and found.total:
        yield Finding(
            AlertRule.DIFFERENT,
            row.source_table,
            "differences",
            _moment(found.since),
            f"{counted(found.total, 'row')} {'differs' if found.total == 1 else 'differ'} ({found.text})",
            f"`pgsnow repair {shlex.quote(row.source_table)}` loads exactly these rows again.",
            level=_digits(found.total),
        )
    elif row.unverified:
        yield Finding(
            AlertRule.DIFFERENT,
            row.source_table,
            "unverified",
            datetime.now(UTC),
            row.unverified[:LONGEST_TEXT],
            f"`pgsnow verify --select {shlex.quote(row.source_table)}` compares it;"
            f" `pgsnow repair {shlex.quote(row.source_table)}` repairs it.",
        )


def _digits(size: float) -> int:
    """The number's order of magnitude: 0 below 10, 1 below 100, …"""
    return len(str(int(size))) - 1


def _line(row: WatermarkRow, error: str) -> str:
    """The first line of a table's error, without the table's name."""
    line = without_name(row.source_table, error.splitlines()[0] if error else "")
    return line if len(line) <= LONGEST_TEXT else f"{line[:LONGEST_TEXT]}…"


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return datetime.now(UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@cache
def _errors() -> Mapping[str, type[PgsnowError]]:
    """Every class of the error tree, by name."""
    found: dict[str, type[PgsnowError]] = {}
    left = [PgsnowError]
    while left:
        kind = left.pop()
        found[kind.__name__] = kind
        left += kind.__subclasses__()
    return found
