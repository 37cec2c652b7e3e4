r"""Text in a ledger whose database is not in UTF-8.

Whatever its encoding may lack is stored as `\u{263a}`, and read back as it was: keys, names and messages of the source
hold any character. Imported only for such a database. In one that is in UTF-8 nothing is changed.
https://www.postgresql.org/docs/current/multibyte.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg.types.string import StrDumper, StrDumperUnknown, TextLoader

_ISO_8859 = {1: 1, 2: 2, 3: 3, 4: 4, 5: 9, 6: 10, 7: 13, 8: 14, 9: 15, 10: 16}
"""LATIN<n> → the part of ISO 8859."""
CODECS: Mapping[str, str] = {
    **{f"LATIN{n}": f"iso8859_{part}" for n, part in _ISO_8859.items()},
    **{f"ISO_8859_{part}": f"iso8859_{part}" for part in (5, 6, 7, 8)},
    **{f"WIN{n}": f"cp{n}" for n in (866, 874, *range(1250, 1259))},
    "KOI8R": "koi8_r",
    "KOI8U": "koi8_u",
}
"""Encoding of a database → Python's codec, where both convert each character alike. Of any other encoding (several
bytes a character, SQL_ASCII) ASCII alone is relied on."""

_ESCAPE = re.compile(r"\\u\{([0-9a-f]+)\}")


def escaped(text: str, codec: str) -> str:
    r"""The text with `\u{…}` for each character that the codec lacks. A backslash that would begin such an escape is
    escaped itself, so that `unescaped` returns the same text. (Halves of surrogate pairs are never stored.)"""
    if text.isascii() and r"\u{" not in text:
        return text
    return "".join(_fitting(char, codec) for char in text.replace(r"\u{", r"\u{5c}u{"))


def unescaped(text: str) -> str:
    """The text that `escaped` was given."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


def _fitting(char: str, codec: str) -> str:
    try:
        char.encode(codec)
    except UnicodeEncodeError:
        return f"\\u{{{ord(char):x}}}"
    return char


def _within(value: Any, change: Callable[[str], str]) -> Any:
    """A value of JSON's types with each of its texts changed, names included."""
    match value:
        case str():
            return change(value)
        case Mapping():
            return {change(name): _within(item, change) for name, item in value.items()}
        case list() | tuple():
            return [_within(item, change) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class _Dumps:
    """`json.dumps` with escaped text. As characters: jsonb accepts none of its own escapes for what the encoding
    lacks. (psycopg keeps a class for each function; equal ones of several connections share it.)"""

    codec: str

    def __call__(self, value: Any) -> str:
        return json.dumps(_within(value, lambda text: escaped(text, self.codec)), ensure_ascii=False)


def _loads(data: str | bytes) -> Any:
    return _within(json.loads(data), unescaped)


def store_any_text(connection: psycopg.Connection[Any], encoding: str) -> None:
    """Make this connection escape the parameters that it sends, and unescape the text that it receives. encoding: of
    the database, as Postgres calls it."""
    codec = CODECS.get(encoding, "ascii")

    def dump(_: StrDumper, text: str) -> bytes:
        return escaped(text, codec).encode()

    def load(_: TextLoader, data: Any) -> str:
        return unescaped(bytes(data).decode())

    for base in (StrDumper, StrDumperUnknown):  # a list is dumped by the first, a single text by the second
        connection.adapters.register_dumper(str, type(base.__name__, (base,), {"dump": dump}))
    for name in ("text", "varchar", "name"):
        connection.adapters.register_loader(name, type("AnyTextLoader", (TextLoader,), {"load": load}))
    set_json_dumps(_Dumps(codec), connection)
    set_json_loads(_loads, connection)
