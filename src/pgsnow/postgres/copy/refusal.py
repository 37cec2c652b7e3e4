"""What the server says when it refuses, and the driver's kind of error for it."""

from __future__ import annotations

import psycopg


class ServerError(psycopg.DatabaseError):
    """An ErrorResponse.

    https://www.postgresql.org/docs/current/protocol-error-fields.html"""

    def __init__(self, message: str, sqlstate: str | None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate

    @classmethod
    def of(cls, said: bytes) -> ServerError:
        """`said`: the message's fields, each a letter and text that ends with a zero byte."""
        fields = {part[:1]: part[1:].decode(errors="replace") for part in said.split(b"\0") if part}
        return cls(fields.get(b"M", "the server refused"), fields.get(b"C"))
