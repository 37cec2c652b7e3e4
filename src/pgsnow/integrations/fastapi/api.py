"""The JSON API, `{prefix}/api/v1/`: what the pages show, for programs."""

from __future__ import annotations

from fastapi import APIRouter

from pgsnow.integrations.fastapi.web import Web


def api_routes(web: Web) -> APIRouter:
    """The routes of the API."""
    _ = web
    return APIRouter(prefix="/api/v1")
