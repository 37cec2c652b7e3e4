"""From runs that fail, over the ledger, to messages that arrive: one for each change, by whichever worker."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pgsnow.embedded.postgres import EmbeddedPostgres
from pgsnow.integrations.notify.after_tick import AfterTick, send_alerts
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.report import SyncReport
from pgsnow.model.settings.settings import PostgresSettings
from pgsnow.operations.alerts.evaluate import evaluate_tick
from tests.encoded import encoded_database
from tests.inbox import SECRET, Inbox
from tests.progress import CEILING
from tests.world import MemoryWorld

NOW = datetime.now(UTC)
DIFFERENCES = json.dumps(
    {
        "differences": {
            "counts": {"missing": 2, "ghost": 1},
            "since": "2026-01-01T00:00:00+00:00",
            "keys": ["id=ann@ex.org"],
        }
    }
)


def tick(world: MemoryWorld) -> SyncReport:
    """A tick, and what follows it, to the end."""
    with world.engine() as engine:
        report = engine.tick()
        send_alerts(engine.config, engine.ledger)
    return report


def test_a_table_that_lost_a_column_is_reported_once_and_its_recovery_too(
    alerted: MemoryWorld, receiver: Inbox
) -> None:
    """The message has the reason, the time and the advice; it arrives after the first such run, since the next ones
    would fail too."""
    alerted.sql("insert into users values (1, 'a', 1, null)")
    tick(alerted)
    assert receiver.bodies == []
    alerted.tables[0]["columns"] = {"include": ["name", "lost"]}
    for _ in range(3):
        tick(alerted)
    [raised] = receiver.bodies
    assert raised["title"].startswith("public.users is blocked: ")
    assert "lost" in raised["title"]
    assert (raised["rule"], raised["kind"], raised["count"]) == ("blocked", "raised", 1)
    assert "sync_config.yaml" in raised["advice"]
    del alerted.tables[0]["columns"]
    for _ in range(3):
        tick(alerted)
    assert receiver.titles[1:] == ["Recovered: public.users is no longer blocked"]
    assert receiver.bodies[1]["incident"] == raised["incident"]


def test_twenty_tables_behind_one_dead_connection_are_one_message(
    alerted: MemoryWorld, receiver: Inbox
) -> None:
    """After three failed runs of each: an error that may pass by itself is not reported at once."""
    ledger_dsn = alerted.env["POSTGRES_DSN"]
    alerted.through({"LEDGER_DSN": ledger_dsn, "POSTGRES_DSN": "postgresql://postgres@127.0.0.1:1/app"})
    alerted.tables = [
        {"source": f"public.t{n:02}", "target": f"a.t{n:02}", "pk": "id", "watermark_column": "updated_at"}
        for n in range(20)
    ]
    tick(alerted)
    tick(alerted)
    assert receiver.bodies == []
    tick(alerted)
    tick(alerted)
    [raised] = receiver.bodies
    assert raised["count"] == 20
    assert len(raised["tables"]) == 20
    assert raised["title"].startswith("20 tables are failing: ")


@pytest.fixture
def synced(alerted: MemoryWorld) -> MemoryWorld:
    """A table that was synced a moment ago."""
    tick(alerted)
    return alerted


FAILED = "last_status = 'error', last_error = 'x', consecutive_failures = "
RULES: list[tuple[str, dict[str, Any], str | None]] = [
    ("applied_until = now() - interval '2 hours'", {}, "public.users is late: 2.0 h behind; 60 min is accepted"),
    ("applied_until = now() - interval '2 hours'", {"lag": "3h"}, None),
    ("applied_until = now() - interval '2 hours'", {"lag": 0}, None),
    ("unverified = 'restored'", {}, "public.users may differ from its source: restored"),
    ("unverified = 'restored'", {"differences": False}, None),
    (f"{FAILED} 2", {}, None),
    (f"{FAILED} 3", {}, "public.users is failing: x"),
    (f"{FAILED} 3", {"failures": 4}, None),
    (f"{FAILED} 3", {"enabled": False}, None),
    (f"{FAILED} 3, paused = true", {}, None),
    (
        f"verification = '{DIFFERENCES}'",
        {},
        "public.users may differ from its source: 3 rows differ (1 ghost, 2 missing)",
    ),
]  # fmt: skip


def test_each_rule_reports_what_exceeds_its_threshold(
    synced: MemoryWorld, ledger: Ledger, receiver: Inbox
) -> None:
    """Thresholds of the table take precedence; a paused table is left alone; keys of rows are not sent."""
    fine = "applied_until = now(), unverified = null, verification = null, last_status = 'ok', last_error = null,"
    for state, limits, title in RULES:
        receiver.bodies.clear()
        synced.sql(f"update sync_watermarks set {fine} consecutive_failures = 0, paused = false")
        synced.sql("delete from sync_alerts")
        synced.tables[0]["alerts"] = limits
        synced.sql(f"update sync_watermarks set {state}")
        send_alerts(synced.config, ledger)
        send_alerts(synced.config, ledger)
        assert receiver.titles == ([title] if title else []), (state, limits)
        assert "ann@ex.org" not in str(receiver.bodies)


def test_a_row_that_is_rejected_is_reported(synced: MemoryWorld, receiver: Inbox) -> None:
    """Nothing is lost without a report: already the first rejected row is one. Its values are not in the message."""
    synced.tables[0]["on_overflow"] = "reject"
    synced.sql("insert into users values (1, 'ann@ex.org', 'NaN', null)")
    tick(synced)
    tick(synced)
    assert receiver.titles == ["public.users has rejected rows: 1 row rejected"]
    assert "ann@ex.org" not in str(receiver.bodies)


def test_two_workers_that_evaluate_at_the_same_time_send_one_message(
    synced: MemoryWorld, ledger: Ledger, receiver: Inbox
) -> None:
    """Each has a connection of its own; both begin together."""
    synced.sql("update sync_watermarks set unverified = 'restored'")
    others = [Ledger(synced.settings.ledger, "public") for _ in range(4)]
    start = threading.Barrier(len(others))

    def work(worker: Ledger) -> None:
        start.wait()
        send_alerts(synced.config, worker)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(CEILING)
    for worker in others:
        worker.close()
    send_alerts(synced.config, ledger)
    assert len(receiver.bodies) == 1
    assert synced.sql("select count(*), max(attempts) from sync_alert_messages") == [(1, 1)]


def test_a_message_that_is_refused_is_tried_again_later_and_in_order(
    synced: MemoryWorld, ledger: Ledger, receiver: Inbox
) -> None:
    """After an answer of 500, and of 429 when the server asked for. The end of an incident waits for its beginning."""
    receiver.answers.extend([(500, {}), (429, {"Retry-After": "7"})])
    synced.sql("update sync_watermarks set unverified = 'restored'")
    send_alerts(synced.config, ledger)
    waits = "select round(extract(epoch from next_attempt_at - now())), error from sync_alert_messages"
    assert synced.sql(waits) == [(30, "answered 500")]
    send_alerts(synced.config, ledger)
    assert len(receiver.bodies) == 1, "not before it is due"
    synced.sql("update sync_alert_messages set next_attempt_at = now()")
    send_alerts(synced.config, ledger)
    assert synced.sql(waits) == [(7, "answered 429")]
    synced.sql("update sync_watermarks set unverified = null")
    send_alerts(synced.config, ledger)
    assert len(receiver.bodies) == 2, "the recovery waits"
    synced.sql("update sync_alert_messages set next_attempt_at = now()")
    send_alerts(synced.config, ledger)
    assert [body["kind"] for body in receiver.bodies] == ["raised", "raised", "raised", "recovered"]
    assert synced.sql("select count(*) from sync_alert_messages where sent_at is null") == [(0,)]


def test_a_message_that_nobody_accepts_is_given_up_after_a_day(
    synced: MemoryWorld, ledger: Ledger, receiver: Inbox
) -> None:
    """It stays in the ledger with the reason, and later messages are not held up by it."""
    receiver.answers.append((404, {}))
    synced.sql("update sync_watermarks set unverified = 'restored'")
    send_alerts(synced.config, ledger)
    synced.sql(
        "update sync_alert_messages set next_attempt_at = now(), created_at = now() - interval '25 hours'"
    )
    synced.sql("update sync_watermarks set unverified = null")
    send_alerts(synced.config, ledger)
    assert [body["kind"] for body in receiver.bodies] == ["raised", "recovered"]
    [waiting] = ledger.alerts.waiting()
    assert (waiting["given_up"], waiting["error"]) == (True, "answered 404")


def test_a_message_of_a_worker_that_died_while_sending_is_sent_by_another_one(
    synced: MemoryWorld, ledger: Ledger, receiver: Inbox
) -> None:
    synced.sql("update sync_watermarks set unverified = 'restored'")
    evaluate_tick(synced.config, ledger, NOW, worker="dead")
    assert len(ledger.alerts.claim(["webhook"], 5)) == 1
    send_alerts(synced.config, ledger)
    assert receiver.bodies == []
    synced.sql("update sync_alert_messages set claimed_until = now()")
    send_alerts(synced.config, ledger)
    assert len(receiver.bodies) == 1


def test_a_heartbeat_is_sent_at_each_tick_and_another_one_after_a_failed_tick(
    synced: MemoryWorld, receiver: Inbox
) -> None:
    synced.options |= {"heartbeat_url": f"{receiver.url}/ok", "heartbeat_fail_url": f"{receiver.url}/fail"}
    after = AfterTick(synced.config, synced.settings)
    with synced.engine() as engine:
        after.tick_ended(engine.ledger, engine.tick())
        after.close()
    synced.sql("alter table users rename to people")
    with synced.engine() as engine:
        after.tick_ended(engine.ledger, engine.tick())
        after.close()
    after.tick_failed()
    after.close()
    assert receiver.paths == ["/ok", "/fail", "/fail"]


def test_no_address_is_in_the_log_the_ledger_or_an_error(
    synced: MemoryWorld, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether a receiver refuses, redirects, does not exist, or has an address that cannot be requested."""
    caplog.set_level("DEBUG", "pgsnow")
    synced.options["alerts"] = {
        "to": [
            {"url": f"http://127.0.0.1:1/{SECRET}", "name": "closed"},
            {"url": f"http://{SECRET}.invalid/", "name": "nowhere"},
            {"url": f"http://{'a' * 70}.example/{SECRET}", "name": "wrong"},
            {"url": f"http://127.0.0.1:1/{SECRET}", "name": "header", "headers": {"X-Key": f"{SECRET}é☺"}},
        ]
    }
    synced.options["heartbeat_url"] = f"http://127.0.0.1:1/{SECRET}"
    synced.sql("update sync_watermarks set unverified = 'restored'")
    with synced.engine() as engine:
        after = AfterTick(engine.config, engine.settings)
        after.tick_ended(ledger, engine.tick())
        after.close()
    stored = synced.sql("select receiver, message, error from sync_alert_messages")
    assert len(stored) == 4
    assert all(error for _, _, error in stored)
    lines = [str(record.msg) for record in caplog.records if record.name.startswith("pgsnow")]
    assert sum("not delivered" in line for line in lines) == 5
    assert SECRET.lower() not in f"{stored} {lines}".lower()


