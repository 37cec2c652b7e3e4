"""`pgsnow alert-rules`."""

from __future__ import annotations

import sys
from importlib.resources import files


def alert_rules() -> None:
    """Print alert rules for Prometheus (YAML), to be listed under its `rule_files`."""
    rules = files("pgsnow.integrations.prometheus").joinpath("alert_rules.yaml")
    sys.stdout.write(rules.read_text(encoding="utf-8"))
