"""`pgsnow schema`."""

from __future__ import annotations

from pgsnow.cli.output.screen import write_json


def schema() -> None:
    """Print the JSON Schema of sync_config.yaml, for completion and checks in editors."""
    from pgsnow.model.config.sync_config import json_schema

    write_json(json_schema())
