"""An alert, a message about alerts, and a message on its way to a receiver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class AlertRule(StrEnum):
    """The kinds of things that are reported, the most urgent first."""

    STOPPED = "stopped"
    """No worker has run a tick for too long."""
    BLOCKED = "blocked"
    """A table's last run ended with an error that does not pass without a person."""
    FAILING = "failing"
    """Several runs of a table in a row have ended with an error."""
    DIFFERENT = "different"
    """A comparison has found differences, or the target is not verified after a restore."""
    REJECTED = "rejected"
    """More rows of a table are rejected than is accepted."""
    LAG = "lag"
    """A table's lag is longer than is accepted."""
    LOG = "log"
    """The source's log is not read, or the slot holds back much of it."""
    BUDGET = "budget"
    """The budget cannot be kept."""


class AlertState(StrEnum):
    """State of an alert."""

    OPEN = "open"
    CLEARING = "clearing"
    """It has ended, but came back so often lately that its end is not reported yet."""
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that is wrong with one table ('' is the sync as a whole), or was until recently.

    cause: alerts of one rule with the same cause belong to one incident, while it lasts. since: since when it is wrong.
    opened_at: when that was noticed. changed_at: when `state` got its value. times: how often it was noticed lately.
    level: how bad it was when it was last reported, in powers of ten.
    """

    rule: AlertRule
    table: str
    cause: str
    incident: str
    state: AlertState
    since: datetime
    opened_at: datetime
    changed_at: datetime
    times: int = 1
    text: str = ""
    advice: str = ""
    level: int = 0

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Alert:
        """Raises ValueError for a rule or a state that this version does not know."""
        named = {name: row[name] for name in cls.__slots__ if name not in ("rule", "table", "state")}
        return cls(
            rule=AlertRule(row["rule"]), table=row["source_table"], state=AlertState(row["state"]), **named
        )

    @property
    def key(self) -> tuple[AlertRule, str]:
        """There is one alert of each rule and table."""
        return self.rule, self.table

    @property
    def is_active(self) -> bool:
        """True until its end is reported."""
        return self.state is not AlertState.CLOSED


class NoticeKind(StrEnum):
    """The change of an incident that a message is about."""

    RAISED = "raised"
    UPDATED = "updated"
    """More tables have the same cause, or it has become much worse."""
    RECOVERED = "recovered"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class NoticeTable:
    """A table in a message: since (ISO time) when it is concerned, and the reason in one line."""

    table: str
    since: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A message about one incident, without anything secret and without values of rows.

    title: one line. count: tables concerned; `tables` has the first of them. since, at: ISO times in UTC, of the
    beginning and of this message. worker: host and process that noticed it. page: address of the status page, or ''.
    """

    incident: str
    kind: NoticeKind
    rule: AlertRule
    title: str
    since: str
    at: str
    advice: str = ""
    count: int = 0
    tables: tuple[NoticeTable, ...] = ()
    worker: str = ""
    page: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data, which `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Notice:
        """Raises KeyError, TypeError or ValueError for other data. Keys of later versions are ignored."""
        known = {name: data[name] for name in cls.__slots__ if name in data}
        tables = tuple(NoticeTable(t["table"], t["since"], t.get("text", "")) for t in data["tables"])
        rule, kind = AlertRule(data["rule"]), NoticeKind(data["kind"])
        return cls(**{**known, "rule": rule, "kind": kind, "tables": tables})


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """A message on its way to one receiver. attempts: with the one that its claim was granted for."""

    id: int
    receiver: str
    message: Mapping[str, Any]
    attempts: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TableTrouble:
    """Facts about a table that is paused, or whose last run failed, in addition to its WatermarkRow.

    since: start of the first failed run after the last success.
    """

    source_table: str
    paused: bool
    error_type: str | None
    advice: str | None
    since: datetime | None
