"""Sends the messages that are due, and records in the ledger what became of them."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from pgsnow.integrations.notify.bodies import body_of
from pgsnow.integrations.notify.post import Answer, send
from pgsnow.ledger.alerts.alert import AlertMessage, Notice
from pgsnow.ledger.alerts.store import GIVE_UP_DAYS, AlertStore
from pgsnow.model.config.alerts import AlertsConfig, Receiver
from pgsnow.sync.runtime.log import logger

AT_ONCE = 5
"""Messages that are claimed together; their requests together take less time than a claim lasts."""
SECONDS = 60.0
"""After this time no further messages are claimed."""
FIRST_PAUSE = 30.0
LONGEST_PAUSE = 3600.0
"""Seconds until the next attempt after the first failed one, doubled each time, and the longest."""


def pause_after(attempts: int, answer: Answer) -> float:
    """Seconds until the next attempt: as many as the server asks for, or more with each attempt."""
    if answer.retry_after is not None:
        return answer.retry_after
    return float(min(FIRST_PAUSE * 2 ** min(attempts - 1, 20), LONGEST_PAUSE))


def post_notice(receiver: Receiver, notice: Notice) -> Answer:
    """Post one message. Never raises; bounded in time."""
    headers = {name: value.get_secret_value() for name, value in receiver.headers.items()}
    return send(receiver.address, body_of(receiver, notice), headers)


def deliver_due(alerts: AlertsConfig, store: AlertStore) -> int:
    """Send all messages that are due, and record the results; returns how many were accepted. Several processes may do
    this at the same time: each message is sent by one of them. A failed one is due again later.

    Raises LedgerUnavailable, LedgerAccessDenied; a message that was sent but not recorded is sent again then.
    """
    receivers = {receiver.name: receiver for receiver in alerts.to}
    deadline, accepted = time.monotonic() + SECONDS, 0
    while time.monotonic() < deadline:
        messages = store.claim(tuple(receivers), AT_ONCE)
        if not messages:
            break
        for message in messages:
            accepted += _deliver(receivers[message.receiver], message, store)
    return accepted


def _deliver(receiver: Receiver, message: AlertMessage, store: AlertStore) -> bool:
    try:
        notice = Notice.from_json(message.message)
    except (KeyError, TypeError, ValueError):
        store.failed(message, "the message was edited by hand, or is one of a later version", LONGEST_PAUSE)
        return False
    answer = post_notice(receiver, notice)
    if answer.ok:
        store.sent(message)
        return True
    pause = pause_after(message.attempts, answer)
    age = (datetime.now(UTC) - message.created_at).total_seconds()
    logger().warning(
        "alert not delivered",
        receiver=receiver.name,
        problem=f"{receiver.name} {answer.problem}",
        attempts=message.attempts,
        gives_up=age + pause > GIVE_UP_DAYS * 86_400,
        next_attempt_in_seconds=round(pause),
    )
    store.failed(message, answer.problem, pause)
    return False
