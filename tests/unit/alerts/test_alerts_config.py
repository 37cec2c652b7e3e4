"""`alerts:` in sync_config.yaml: sensible without thresholds, strict about mistakes, and silent about addresses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from pgsnow.model.config.alerts import AlertsConfig, Receiver, TableAlerts
from pgsnow.model.config.sync_config import SyncConfig, parse_config
from pgsnow.model.errors import ConfigError

SECRET = "T000-B000-s3cr3t"
TABLE = {"source": "public.users", "target": "users", "watermark_column": "updated_at"}
PAGE = (Path(__file__).parents[3] / "docs/alerts.md").read_text()
SECTIONS: dict[str, type[BaseModel]] = {
    "Thresholds": AlertsConfig,
    "Receivers": Receiver,
    "Thresholds of a table": TableAlerts,
}


def parsed(table: dict[str, Any] | None = None, **top: Any) -> SyncConfig:
    env = {"SLACK_URL": f"https://hooks.slack.com/services/{SECRET}", "KEY": SECRET}
    return parse_config({**top, "tables": [{**TABLE, **(table or {})}]}, file="sync_config.yaml", env=env)


def problem(**alerts: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        parsed(alerts=alerts)
    return str(caught.value)


def test_receivers_alone_are_enough() -> None:
    """Thresholds have defaults, and a receiver without a name is called by its kind."""
    to = [
        {"kind": "slack", "url": "${SLACK_URL}"},
        {"kind": "slack", "url": "${SLACK_URL}"},
        {"url": "http://a"},
    ]
    alerts = parsed(alerts={"to": to}).alerts
    assert alerts is not None
    assert [receiver.name for receiver in alerts.to] == ["slack", "slack-2", "webhook"]
    assert alerts.seconds_without_tick(120) == 390


def test_a_tables_own_thresholds_replace_those_of_the_file() -> None:
    config = parsed(
        {"alerts": {"lag": "5m", "rejected": 10}}, alerts={"to": {"url": "https://x"}, "failures": 7}
    )
    assert config.alerts is not None
    limits = config.alerts.of(config.tables[0].alerts)
    assert (limits.lag, limits.rejected, limits.failures, limits.blocked) == (300, 10, 7, True)


@pytest.mark.parametrize(
    ("alerts", "message"),
    [
        ({"to": []}, "names no receiver"),
        ({"to": [{"kind": "teams", "url": "https://x"}]}, "write webhook, slack, pagerduty"),
        ({"to": [{"kind": "slack"}]}, "slack needs `url:`"),
        ({"to": [{"kind": "pagerduty"}]}, "needs `routing_key:`"),
        ({"to": [{"url": "https://x", "routing_key": "k"}]}, "routing_key is for pagerduty alone"),
        ({"to": [{"url": "ftp://x"}]}, "is not an address"),
        ({"to": [{"url": "https://x", "headers": {"A: b": "c"}}]}, "is not the name of a header"),
        ({"to": [{"url": "https://x", "name": "a"}, {"url": "https://y", "name": "a"}]}, "have the name a"),
        ({"to": [{"url": "https://x"}], "failure": 2}, "did you mean failures?"),
        ({"to": [{"url": "https://x"}], "lag": "soon"}, "write seconds, or text such as"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_fix(alerts: dict[str, Any], message: str) -> None:
    assert message in problem(**alerts)


def test_an_address_is_not_in_a_message_about_it() -> None:
    """Not even where it is what is wrong."""
    assert SECRET not in problem(to=[{"url": f"hooks.slack.com/{SECRET}"}])
    assert SECRET not in problem(to=[{"url": "${SLACK_URL}", "routing_key": "${KEY}"}])


def test_no_form_of_the_configuration_shows_an_address_or_a_key() -> None:
    """Neither repr, nor the JSON that is printed and hashed; and what is printed can be read back."""
    config = parsed(
        alerts={"to": [{"url": "${SLACK_URL}", "headers": {"Authorization": "${KEY}"}},
                       {"kind": "pagerduty", "routing_key": "${KEY}"}]},
        heartbeat_url="${SLACK_URL}", heartbeat_fail_url="${SLACK_URL}", openlineage_url="${SLACK_URL}",
        openlineage_api_key="${KEY}",
    )  # fmt: skip
    shown = json.dumps(config.to_data())
    assert SECRET not in f"{config!r} {config} {shown} {config.model_dump()}"
    assert parse_config(config.to_data(), file="shown.yaml", env={}).alerts is not None


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_is_on_the_page_with_its_default(section: str) -> None:
    after = PAGE.split(f"## {section}\n")[1]
    table = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)
    assert table is not None
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", table[0], re.MULTILINE))
    fields = SECTIONS[section].model_fields
    assert set(rows) == set(fields)
    for key, written in rows.items():
        if written.startswith("`"):
            value = yaml.safe_load(written.strip("`"))
            given = (
                parsed(alerts={"to": {"url": "https://x"}, key: value}) if section == "Thresholds" else None
            )
            found = getattr(given.alerts, key) if given else value
            assert found == fields[key].default, key
