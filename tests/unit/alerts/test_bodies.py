"""Messages in the forms of their receivers: they say what happened, since when, which tables, and what to do."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgsnow.integrations.notify.bodies import LONGEST_SLACK_TEXT, LONGEST_SUMMARY, body_of, plain_text
from pgsnow.ledger.alerts.alert import Alert, AlertRule, AlertState, Notice, NoticeKind
from pgsnow.model.config.alerts import Receiver
from pgsnow.operations.alerts.notices import MOST_TABLES, notice_of
from pgsnow.operations.alerts.transitions import IncidentChange

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SLACK = Receiver.model_validate({"kind": "slack", "url": "https://hooks.example/s3cr3t", "name": "slack"})
PAGER = Receiver.model_validate({"kind": "pagerduty", "routing_key": "R0UT1NG", "name": "pager"})
HOOK = Receiver.model_validate({"url": "https://hooks.example/s3cr3t", "name": "hook"})


def notice(
    *tables: str, kind: NoticeKind = NoticeKind.RAISED, text: str = "Postgres does not answer"
) -> Notice:
    alerts = tuple(
        Alert(AlertRule.FAILING, name, "SourceUnavailable", "pgsnow-1", AlertState.OPEN, NOON, NOON, NOON, 1, text,
              "Check POSTGRES_DSN.")
        for name in tables
    )  # fmt: skip
    change = IncidentChange(kind, AlertRule.FAILING, "pgsnow-1", alerts)
    return notice_of(
        change, NOON + timedelta(hours=1), worker="host:7", page="https://ops.example/sync", synced=tables
    )


def body(receiver: Receiver, message: Notice) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body_of(receiver, message))
    return found


def test_a_message_about_one_table_fits_a_few_lines() -> None:
    assert plain_text(notice("public.users")) == (
        "public.users is failing: Postgres does not answer\nSince 2026-01-01 12:00 UTC\n"
        "What to do: Check POSTGRES_DSN.\nStatus page: https://ops.example/sync"
    )


def test_a_message_about_many_tables_lists_the_first_and_counts_the_rest() -> None:
    """The reason stands in the title, once."""
    text = plain_text(notice(*(f"public.t{n:02}" for n in range(81))))
    assert text.startswith("81 tables are failing: Postgres does not answer\n")
    assert text.count("• public.t") == MOST_TABLES
    assert "• and 61 more" in text
    assert text.count("does not answer") == 1


@pytest.mark.parametrize("kind", [NoticeKind.RAISED, NoticeKind.RECOVERED])
def test_pagerduty_knows_the_end_of_an_incident_by_its_key(kind: NoticeKind) -> None:
    """https://developer.pagerduty.com/docs/send-alert-event: resolve needs the key alone; trigger a payload with
    summary, source and severity."""
    sent = body(PAGER, notice("public.users", kind=kind))
    assert (sent["routing_key"], sent["dedup_key"]) == ("R0UT1NG", "pgsnow-1")
    if kind is NoticeKind.RECOVERED:
        assert sent["event_action"] == "resolve"
    else:
        assert sent["event_action"] == "trigger"
        assert sent["payload"]["severity"] in {"critical", "error", "warning", "info"}
        assert sent["payload"]["source"] == "host:7"
        assert "public.users is failing" in sent["payload"]["summary"]


def test_pagerdutys_summary_is_cut_to_its_limit() -> None:
    assert len(body(PAGER, notice("t", text="x" * 5000))["payload"]["summary"]) == LONGEST_SUMMARY


def test_a_tables_name_is_no_markup_in_slack() -> None:
    """A name such as `<!channel>` must not call everybody, nor become a link."""
    text = body(SLACK, notice("<!channel> & co"))["text"]
    assert "&lt;!channel&gt; &amp; co" in text
    assert "<!channel>" not in text
    assert "<https://ops.example/sync|Status page>" in text


def test_slack_gets_no_text_that_it_would_cut() -> None:
    many = replace(notice(*(f"{n:0200}" for n in range(20))), count=20)
    assert len(body(SLACK, many)["text"]) <= LONGEST_SLACK_TEXT + 1


def test_a_webhook_gets_every_field_and_the_text() -> None:
    message = notice("public.users")
    sent = body(HOOK, message)
    assert sent["version"] == 1
    assert (sent["rule"], sent["kind"], sent["severity"]) == ("failing", "raised", "error")
    assert sent["tables"] == [
        {"table": "public.users", "since": "2026-01-01T12:00:00+00:00", "text": "Postgres does not answer"}
    ]
    assert sent["text"] == plain_text(message)
    assert Notice.from_json(message.to_json()) == message


@pytest.mark.parametrize("receiver", [SLACK, HOOK])
def test_no_body_contains_the_address(receiver: Receiver) -> None:
    assert b"s3cr3t" not in body_of(receiver, notice("public.users"))


def test_the_end_of_an_alert_about_a_removed_table_says_so() -> None:
    alerts = (
        Alert(AlertRule.LAG, "gone", "lag", "i", AlertState.OPEN, NOON, NOON, NOON),
        Alert(AlertRule.LAG, "here", "lag", "i", AlertState.OPEN, NOON, NOON, NOON),
    )
    change = IncidentChange(NoticeKind.RECOVERED, AlertRule.LAG, "i", alerts)
    text = plain_text(notice_of(change, NOON, worker="w", synced={"here"}))
    assert "• gone: is no longer in the table list" in text
    assert text.startswith("Recovered: 2 tables are no longer late")
