"""`pgsnow grafana`."""

from __future__ import annotations

import sys
from importlib.resources import files


def grafana() -> None:
    """Print a Grafana dashboard for pgsnow's metrics (JSON), to be imported or provisioned."""
    dashboard = files("pgsnow.integrations.prometheus").joinpath("dashboard.json")
    sys.stdout.write(dashboard.read_text(encoding="utf-8"))
