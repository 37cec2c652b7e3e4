"""One HTTP request with a bounded duration. Addresses are secret, so no result and no log line contains one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests

SECONDS = 10.0
"""Longest duration of a request, connecting included."""
WAIT = 5.0
"""Longest time, in seconds, to connect, and to wait for the next bytes of an answer."""
LONGEST_RETRY_AFTER = 3600.0
"""Seconds."""
THREAD = "pgsnow-request"
LOGS_OF_ADDRESSES = (
    "urllib3.connectionpool",
    "urllib3.connection",
    "urllib3.poolmanager",
    "urllib3.util.retry",
)
"""Loggers that write the address of each request at debug. A filter is not inherited by the loggers below."""


@dataclass(frozen=True, slots=True)
class Answer:
    """problem: '' if the request was accepted, else why not, in words that name no address. retry_after: the seconds
    that the server asks to wait for (None: it does not)."""

    problem: str = ""
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        return not self.problem


def send(
    url: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    seconds: float = SECONDS,
) -> Answer:
    """POST this body as JSON; without one, GET. Accepted is an answer of 200 to 299. Redirects are not followed: they
    could lead into another network, with what was sent. Never raises; returns after `seconds` at the latest."""
    answers: SimpleQueue[Answer] = SimpleQueue()
    threading.Thread(
        target=lambda: answers.put(_request(url, body, headers or {})), name=THREAD, daemon=True
    ).start()
    try:
        return answers.get(timeout=seconds)
    except Empty:
        return Answer(f"did not answer within {seconds:g} s")


def _request(url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
    import requests

    for name in LOGS_OF_ADDRESSES:
        logging.getLogger(name).addFilter(_is_of_another_thread)
    sent: dict[str, Any] = {"User-Agent": "pgsnow", **headers}
    if body is not None:
        sent["Content-Type"] = "application/json"
    try:
        with requests.Session() as session:
            session.auth = _credentials_in(url)
            method = "GET" if body is None else "POST"
            answer = session.request(
                method, url, data=body, headers=sent, timeout=(WAIT, WAIT), allow_redirects=False, stream=True
            )  # the body of the answer is not read
            return _answer(answer)
    except Exception as error:  # of any library below; its text may contain the address
        return Answer(_problem(error))


def _is_of_another_thread(record: logging.LogRecord) -> bool:  # noqa: ARG001
    """False for what a library logs during a request of this module, whatever level the host has set."""
    return threading.current_thread().name != THREAD


def _credentials_in(url: str) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Adds the user and password of the address, if it has any, and none of a .netrc file."""
    from requests.auth import HTTPBasicAuth
    from requests.utils import get_auth_from_url

    user, password = get_auth_from_url(url)
    return HTTPBasicAuth(user, password) if user or password else lambda request: request


def _answer(answer: requests.Response) -> Answer:
    if 200 <= answer.status_code < 300:
        return Answer()
    also = ", a redirect, which is not followed" if 300 <= answer.status_code < 400 else ""
    return Answer(
        f"answered {answer.status_code}{also}",
        retry_after(answer.headers.get("Retry-After"), datetime.now(UTC)),
    )


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds of a Retry-After header, a number or a date; None if there is none that makes sense.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    text = (value or "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        seconds = float(text) if len(text) < 9 else LONGEST_RETRY_AFTER
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError):
            return None
        seconds = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def _problem(error: Exception) -> str:
    """The reason in words of ours."""
    from requests import exceptions

    known: tuple[tuple[type[Exception], str], ...] = (
        (exceptions.Timeout, f"did not answer within {WAIT:g} s"),
        (exceptions.SSLError, "has a certificate that is not accepted here"),
        (exceptions.ProxyError, "cannot be reached through the proxy of HTTPS_PROXY"),
        (exceptions.ConnectionError, "cannot be reached: no such host, or the connection was refused or cut"),
        (exceptions.InvalidHeader, "has a header that cannot be sent"),
        (ValueError, "has an address that cannot be requested"),
    )
    return next(
        (text for kind, text in known if isinstance(error, kind)), f"failed with {type(error).__name__}"
    )