def test_credentials_are_those_of_the_configuration_alone(
    synced: MemoryWorld, ledger: Ledger, receiver: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user and a password in the address, or headers; nothing from a .netrc file of this account."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login netrc password netrc\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    synced.options["alerts"] = {
        "to": [
            {"url": receiver.url, "name": "plain"},
            {"url": receiver.url.replace("//", "//ann:pw@"), "name": "user"},
            {"url": receiver.url, "name": "header", "headers": {"Authorization": "Bearer k"}},
        ]
    }
    synced.sql("update sync_watermarks set unverified = 'restored'")
    send_alerts(synced.config, ledger)
    sent = [headers.get("Authorization") for headers in receiver.headers]
    assert sent == [None, f"Basic {b64encode(b'ann:pw').decode()}", "Bearer k"]


def test_a_redirect_is_not_followed(synced: MemoryWorld, ledger: Ledger, receiver: Inbox) -> None:
    """It could lead to a machine inside of the network, or hand the message to someone else."""
    receiver.answers.append((302, {"Location": f"{receiver.url}/elsewhere"}))
    synced.sql("update sync_watermarks set unverified = 'restored'")
    send_alerts(synced.config, ledger)
    assert (len(receiver.bodies), receiver.paths) == (1, [])
    [waiting] = ledger.alerts.waiting()
    assert waiting["error"] == "answered 302, a redirect, which is not followed"


