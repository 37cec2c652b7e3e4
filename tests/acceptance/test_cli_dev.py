"""`dev up` and `dev down`, and the settings that they write."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import yaml

from tests.acceptance.cli_user import USERS, Done, seen
from tests.forked import run_forked

TABLE = {"source": "public.users", "target": "analytics.users", "pk": "id", "watermark_column": "updated_at"}


def pgsnow(folder: Path, *args: str) -> Done:
    running = run_forked("pgsnow", args, env=os.environ, cwd=folder)
    code = running.wait()
    return seen(Done(code, *running.output()))


def test_up_run_down_up_verify(tmp_path: Path) -> None:
    """A first evening: start both ends, sync, stop them, and find everything there the next day."""
    stack = ("--dir", str(tmp_path))
    up = pgsnow(tmp_path, "dev", "up", *stack, "--detach")
    assert up.code == 0, up.err
    try:
        settings = dict(
            line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines() if "=" in line
        )
        with psycopg.connect(settings["POSTGRES_DSN"].strip("'\""), autocommit=True) as conn:
            conn.execute(USERS.encode())
        (tmp_path / "sync_config.yaml").write_text(yaml.safe_dump({"tables": [TABLE]}))
        assert pgsnow(tmp_path, "check").code == 0
        assert pgsnow(tmp_path, "run").code == 0
        assert pgsnow(tmp_path, "dev", "down", *stack).code == 0
        assert pgsnow(tmp_path, "status").code == 2
        assert pgsnow(tmp_path, "dev", "up", *stack, "--detach").code == 0
        assert pgsnow(tmp_path, "verify").code == 0
    finally:
        assert pgsnow(tmp_path, "dev", "down", *stack).code == 0
    assert "nothing is running" in pgsnow(tmp_path, "dev", "down", *stack).out
