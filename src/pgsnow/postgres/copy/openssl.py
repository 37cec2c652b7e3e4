"""The TLS that libpq has set up on its connection, to read and write through it without libpq.

The functions must be those that libpq itself calls: OpenSSL's objects fit the library that made them. They are looked
up in psycopg's own compiled module and what that is linked with, which is where libpq is found as well. Where the
program has an OpenSSL of its own in everybody's sight, libpq may be bound to that one: then nothing is touched.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

from psycopg import pq

WANT_READ, WANT_WRITE = 2, 3
"""https://docs.openssl.org/3.0/man3/SSL_get_error/"""
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "PQsslStruct": (ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]),
    "PQsslAttribute": (ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_char_p]),
    "ERR_clear_error": (None, []),
    "SSL_get_error": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_int]),
    "SSL_get_version": (ctypes.c_char_p, [ctypes.c_void_p]),
    "SSL_read": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]),
    "SSL_write": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]),
}


@dataclass(frozen=True, slots=True)
class OpenSsl:
    """The library's functions; they keep Python's lock, as none of them waits on a socket that does not block."""

    functions: dict[str, Any]

    def session(self, pgconn: pq.abc.PGconn) -> int | None:
        """The address of the connection's SSL object, if it has one that this library knows.

        https://www.postgresql.org/docs/current/libpq-status.html#LIBPQ-PQSSLSTRUCT"""
        address = getattr(pgconn, "pgconn_ptr", None)
        ssl = self.functions["PQsslStruct"](address, b"OpenSSL") if address else None
        if not ssl:
            return None
        told = self.functions["PQsslAttribute"](address, b"protocol")
        return int(ssl) if told and told == self.functions["SSL_get_version"](ssl) else None


def openssl_of(pgconn: pq.abc.PGconn) -> OpenSsl | None:
    """The OpenSSL behind this connection's libpq; None if it cannot be told for certain."""
    module = sys.modules.get(type(pgconn).__module__)
    path = getattr(module, "__file__", None)
    if not sys.platform.startswith("linux") or path is None or not path.endswith(".so"):
        return None
    return _loaded(path)


@cache
def _loaded(path: str) -> OpenSsl | None:
    try:
        own, everybodys = ctypes.PyDLL(path), ctypes.PyDLL(None)
        functions = {name: getattr(own, name) for name in _SIGNATURES}
    except (AttributeError, OSError):
        return None
    for name, function in functions.items():
        other = getattr(everybodys, name, None)
        if other is not None and _address(other) != _address(function):
            return None
        function.restype, function.argtypes = _SIGNATURES[name]
    return OpenSsl(functions)


def _address(function: Any) -> int | None:
    return ctypes.cast(function, ctypes.c_void_p).value
