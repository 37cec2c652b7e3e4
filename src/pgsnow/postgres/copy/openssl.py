"""The TLS session that libpq has set up on its connection, to read and write through it without libpq.

The functions must be those that libpq itself calls: OpenSSL's objects fit the library that made them. They are looked
up in psycopg's own compiled module and what that is linked with, which is where libpq is found as well. Where the
program has another OpenSSL among its global symbols, libpq may be bound to that one: then this module is not used.
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
    """The library's functions, by name. They keep the GIL, as none of them waits: the socket does not block."""

    functions: dict[str, Any]

    def session(self, pgconn: pq.abc.PGconn) -> int | None:
        """The address of the connection's SSL object; None if it has none, or one of another library.

        https://www.postgresql.org/docs/current/libpq-status.html#LIBPQ-PQSSLSTRUCT"""
        address = getattr(pgconn, "pgconn_ptr", None)
        ssl = self.functions["PQsslStruct"](address, b"OpenSSL") if address else None
        if not ssl:
            return None
        protocol = self.functions["PQsslAttribute"](address, b"protocol")
        return int(ssl) if protocol and protocol == self.functions["SSL_get_version"](ssl) else None


def openssl_of(pgconn: pq.abc.PGconn) -> OpenSsl | None:
    """The OpenSSL that this connection's libpq uses; None if it cannot be determined for certain."""
    module = sys.modules.get(type(pgconn).__module__)
    path = getattr(module, "__file__", None)
    if not sys.platform.startswith("linux") or path is None or not path.endswith(".so"):
        return None
    return _loaded(path)


@cache
def _loaded(path: str) -> OpenSsl | None:
    try:
        own, everywhere = ctypes.PyDLL(path), ctypes.PyDLL(None)
        functions = {name: getattr(own, name) for name in _SIGNATURES}
    except (AttributeError, OSError):
        return None
    for name, function in functions.items():
        other = getattr(everywhere, name, None)
        if other is not None and _address(other) != _address(function):
            return None
        function.restype, function.argtypes = _SIGNATURES[name]
    return OpenSsl(functions)


def _address(function: Any) -> int | None:
    return ctypes.cast(function, ctypes.c_void_p).value
