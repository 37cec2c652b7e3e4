"""`pgsnow grafana` and `pgsnow alert-rules` print what the package contains, without any configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from pgsnow.cli import entry


def test_the_dashboard_is_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is printed can be piped into a file and imported: JSON, and nothing else."""
    monkeypatch.chdir(tmp_path)
    assert entry.run(["grafana"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "pgsnow"


def test_the_alert_rules_are_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is printed can be listed under `rule_files`: YAML, and nothing else."""
    monkeypatch.chdir(tmp_path)
    assert entry.run(["alert-rules"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["groups"][0]["name"] == "pgsnow"
