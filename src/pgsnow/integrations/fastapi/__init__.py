"""The state of the sync in a FastAPI application: `status_router("sync_config.yaml")`."""

from pgsnow.integrations.fastapi.router import status_router

__all__ = ["status_router"]
