"""From what is wrong now and the alerts so far: the next alerts, and the incidents that changed. Pure.

An incident is everything with one cause, from its first alert to the end of its last one. It is reported when it
begins and when it has ended, and in between only if more tables get the same trouble later, or if it has become ten
times as bad. An alert that comes back soon after its end is reported again, but from then on its end is believed later
and later, so that what goes on and off is reported a few times and not at each tick.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pgsnow.ledger.alerts.alert import Alert, AlertRule, AlertState, NoticeKind
from pgsnow.operations.alerts.finding import AlertFindings, Finding

FIRST_HOLD = timedelta(minutes=10)
"""How long a trouble that came back for the first time must have ended until its end is reported; doubled each time."""
LONGEST_HOLD = timedelta(hours=1)
FORGET = timedelta(hours=2)
"""A trouble that comes back later than this counts as a new one."""
JOIN = timedelta(minutes=10)
"""Tables that get the same trouble so soon after its beginning are no news: several runs had the same cause."""


@dataclass(frozen=True, slots=True)
class IncidentChange:
    """A change to report. alerts: those that are new or worse, or, at its end, all that were in it."""

    kind: NoticeKind
    rule: AlertRule
    incident: str
    alerts: tuple[Alert, ...]
    is_worse: bool = False


@dataclass(frozen=True, slots=True)
class AlertChanges:
    """saved: alerts that are new or have changed. gone: alerts that ended long ago."""

    saved: tuple[Alert, ...] = ()
    gone: tuple[Alert, ...] = ()
    incidents: tuple[IncidentChange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.saved or self.gone)


def hold(times: int) -> timedelta:
    """How long a trouble that was noticed so often must have ended until that is reported."""
    if times < 2:
        return timedelta(0)
    return min(FIRST_HOLD * float(2 ** min(times - 2, 10)), LONGEST_HOLD)


def next_alerts(
    alerts: Sequence[Alert],
    findings: AlertFindings,
    now: datetime,
    new_incident: Callable[[], str],
    scope: Collection[AlertRule] = tuple(AlertRule),
) -> AlertChanges:
    """scope: the rules that the findings are complete for; alerts of other rules stay. new_incident: a new id."""
    before = {alert.key: alert for alert in alerts}
    after = dict(before)
    found = {finding.key: finding for finding in findings.found if finding.rule in scope}
    gone: list[Alert] = []
    for key, alert in before.items():
        if key not in found and alert.rule in scope and key not in findings.unknown:
            if (ended := _ended(alert, now)) is None:
                gone.append(after.pop(key))
            else:
                after[key] = ended
    added: list[tuple[Finding, Alert]] = []
    for finding in found.values():
        known = before.get(finding.key)
        if known is not None and known.is_active and not _is_other_cause(known, finding, now):
            after[finding.key] = _continued(known, finding)
        else:
            opened = _opened(finding, known, now, _incident_for(finding, after, new_incident))
            after[finding.key] = opened
            added.append((finding, opened))
    saved = tuple(alert for key, alert in after.items() if before.get(key) != alert)
    news = (*_ends(before, after), *_beginnings(before, added, now), *_worse(before, after))
    return AlertChanges(saved, tuple(gone), news)


def _ended(alert: Alert, now: datetime) -> Alert | None:
    """The alert when its trouble is not found any more; None: it ended so long ago that it is forgotten."""
    if alert.state is AlertState.CLOSED:
        return None if now - alert.changed_at > FORGET else alert
    since = alert.changed_at if alert.state is AlertState.CLEARING else now
    if now - since >= hold(alert.times):
        return replace(alert, state=AlertState.CLOSED, changed_at=now)
    return replace(alert, state=AlertState.CLEARING, changed_at=since)


def _continued(alert: Alert, finding: Finding) -> Alert:
    """The alert of a finding that was reported already. It has the text of the last report."""
    alert = replace(alert, state=AlertState.OPEN, changed_at=alert.opened_at)
    return replace(alert, level=finding.level, text=finding.text) if finding.level > alert.level else alert


def _is_other_cause(alert: Alert, finding: Finding, now: datetime) -> bool:
    """True if the trouble has another kind of cause than was reported. Causes that alternate are not reported each
    time."""
    if alert.cause.partition(":")[0] == finding.cause.partition(":")[0]:
        return False
    return alert.times == 1 or now - alert.opened_at >= hold(alert.times)


def _opened(finding: Finding, known: Alert | None, now: datetime, incident: str) -> Alert:
    """The alert of a new finding. known: its former one, if it is not forgotten."""
    times = 1 if known is None else known.times + 1
    return Alert(
        finding.rule, finding.table, finding.cause, incident, AlertState.OPEN, finding.since, now, now, times,
        finding.text, finding.advice, finding.level,
    )  # fmt: skip


def _incident_for(
    finding: Finding, alerts: dict[tuple[AlertRule, str], Alert], new_incident: Callable[[], str]
) -> str:
    """The incident of this cause that is going on, or a new one."""
    for alert in alerts.values():
        if alert.is_active and (alert.rule, alert.cause) == (finding.rule, finding.cause):
            return alert.incident
    return new_incident()


def _ends(
    before: dict[tuple[AlertRule, str], Alert], after: dict[tuple[AlertRule, str], Alert]
) -> Iterable[IncidentChange]:
    """Incidents of which no alert is active any more, with the alerts that were in them."""
    going_on = {alert.incident for alert in after.values() if alert.is_active}
    ended: dict[str, list[Alert]] = {}
    for alert in before.values():
        if alert.incident not in going_on:
            ended.setdefault(alert.incident, []).append(alert)
    for incident, members in ended.items():
        if any(alert.is_active for alert in members):
            yield IncidentChange(NoticeKind.RECOVERED, members[0].rule, incident, tuple(members))


def _beginnings(
    before: dict[tuple[AlertRule, str], Alert], added: Sequence[tuple[Finding, Alert]], now: datetime
) -> Iterable[IncidentChange]:
    """Incidents with new alerts; not those with tables that were to be expected."""
    began: dict[str, datetime] = {}
    for alert in before.values():
        if alert.is_active:
            began[alert.incident] = min(alert.opened_at, began.get(alert.incident, alert.opened_at))
    new: dict[str, list[tuple[Finding, Alert]]] = {}
    for finding, alert in added:
        new.setdefault(alert.incident, []).append((finding, alert))
    for incident, members in new.items():
        alerts = tuple(alert for _, alert in members)
        if incident not in began:
            yield IncidentChange(NoticeKind.RAISED, alerts[0].rule, incident, alerts)
        elif now - began[incident] > JOIN and not members[0][0].shared:
            yield IncidentChange(NoticeKind.UPDATED, alerts[0].rule, incident, alerts)


def _worse(
    before: dict[tuple[AlertRule, str], Alert], after: dict[tuple[AlertRule, str], Alert]
) -> Iterable[IncidentChange]:
    """Incidents of which alerts are ten times as bad as when they were last reported."""
    worse: dict[str, list[Alert]] = {}
    for key, alert in after.items():
        known = before.get(key)
        if (
            known is not None
            and known.is_active
            and known.incident == alert.incident
            and alert.level > known.level
        ):
            worse.setdefault(alert.incident, []).append(alert)
    for incident, alerts in worse.items():
        yield IncidentChange(NoticeKind.UPDATED, alerts[0].rule, incident, tuple(alerts), is_worse=True)