def test_without_alerts_nothing_of_them_is_read(memory_world: MemoryWorld, ledger: Ledger) -> None:
    """Not even the ledger."""
    send_alerts(memory_world.config, ledger)
    evaluate_tick(memory_world.config, ledger, NOW + timedelta(days=1), worker="w")
    assert memory_world.sql("select count(*) from sync_alerts") == [(0,)]


def test_a_ledger_in_another_encoding_keeps_names_as_they_are(
    postgres: EmbeddedPostgres, receiver: Inbox
) -> None:
    """A table's name that the ledger's database cannot store arrives unchanged."""
    with encoded_database(postgres, "LATIN1") as dsn:
        ledger = Ledger(PostgresSettings.from_dsn(dsn))
        ledger.migrate()
        table = {"source": 'public."☺"', "target": "a.smile", "watermark_column": "u"}
        alerts = {"to": [{"url": receiver.url, "name": "hook ☺"}]}
        config = parse_config({"tables": [table], "alerts": alerts}, file="c", env={})
        [claim], _ = ledger.leases.claim([config.tables[0].name], run_id="r", holder="h")
        ledger.checkpoints.doubt(claim, "restored ☺")
        ledger.leases.release([claim])
        send_alerts(config, ledger)
        send_alerts(config, ledger)
        ledger.close()
    assert receiver.titles == ['public."☺" may differ from its source: restored ☺']
