"""The backend's web application, as a server starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from backend.worker.sync_utils import BACKEND

ASK = """
from fastapi.testclient import TestClient
from {module} import app
with TestClient(app) as client:
    print(client.get("/healthz").json(), client.get("/sync/status").status_code, client.get("/sync/ready").status_code)
"""


@pytest.mark.parametrize(
    ("module", "cwd"),
    [
        pytest.param("main", BACKEND, id="cwd backend"),
        pytest.param("backend.main", BACKEND.parent, id="cwd root"),
    ],
)
def test_it_is_alive_although_the_ledger_is_away(
    module: str, cwd: Any, snowflake_env: dict[str, str]
) -> None:
    """/healthz reports that the process is alive; an outage of the ledger is reported by /sync."""
    away = {"POSTGRES_DSN": "postgresql://127.0.0.1:1/app", **snowflake_env}
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK.format(module=module)],
        cwd=cwd, env={"PATH": os.environ["PATH"], **away}, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.stdout.strip() == "{'status': 'ok'} 503 503", ran.stderr
