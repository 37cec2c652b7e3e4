"""The page about metrics, the dashboard and the alert rules speak of the metrics that there are."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from pgsnow.cli.app import app_of
from pgsnow.integrations.prometheus.definitions import METRICS
from pgsnow.model.report import Status
from pgsnow.operations.status.table_state import HealthState
from pgsnow.operations.status.verdict import Word

PAGE = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()
PACKAGE = files("pgsnow.integrations.prometheus")
NAMES = {metric.name: metric for metric in METRICS}
USED = re.compile(
    r"\b(pgsnow_\w+|sync_\w+_count|last_sync_duration_seconds|rows_processed)\b(?:\{([^}]*)\})?"
)
OF_PROMETHEUS = {"job", "instance"}


def test_every_metric_has_a_row_with_its_type_labels_and_meaning_and_no_other() -> None:
    """The page can be relied on: it has exactly the metrics of the code."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert [(name, kind, labels, meaning) for name, kind, labels, meaning in rows] == [
        (metric.name, metric.kind, ", ".join(f"`{label}`" for label in metric.labels) or "-", metric.help)
        for metric in METRICS
    ]


@pytest.mark.parametrize("name", ["dashboard.json", "alert_rules.yaml"])
def test_each_query_names_a_metric_and_labels_that_exist(name: str) -> None:
    """No panel stays empty and no rule stays silent because of a name that was changed."""
    text = PACKAGE.joinpath(name).read_text(encoding="utf-8").replace('\\"', '"')
    used = USED.findall(text)
    assert len(used) > 20
    for metric, matchers in used:
        assert metric in NAMES, metric
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        assert labels <= {*NAMES[metric].labels, *OF_PROMETHEUS}, (metric, matchers)


def test_the_values_of_labels_in_queries_exist() -> None:
    """A state or status that is renamed does not silence a rule."""
    known = {*HealthState, *Word, *(status.value for status in Status)}
    for name in ("dashboard.json", "alert_rules.yaml"):
        text = PACKAGE.joinpath(name).read_text(encoding="utf-8").replace('\\"', '"')
        for values in re.findall(r'(?:state|status)(?:=~|!=|=)"([^"]+)"', text):
            assert set(values.split("|")) <= known, values


def test_every_command_that_an_alert_names_exists() -> None:
    """The next step that an alert gives can be typed."""
    rules = yaml.safe_load(PACKAGE.joinpath("alert_rules.yaml").read_text(encoding="utf-8"))
    text = " ".join(
        rule["annotations"]["description"] for group in rules["groups"] for rule in group["rules"]
    )
    names = set(re.findall(r"`pgsnow (\w+)", text))
    assert names
    for name in names:
        assert len(app_of([name]).registered_commands) + len(app_of([name]).registered_groups) == 1, name
