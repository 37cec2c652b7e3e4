"""A command with nothing to do imports nothing heavy: it is a new process each time, so each import
counts."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.acceptance.cli_user import User
from tests.progress import CEILING

RUN = """
import sys
from pgsnow.cli.entry import run
code = run(["run", "--quiet", "--output", "jsonl"])
heavy = {"pyarrow", "numpy", "pandas", "snowflake", "boto3", "botocore", "celery", "structlog", "pygments"}
heavy |= {"requests", "jinja2", "fastapi", "pgsnow.integrations.notify.after_tick", "pgsnow.operations.alerts"}
heavy |= {"pgsnow.cli.commands.apply", "pgsnow.cli.commands.status", "pgsnow.sync.table.context", "pgsnow.embedded"}
print(*sorted(heavy & set(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def run_alone(user: User) -> tuple[list[str], set[str]]:
    """`pgsnow run` in an interpreter that has loaded nothing yet: the tables' states, and what is heavy of
    the modules that are loaded at its end."""
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        env=user.env,
        cwd=user.folder,
        capture_output=True,
        text=True,
        timeout=CEILING,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["status"] for line in done.stdout.splitlines()], set(done.stderr.split())


def test_an_idle_run_imports_neither_arrow_nor_the_driver_and_a_busy_one_nothing_besides(user: User) -> None:
    states, heavy = run_alone(user)
    assert states == ["ok", "ok"]
    assert heavy == {"pyarrow", "numpy", "snowflake", "pgsnow.sync.table.context"}
    assert run_alone(user) == (["idle", "idle"], set())
