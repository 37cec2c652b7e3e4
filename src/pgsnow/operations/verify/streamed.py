"""Comparison of two streams of rows that no database can hash: in memory and disk that do not grow with their number.

Each side is read once, and the hashes of its rows are added up by the hash of their key. Only if sums differ, both are
read once more, and the rows behind those sums are written to files, small parts of which fit into memory.
"""

from __future__ import annotations

import json
import pickle
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from decimal import Decimal
from hashlib import blake2b
from tempfile import TemporaryFile
from typing import IO, Any

from pgsnow.model.key_range import ComparisonCounts, DifferenceKind
from pgsnow.model.types.mapping import Field
from pgsnow.operations.verify.canonical import from_postgres, from_snowflake
from pgsnow.operations.verify.open_table import Row

BUCKETS = 1 << 16
FILES = 256
LONGEST_NUMBER = 10_000
"""Digits before or after the decimal point."""
Stream = Callable[[], Iterable[tuple[Row, Row]]]
"""(key, content) of each row of a side; may be called twice. Values are equal where their `repr` is (see `plain_form`).
Values of the key are never None."""
_PRIVATE = "\ue000"
"""A character for private use, which marks numbers with a fraction."""


def differing_keys(
    source: Stream, target: Stream, counts: ComparisonCounts, buckets: Sequence[int] = range(BUCKETS)
) -> Iterator[tuple[DifferenceKind, Row, list[Row], list[Row]]]:
    """The keys in which two streams differ, each once, with the contents that each side has for it. buckets: only keys
    with these hashes are compared."""
    there, source_rows = _sums(source)
    here, target_rows = _sums(target)
    counts.source_rows, counts.target_rows = source_rows, target_rows
    unequal = frozenset(at for at in buckets if there[at] != here[at])
    counts.ranges += len(buckets)
    counts.equal_ranges += len(buckets) - len(unequal)
    counts.levels = max(counts.levels, 1)
    if not unequal:
        return
    with ExitStack() as files:
        spools = [[files.enter_context(TemporaryFile()) for _ in range(FILES)] for _ in range(2)]
        for stream, spool in zip((source, target), spools, strict=True):
            _write(stream, unequal, spool)
        for mine, others in zip(*spools, strict=True):
            yield from _compared(_read(mine), _read(others), counts)


def _sums(stream: Stream) -> tuple[list[int], int]:
    """The sums of 128-bit hashes by bucket, each with the number of its rows above, and the number of all rows."""
    sums, rows, one = [0] * BUCKETS, 0, 1 << 192
    for key, content in stream():
        text = repr(key).encode("utf-8", "surrogatepass")
        digest = blake2b(text + repr(content).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        sums[zlib.crc32(text) & 0xFFFF] += one + int.from_bytes(digest, "big")
        rows += 1
    return sums, rows


def _write(stream: Stream, unequal: frozenset[int], spool: Sequence[IO[bytes]]) -> None:
    for key, content in stream():
        bucket = zlib.crc32(repr(key).encode("utf-8", "surrogatepass")) & 0xFFFF
        if bucket in unequal:
            pickle.dump((key, content), spool[bucket % FILES], protocol=pickle.HIGHEST_PROTOCOL)


def _read(file: IO[bytes]) -> dict[Row, list[Row]]:
    file.seek(0)
    found: dict[Row, list[Row]] = {}
    while True:
        try:
            # The file has no name: nobody else can have written to it.
            key, content = pickle.load(file)
        except EOFError:
            return found
        found.setdefault(key, []).append(content)


def _compared(
    source: dict[Row, list[Row]], target: dict[Row, list[Row]], counts: ComparisonCounts
) -> Iterator[tuple[DifferenceKind, Row, list[Row], list[Row]]]:
    for key in source.keys() | target.keys():
        there, here = source.get(key, []), target.get(key, [])
        counts.keys_read += len(there) + len(here)
        if Counter(map(repr, there)) == Counter(map(repr, here)):
            continue
        one = DifferenceKind.GHOST if here else DifferenceKind.MISSING
        yield DifferenceKind.CHANGED if there and here else one, key, there, here


def plain_form(row: Row) -> Row:
    """A row of canonical values, equal in `repr` to every row that it is equal to."""
    return tuple(map(_plain, row))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return Decimal(_digits(value))
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    return 0.0 if isinstance(value, float) and value == 0 else value


def _digits(number: Decimal) -> str:
    """The number without an exponent and without trailing zeros; `0` for every zero. One that would be very long stays
    as it is."""
    if abs(number.adjusted()) > LONGEST_NUMBER:
        return str(number)
    text = format(number, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


class _Fraction:
    """A number with a fraction, in JSON text that is compared."""

    def __init__(self, text: str) -> None:
        self.text = text


def _number(text: str) -> Any:
    digits = _digits(Decimal(text))
    return _Fraction(digits) if "." in digits else int(digits)


_decode = json.JSONDecoder(parse_float=_number).decode
_encode = json.JSONEncoder(
    sort_keys=True,
    ensure_ascii=False,
    separators=(",", ":"),
    default=lambda fraction: {_PRIVATE: fraction.text},
).encode


def json_form(text: str | None, slow: Callable[[str], Any] | None = None) -> str | None:
    """A text that JSON texts have in common if they have the same value, in which objects have no order and numbers
    compare by value; None for NULL. slow: the canonical value of a text that cannot be written so."""
    if text is None:
        return None
    try:
        if _PRIVATE not in text and "\\ue000" not in text and "\\uE000" not in text:
            return _encode(_decode(text))
    except (ValueError, ArithmeticError, RecursionError):
        pass
    return "\0" + repr(_plain(slow(text))) if slow is not None else "\0" + text


def document_form(field: Field, *, of_target: bool) -> Callable[[Any], Any]:
    """The function that writes values of a column in a form for `differing_keys`."""
    if field.type.snowflake == "VARIANT":
        return lambda text: json_form(text, lambda given: from_postgres(field, given))
    return lambda value: _plain((from_snowflake if of_target else from_postgres)(field, value))
