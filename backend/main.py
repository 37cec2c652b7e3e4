"""The backend's web application.

Started with `uvicorn main:app` in backend/, or with `uvicorn backend.main:app` in the directory above it.
"""

from __future__ import annotations

from fastapi import FastAPI

from pgsnow.integrations.fastapi.router import status_router

if __package__:
    from .worker.sync_utils import config_file, load_environment
else:
    from worker.sync_utils import config_file, load_environment  # type: ignore[import-not-found, no-redef]

load_environment()

app = FastAPI(title="backend")

# GET /sync/status: the state of every table.   GET /sync/ready: whether the ledger answers.
app.include_router(status_router(config_file()))


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """Report that this process is alive. No database is queried, so that an outage does not restart web processes."""
    return {"status": "ok"}
