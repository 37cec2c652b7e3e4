"""GET {prefix}/metrics: the metrics, for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter

from pgsnow.integrations.fastapi.web import Web


def metrics_routes(web: Web) -> APIRouter:
    """The route of the metrics."""
    _ = web
    return APIRouter()
