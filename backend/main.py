"""The backend's web application.

Started with `uvicorn main:app` in backend/, or with `uvicorn backend.main:app` in the directory above it.
"""

from __future__ import annotations

import os

from fastapi import Depends, FastAPI

from pgsnow.integrations.fastapi.router import status_router
from pgsnow.integrations.fastapi.security import TokenRequired

if __package__:
    from .worker.sync_utils import config_file, load_environment
else:
    from worker.sync_utils import config_file, load_environment  # type: ignore[import-not-found, no-redef]

load_environment()

app = FastAPI(title="backend")

# GET /sync/: the status page.  /sync/api/v1/: the same for programs.  /sync/metrics: for Prometheus.
# GET /sync/status: the state of every table.   GET /sync/ready: whether the ledger answers.
# With a token everything asks for it, and the page can also run, pause and resync tables. An application that has an
# authentication passes that instead: dependencies=[Depends(require_operator)].
token = os.environ.get("PGSNOW_STATUS_TOKEN", "")
protection = [Depends(TokenRequired(token))] if token.strip() else None
app.include_router(status_router(config_file(), dependencies=protection, actions=protection is not None))


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """Report that this process is alive. No database is queried, so that an outage does not restart web processes."""
    return {"status": "ok"}
