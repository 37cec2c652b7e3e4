"""The alert rules and the dashboard: Prometheus accepts them, and the rules fire when they must, and only then."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
PACKAGE = files("pgsnow.integrations.prometheus")
RULES = PACKAGE.joinpath("alert_rules.yaml").read_text(encoding="utf-8")
DASHBOARD = json.loads(PACKAGE.joinpath("dashboard.json").read_text(encoding="utf-8"))
needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
VARIABLES = {"$__rate_interval": "5m", "$job": ".*", "$table": ".*"}


def promtool(*args: str, cwd: Path) -> None:
    done = subprocess.run(["promtool", *args], cwd=cwd, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def queries() -> list[str]:
    """The queries of the dashboard, with values for its variables."""
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    for name, value in VARIABLES.items():
        found = [query.replace(name, value) for query in found]
    return found


@needs_promtool
def test_each_alert_fires_when_it_must_and_not_otherwise(tmp_path: Path) -> None:
    """An idle table and a second replica alert nobody; each failure alerts once, and names its table."""
    (tmp_path / "alert_rules.yaml").write_text(RULES)
    for name in ("alert_rules_test.yaml", "cost_rules_test.yaml"):
        shutil.copy(HERE / name, tmp_path)
    promtool("check", "rules", "alert_rules.yaml", cwd=tmp_path)
    promtool("test", "rules", "alert_rules_test.yaml", "cost_rules_test.yaml", cwd=tmp_path)


def test_each_alert_is_fired_by_a_test() -> None:
    """A rule that is added is tested too."""
    tests = "".join((HERE / name).read_text() for name in ("alert_rules_test.yaml", "cost_rules_test.yaml"))
    names = [rule["alert"] for group in yaml.safe_load(RULES)["groups"] for rule in group["rules"]]
    fired = set(re.findall(r'alertname[:=] ?"?(\w+)', tests))
    assert [name for name in names if name not in fired] == []


@needs_promtool
def test_prometheus_can_read_each_query_of_the_dashboard(tmp_path: Path) -> None:
    """No panel shows a syntax error."""
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries())]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", "panels.yaml", cwd=tmp_path)


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    """The person who is woken finds a summary, a next step, and a severity to route by."""
    for group in yaml.safe_load(RULES)["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
            assert len(rule["annotations"]["summary"]) > 20, rule["alert"]
            assert len(rule["annotations"]["description"]) > 40, rule["alert"]


def test_the_dashboard_can_be_imported_anywhere() -> None:
    """Every panel has the data source that is chosen at the top, an own place, and an id of its own."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels if panel["type"] != "row"} == {"${datasource}"}
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
