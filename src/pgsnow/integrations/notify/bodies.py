"""The body of a message in the form that a receiver expects. Pure."""

from __future__ import annotations

import json
from typing import Any

from pgsnow.ledger.alerts.alert import AlertRule, Notice, NoticeKind
from pgsnow.model.config.alerts import Receiver, ReceiverKind

SEVERITIES = {
    AlertRule.STOPPED: "critical",
    AlertRule.BLOCKED: "error",
    AlertRule.FAILING: "error",
    AlertRule.DIFFERENT: "error",
    AlertRule.REJECTED: "warning",
    AlertRule.LAG: "warning",
    AlertRule.LOG: "warning",
    AlertRule.BUDGET: "warning",
}
"""PagerDuty's severities; webhooks get them, too."""
LONGEST_SUMMARY = 1024
"""Characters: https://developer.pagerduty.com/docs/send-alert-event"""
LONGEST_SLACK_TEXT = 3500
"""Characters; Slack shortens a text above 4,000: https://docs.slack.dev/changelog/2018-truncating-really-long-messages"""
_MARKS = {NoticeKind.RECOVERED: ":white_check_mark:", NoticeKind.TEST: ":bell:"}


def body_of(receiver: Receiver, notice: Notice) -> bytes:
    """The JSON text to post. For PagerDuty it contains the routing key: secret."""
    if receiver.kind is ReceiverKind.SLACK:
        document = slack_body(notice)
    elif receiver.kind is ReceiverKind.PAGERDUTY and receiver.routing_key is not None:
        document = {"routing_key": receiver.routing_key.get_secret_value(), **pagerduty_body(notice)}
    else:
        document = webhook_body(notice)
    return json.dumps(document, ensure_ascii=False).encode()


def webhook_body(notice: Notice) -> dict[str, Any]:
    """One object with the fields that docs/alerts.md lists. Keys may be added; those that are there stay."""
    return {
        "version": 1,
        "source": "pgsnow",
        "severity": severity(notice),
        "text": plain_text(notice),
        **notice.to_json(),
    }


def slack_body(notice: Notice) -> dict[str, Any]:
    """A text in Slack's markup, which Mattermost and others accept, too.

    https://docs.slack.dev/messaging/formatting-message-text
    """
    mark = _MARKS.get(notice.kind, ":rotating_light:" if severity(notice) == "critical" else ":warning:")
    lines = [f"{mark} *{_slack(notice.title)}*", *map(_slack, _details(notice))]
    if notice.page and "|" not in notice.page and ">" not in notice.page:
        lines.append(f"<{notice.page}|Status page>")
    text = "\n".join(lines)
    return {"text": text if len(text) <= LONGEST_SLACK_TEXT else f"{text[:LONGEST_SLACK_TEXT]}…"}


def pagerduty_body(notice: Notice) -> dict[str, Any]:
    """An event of the Events API v2 without the routing key. The incident is the key by which PagerDuty knows the end
    of what it has been told before, and by which a repeated message changes nothing.

    https://developer.pagerduty.com/docs/send-alert-event
    """
    if notice.kind is NoticeKind.RECOVERED:
        return {"event_action": "resolve", "dedup_key": notice.incident}
    summary = (
        notice.title if len(notice.title) <= LONGEST_SUMMARY else f"{notice.title[: LONGEST_SUMMARY - 1]}…"
    )
    links = [{"href": notice.page, "text": "Status page"}] if notice.page else []
    return {
        "event_action": "trigger",
        "dedup_key": notice.incident,
        "payload": {
            "summary": summary,
            "source": notice.worker or "pgsnow",
            "severity": severity(notice),
            "timestamp": notice.since,
            "component": "pgsnow",
            "class": str(notice.rule),
            "custom_details": {
                "advice": notice.advice,
                "tables": [table.table for table in notice.tables],
                "count": notice.count,
                "text": plain_text(notice),
            },
        },
        "links": links,
    }


def severity(notice: Notice) -> str:
    """critical, error, warning or info."""
    quiet = notice.kind in (NoticeKind.RECOVERED, NoticeKind.TEST)
    return "info" if quiet else SEVERITIES[notice.rule]


def plain_text(notice: Notice) -> str:
    """The whole message as lines of text."""
    page = [f"Status page: {notice.page}"] if notice.page else []
    return "\n".join([notice.title, *_details(notice), *page])


def _details(notice: Notice) -> list[str]:
    """The lines below the title: since when, the tables with their own reasons, the advice."""
    lines = [] if notice.kind is NoticeKind.TEST else [f"Since {_moment(notice.since)}"]
    reasons = {table.text for table in notice.tables}
    for table in notice.tables if notice.count > 1 else ():
        own = f": {table.text}" if table.text and len(reasons) > 1 else ""
        lines.append(f"• {table.table}{own}")
    if notice.count > len(notice.tables):
        lines.append(f"• and {notice.count - len(notice.tables)} more")
    if notice.advice:
        lines.append(f"What to do: {notice.advice}")
    return lines


def _moment(text: str) -> str:
    return f"{text[:16].replace('T', ' ')} UTC"


def _slack(text: str) -> str:
    """The text without markup of its own: a name must not become a link or call people."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
