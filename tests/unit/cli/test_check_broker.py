"""Which brokers are fit."""

from __future__ import annotations

import pytest

from pgsnow.operations.check.broker import check_broker
from pgsnow.operations.check.result import Level


@pytest.mark.parametrize(
    ("url", "level"),
    [
        ("redis://localhost:6379/0", Level.OK),
        ("rediss://:pw@host:6379/0", Level.OK),
        ("valkey://host", Level.OK),
        ("sentinel://host:26379", Level.OK),
        ("redis+socket:///tmp/redis.sock", Level.OK),
        ("amqp://guest:guest@host//", Level.OK),
        ("pyamqp://host", Level.OK),
        ("amqps://host", Level.OK),
        ("filesystem://", Level.FAILED),
        ("memory://", Level.FAILED),
        ("sqla+postgresql://u:p@host/db", Level.FAILED),
        ("sqlalchemy+sqlite:///x", Level.FAILED),
        ("db+sqlite:///x", Level.FAILED),
        ("sqs://", Level.WARNING),
        ("", Level.WARNING),
        (None, Level.WARNING),
    ],
)
def test_brokers_that_lose_tasks_are_refused(url: str | None, level: Level) -> None:
    finding = check_broker(url)
    assert finding.level is level
    assert bool(finding.fix) is (level is not Level.OK)


def test_the_brokers_password_is_not_told() -> None:
    for url in ("redis://:hunter2@host", "sqla+postgresql://u:hunter2@host/db", "odd://u:hunter2@host"):
        assert "hunter2" not in repr(check_broker(url))
