"""Headers of the pages, and the check that an action was sent by a page of this site."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from starlette.requests import Request

API_HEADERS: Mapping[str, str] = MappingProxyType(
    {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
)
PAGE_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Cache-Control": "no-store",
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
            " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
)
"""Everything comes from this site, nothing is inline, and no other site shows the page in a frame."""


def is_from_this_site(request: Request) -> bool:
    """True if a page of this site has sent the request, or a program that is no browser and says so by none of these
    headers: Sec-Fetch-Site, which a page cannot set, Origin, or Referer."""
    fetched = request.headers.get("sec-fetch-site")
    if fetched is not None and fetched not in ("same-origin", "none"):
        return False
    sender = request.headers.get("origin") or request.headers.get("referer")
    if sender is None:
        return True
    return urlsplit(sender).netloc == request.headers.get("host", "")
