"""A statement that contains credentials: sent unchanged, but displayed with the credentials masked."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from pgsnow.model.errors import PgsnowError
from pgsnow.model.settings.secret import Secret
from pgsnow.snowflake.names import text

R = TypeVar("R")
MASK = "***"
CUT = "…"
"""End of a message that was cut (snowflake/errors.py)."""
CONNECTOR = "snowflake.connector"


@dataclass(frozen=True, slots=True)
class Confidential:
    """`shown` is for display; `sent` goes to Snowflake; `hidden` are the credentials in it."""

    shown: str
    sent: Secret = field(repr=False)
    hidden: tuple[Secret, ...] = field(repr=False)

    def __str__(self) -> str:
        return self.shown

    def send(self, execute: Callable[[str], R]) -> R:
        """`execute` the text. The connector's log output is suppressed meanwhile; a PgsnowError is raised again
        with the credentials masked and without the driver's error, which contains the whole statement."""
        with _SILENCE.in_this_thread():
            try:
                return execute(self.sent.reveal())
            except PgsnowError as error:
                failed = self._masked(error)
        raise failed

    def _masked(self, error: PgsnowError) -> PgsnowError:
        message = str(error)
        for secret in self.hidden:
            for form in (secret.reveal(), text(secret.reveal())[1:-1]):
                message = _without(message, form)
        return type(error)(message, advice=error.advice, code=error.code)


def _without(message: str, secret: str) -> str:
    """The message with these secrets masked; a truncated message may end with the beginning of one."""
    message = message.replace(secret, MASK)
    kept = message.removesuffix(CUT)
    if kept == message:
        return message
    parts = (secret[:length] for length in range(len(secret), 0, -1))
    part = next((part for part in parts if kept.endswith(part)), "")
    return kept.removesuffix(part) + MASK + CUT if part else message


class _Silence(logging.Filter):
    """Drops log records of threads that requested it. Filters are not inherited, so each of the connector's loggers
    gets this one."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        return not getattr(self._asked, "now", False)

    @contextmanager
    def in_this_thread(self) -> Iterator[None]:
        for name in list(logging.root.manager.loggerDict):
            if name == CONNECTOR or name.startswith(f"{CONNECTOR}."):
                logging.getLogger(name).addFilter(self)
        self._asked.now = True
        try:
            yield
        finally:
            self._asked.now = False


_SILENCE = _Silence()
