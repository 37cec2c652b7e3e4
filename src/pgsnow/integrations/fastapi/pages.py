"""Pages of the whole sync: the overview and its parts, stylesheet and script."""

from __future__ import annotations

from fastapi import APIRouter

from pgsnow.integrations.fastapi.web import Web


def page_routes(web: Web) -> APIRouter:
    """The overview's routes."""
    _ = web
    return APIRouter()
