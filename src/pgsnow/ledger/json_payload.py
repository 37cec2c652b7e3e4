"""Values as jsonb can store them, of bounded length: a rejected row may contain any value of any length."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, overload

MAX_TEXT = 4_000
"""Characters of a reason, an error, or one value of a payload."""
MAX_PAYLOAD = 64_000
"""Characters of a payload as JSON."""
LEFT_OUT = "… [left out: the row is too long]"


@overload
def cut(text: str) -> str: ...
@overload
def cut(text: None) -> None: ...
def cut(text: str | None) -> str | None:
    """Text that Postgres can store, at most MAX_TEXT characters of it, with a note if there was more."""
    if text is None:
        return None
    text = _clean(text)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… [cut: {len(text)} characters]"


def storable(value: Any) -> Any:
    """The value in JSON's types, as jsonb accepts them; bytes become hex, other types their text.

    jsonb accepts no NUL character, no half of a surrogate pair and no NaN:
    https://www.postgresql.org/docs/current/datatype-json.html
    """
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return _clean(value)
        case bytes() | bytearray() | memoryview():
            return "\\x" + bytes(value).hex()
        case Mapping():
            return {_clean(str(name)): storable(item) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [storable(item) for item in value]
        case _:
            return _clean(str(value))


def bounded(payload: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The payload with long values cut, and its last values left out if it would exceed MAX_PAYLOAD."""
    if payload is None:
        return None
    room = MAX_PAYLOAD
    kept: dict[str, Any] = {}
    for name, value in payload.items():
        short = _short(storable(value))
        size = len(json.dumps(short, ensure_ascii=False)) + len(name)
        kept[_clean(str(name))] = short if size <= room else LEFT_OUT
        room -= min(size, room)
    return kept


def _short(value: Any) -> Any:
    if isinstance(value, str):
        return cut(value)
    text = json.dumps(value, ensure_ascii=False)
    return value if len(text) <= MAX_TEXT else cut(text)


def _clean(text: str) -> str:
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
