"""Messages about incidents: a title, since when, the tables, and the advice."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from pgsnow.ledger.alerts.alert import Alert, AlertRule, Notice, NoticeKind, NoticeTable
from pgsnow.model.sentences import counted
from pgsnow.operations.alerts.transitions import IncidentChange

MOST_TABLES = 20
"""Tables that a message lists; the others are counted."""
_ONE = {
    AlertRule.BLOCKED: "{table} is blocked: {text}",
    AlertRule.FAILING: "{table} is failing: {text}",
    AlertRule.DIFFERENT: "{table} may differ from its source: {text}",
    AlertRule.REJECTED: "{table} has rejected rows: {text}",
    AlertRule.LAG: "{table} is late: {text}",
}
_MANY = {
    AlertRule.BLOCKED: "{count} are blocked: {text}",
    AlertRule.FAILING: "{count} are failing: {text}",
    AlertRule.DIFFERENT: "{count} may differ from their sources",
    AlertRule.REJECTED: "{count} have rejected rows",
    AlertRule.LAG: "{count} are late",
}
_OVER = {
    AlertRule.STOPPED: "ticks run again",
    AlertRule.BLOCKED: "{subject} no longer blocked",
    AlertRule.FAILING: "{subject} synced again",
    AlertRule.DIFFERENT: "no known differences in {object}",
    AlertRule.REJECTED: "no more open rejected rows than accepted in {object}",
    AlertRule.LAG: "{subject} no longer late",
    AlertRule.LOG: "the source's log is read again",
    AlertRule.BUDGET: "the budget is kept again",
}


def notice_of(
    change: IncidentChange, now: datetime, *, worker: str, page: str = "", synced: Collection[str] = ()
) -> Notice:
    """The message about a changed incident. worker: the process that noticed it. page: address of the status page.
    synced: the names of the tables that are synced; the end of an alert about another one has that reason."""
    alerts = sorted(change.alerts, key=lambda alert: (alert.since, alert.table))
    over = change.kind is NoticeKind.RECOVERED
    tables = tuple(
        NoticeTable(alert.table, _utc(alert.since), _text(alert, synced) if over else alert.text)
        for alert in alerts[:MOST_TABLES]
        if alert.table
    )
    return Notice(
        incident=change.incident,
        kind=change.kind,
        rule=change.rule,
        title=_over(change.rule, alerts) if over else _title(change, alerts),
        since=_utc(alerts[0].since),
        at=_utc(now),
        advice="" if over else next((alert.advice for alert in alerts if alert.advice), ""),
        count=sum(bool(alert.table) for alert in alerts),
        tables=tables,
        worker=worker,
        page=page,
    )


def trial_notice(now: datetime, *, worker: str, page: str) -> Notice:
    """A message that shows that messages arrive."""
    return Notice(
        f"pgsnow-test-{uuid.uuid4().hex[:12]}", NoticeKind.TEST, AlertRule.STOPPED,
        "Test of pgsnow's alerts: this message arrives", _utc(now), _utc(now), "Nothing to do.",
        worker=worker, page=page,
    )  # fmt: skip


def _title(change: IncidentChange, alerts: Sequence[Alert]) -> str:
    first, rule = alerts[0], change.rule
    if rule is AlertRule.STOPPED:
        return f"The sync has stopped: {first.text}"
    if rule is AlertRule.LOG:
        return f"Reading the source's log: {first.text}"
    if rule is AlertRule.BUDGET:
        return f"The budget cannot be kept: {first.text}"
    if len(alerts) == 1:
        title = _ONE[rule].format(table=first.table, text=first.text)
    else:
        title = _MANY[rule].format(count=counted(len(alerts), "table"), text=first.text)
    if change.kind is not NoticeKind.UPDATED:
        return title
    return f"{'Worse' if change.is_worse else 'Also'}: {title}"


def _over(rule: AlertRule, alerts: Sequence[Alert]) -> str:
    one = len(alerts) == 1
    named = alerts[0].table if one else counted(len(alerts), "table")
    return "Recovered: " + _OVER[rule].format(subject=f"{named} {'is' if one else 'are'}", object=named)


def _text(alert: Alert, synced: Collection[str]) -> str:
    return "" if alert.table in synced else "is no longer in the table list, or not enabled"


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
