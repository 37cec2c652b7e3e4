"""Alerts and their messages, in sync_alerts and sync_alert_messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from pgsnow.ledger.alerts.alert import Alert, AlertMessage, AlertRule, AlertState, Notice, TableTrouble
from pgsnow.ledger.queries import Queries, cut, storable

CLAIM_SECONDS = 60.0
"""Longer than one attempt takes. A message of a worker that died while sending it is sent again after this time."""
GIVE_UP_DAYS = 1.0
"""A message that no receiver has accepted for so long is not tried any more."""


@dataclass(frozen=True, slots=True)
class AlertBook:
    """All alerts as they were read. version: they have not changed as long as the ledger has the same number."""

    version: int
    alerts: tuple[Alert, ...]


@dataclass(frozen=True, slots=True)
class AlertStore:
    """Store of reported changes and of messages to be sent. Each write is one statement."""

    queries: Queries

    def book(self) -> AlertBook:
        """Every alert that is open, or was until recently. Rows of a later version's rules are left out."""
        rows = self.queries.execute("alerts").fetchall()
        known = [row for row in rows if row["rule"] in set(AlertRule) and row["state"] in set(AlertState)]
        return AlertBook(rows[0]["version"] if rows else 0, tuple(Alert.from_row(row) for row in known))

    def change(
        self,
        before: AlertBook,
        saved: Sequence[Alert],
        gone: Sequence[Alert],
        messages: Iterable[tuple[str, Notice]],
    ) -> bool:
        """Save and remove these alerts, and queue these messages (receiver, message), all or nothing. False: another
        process has changed the alerts since `before` was read, and nothing was written."""
        found = self.queries.execute(
            "change_alerts",
            version=before.version,
            saved=Jsonb([storable(_row(alert)) for alert in saved]),
            gone=Jsonb([{"rule": alert.rule, "source_table": alert.table} for alert in gone]),
            messages=Jsonb(
                [
                    {"incident": notice.incident, "receiver": receiver, "message": storable(notice.to_json())}
                    for receiver, notice in messages
                ]
            ),
        ).fetchone()
        return bool(found and found["changed"])

    def claim(self, receivers: Sequence[str], limit: int) -> list[AlertMessage]:
        """The oldest messages for these receivers that are due, for this process alone to send within CLAIM_SECONDS.
        A receiver gets the messages about one incident in order, so a later one waits for an earlier one."""
        rows = self.queries.execute(
            "claim_messages",
            receivers=list(receivers), limit=limit, seconds=CLAIM_SECONDS, days=GIVE_UP_DAYS,
        )  # fmt: skip
        return sorted((AlertMessage(**row) for row in rows), key=lambda message: message.id)

    def sent(self, message: AlertMessage) -> None:
        """Record that the receiver has accepted it."""
        self.queries.execute("message_sent", id=message.id)

    def failed(self, message: AlertMessage, error: str, seconds: float) -> None:
        """Record that an attempt failed; the next one is due after these seconds."""
        self.queries.execute("message_failed", id=message.id, error=cut(error), seconds=seconds)

    def waiting(self) -> list[dict[str, Any]]:
        """Messages that are not sent, and those that were given up, oldest first: id, incident, receiver, title,
        created_at, attempts, next_attempt_at, given_up, error."""
        return self.queries.execute("waiting_messages", days=GIVE_UP_DAYS).fetchall()

    def troubles(self) -> list[TableTrouble]:
        """Facts about the tables that are paused or whose last run failed."""
        return [TableTrouble(**row) for row in self.queries.execute("table_troubles")]

    def signs_of_life(self) -> tuple[float | None, bool]:
        """Seconds since a run of any table began (None: none ever did), and True if a worker holds a table now."""
        [row] = self.queries.execute("signs_of_life").fetchall()
        return row["seconds_since_run"], row["is_working"]


def _row(alert: Alert) -> dict[str, Any]:
    row = asdict(alert)
    row["source_table"] = row.pop("table")
    row["text"], row["advice"] = cut(alert.text), cut(alert.advice)
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
