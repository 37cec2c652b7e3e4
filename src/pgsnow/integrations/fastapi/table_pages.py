"""Pages of one table, one run, rejected rows and the setup."""

from __future__ import annotations

from fastapi import APIRouter

from pgsnow.integrations.fastapi.web import Web


def table_page_routes(web: Web) -> APIRouter:
    """The routes of these pages."""
    _ = web
    return APIRouter()
