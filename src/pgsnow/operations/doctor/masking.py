"""Masking for a report that leaves the company: no secrets, no values of rows, no addresses of services.

Names of tables, columns and hosts stay, because a bug cannot be understood without them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from enum import Enum
from typing import Any

from pgsnow.model.settings.redaction import MASK, redacted
from pgsnow.model.settings.secret import Secret

VALUE = "…"
"""Stands for a value of a row."""
_SECRET_KEY = re.compile(
    r"passw|secret|salt|token|(?<!primary)_key\Z|url|uri|dsn|webhook|heartbeat|header", re.IGNORECASE
)
"""Keys of the table list whose values are addresses or credentials."""
_CONDITION_KEYS = frozenset({"where"})
"""Keys of the table list whose values are SQL, in which constants are values of rows."""
_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_ADDRESS = re.compile(r"(https?://)[^\s'\"<>)\]}]+")
_QUOTED = re.compile(r"'(?:[^']|'')*'")
_ROW_KEY = re.compile(r"(?<=\))\s*=\s*\([^)]*\)|(?<=\()[^()]*=[^()]*(?=\))")
"""`Key (id)=(17)` of Postgres, and `(id=17)`."""
_REPORTED = re.compile(r'(?<=: )"[^"]*"|DETAIL:.*', re.DOTALL)
"""`invalid input syntax for type integer: "abc"`, and what a server adds about rows."""
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
_LONG_NUMBER = re.compile(r"(?<![\w.])-?\d[\d.]{8,}(?!\w)")


def without_values(text: str) -> str:
    """The text of an error or of an event without what may be a value of a row: quoted constants, keys, addresses of
    people, long numbers."""
    for pattern in (_REPORTED, _QUOTED, _ROW_KEY, _EMAIL, _LONG_NUMBER):
        text = pattern.sub(VALUE, text)
    return text


def masked(value: Any, secrets: Iterable[Secret]) -> Any:
    """A JSON document in which no text contains a secret or the address of a web service. Moments become text."""
    known = tuple(secrets)
    if isinstance(value, Mapping):
        return {str(key): masked(item, known) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [masked(item, known) for item in value]
    if isinstance(value, Enum):
        return masked(value.value, known)
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return _ADDRESS.sub(rf"\1{MASK}", redacted(str(value), known))


def masked_table_list(document: Any, secrets: Iterable[Secret]) -> Any:
    """The parsed table list: addresses and credentials are masked unless they are a reference such as `${NAME}`, and
    conditions lose their constants."""
    if isinstance(document, Mapping):
        return {str(key): _entry(str(key), value, secrets) for key, value in document.items()}
    if isinstance(document, list):
        return [masked_table_list(item, secrets) for item in document]
    return masked(document, secrets)


def _entry(key: str, value: Any, secrets: Iterable[Secret]) -> Any:
    if _SECRET_KEY.search(key) and value is not None and not isinstance(value, (bool, Mapping, list)):
        return value if isinstance(value, str) and _VARIABLE.fullmatch(value) else MASK
    if isinstance(value, str) and key in _CONDITION_KEYS:
        return masked(without_values(value), secrets)
    if _SECRET_KEY.search(key) and isinstance(value, (Mapping, list)):
        return _all_masked(value)
    return masked_table_list(value, secrets)


def _all_masked(value: Any) -> Any:
    """Every value below a key such as `headers`."""
    if isinstance(value, Mapping):
        return {str(key): _all_masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_all_masked(item) for item in value]
    return value if isinstance(value, str) and _VARIABLE.fullmatch(value) else MASK
