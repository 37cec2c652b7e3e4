"""Headers of the pages, the check that an action was sent by a page of this site, and a dependency that asks for a
token."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.requests import Request

from pgsnow.model.settings.secret import Secret

API_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
    }
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
    """True if a page of this site has sent the request, or a program that is no browser and so sends none of these
    headers: Sec-Fetch-Site, which no page can set; where it is missing, Origin; where that is missing too, Referer."""
    fetched = request.headers.get("sec-fetch-site")
    if fetched is not None:
        return fetched in ("same-origin", "none")
    sender = request.headers.get("origin") or request.headers.get("referer")
    if sender is None:
        return True
    own = {request.headers.get(name) for name in ("host", "x-forwarded-host")} - {None, ""}
    try:
        return urlsplit(sender).netloc in own
    except ValueError:
        return False


class TokenRequired:
    """A dependency for applications without an authentication of their own: 401 without the token.

    A browser asks for it as a password, with any name; a program sends `Authorization: Bearer TOKEN`.
    """

    def __init__(self, token: Secret | str) -> None:
        """Raises ValueError for an empty token, which would let everyone in."""
        self._token = token if isinstance(token, Secret) else Secret(token)
        if not self._token.reveal().strip():
            raise ValueError("the token is empty: set it to a long random text")

    def __call__(self, request: Request) -> None:
        given = _token_of(request.headers.get("authorization", ""))
        if not hmac.compare_digest(given.encode(), self._token.reveal().encode()):
            challenge = {"WWW-Authenticate": 'Basic realm="pgsnow", charset="UTF-8"'}
            raise HTTPException(401, "the token is missing or wrong", challenge)


def _token_of(header: str) -> str:
    """The token of an Authorization header: its Bearer token, or the password of Basic; "" if it has none."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
