"""Ending a statement whose rows nobody wants any more, while another thread waits for them."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Any

import psycopg

SECONDS = 5.0


class Cancellation:
    """Of what a connection is doing now. The connection cannot be used again."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._asked = False

    def ask(self) -> None:
        """First the server is asked to cancel the statement. If asked again, what waits for the server is told that it
        has hung up: the server cannot be reached, or does not hear. Never raises the driver's errors."""
        with contextlib.suppress(psycopg.Error, OSError):
            if self._asked:
                self._hang_up()
            else:
                self._asked = True
                self._connection.cancel_safe(timeout=SECONDS)

    def _hang_up(self) -> None:
        with socket.socket(fileno=os.dup(self._connection.fileno())) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)
