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

# GET /sync/status: the state of every table.   GET /sync/ready: does the ledger answer?
app.include_router(status_router(config_file()))


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    """Alive. It asks no database, so that an outage of one does not restart every web process."""
    return {"status": "ok"}
