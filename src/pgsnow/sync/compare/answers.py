"""Answers of the two sides of a comparison: texts of keys, and the keys that cut ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from pgsnow.model.key_range import Key, KeyRange


def source_texts(column: Any) -> list[str]:
    """The texts of a column of the source; bytes that are not UTF-8 are shown as `\\xe9`."""
    try:
        found: list[str] = column.to_pylist()
    except UnicodeDecodeError:
        from pgsnow.postgres.text_values import text_at

        return [text_at(column, at) or "" for at in range(len(column))]
    return found


def target_text(value: Any) -> str:
    """A canonical text of the target; a FLOAT comes as a number, and is written as Postgres writes it."""
    return value if isinstance(value, str) else float_text(float(value))


def float_text(value: float) -> str:
    """A float as Postgres writes it, the shortest text that is this number.

    https://www.postgresql.org/docs/current/datatype-numeric.html#DATATYPE-FLOAT"""
    if value != value or value in (float("inf"), float("-inf")):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[repr(value)]
    sign, digits, power = Decimal(repr(value)).as_tuple()
    shown = "".join(map(str, digits)).rstrip("0") or "0"
    exponent = len(digits) + int(power) - 1
    if -5 < exponent < 15:
        return format(Decimal(repr(value)).normalize(), "f")
    fraction = f".{shown[1:]}" if shown[1:] else ""
    return f"{'-' * sign}{shown[0]}{fraction}e{exponent:+03d}"


def chunks(ranges: Sequence[KeyRange], size: int) -> Iterator[tuple[int, Sequence[KeyRange]]]:
    """Up to `size` ranges at a time, with the index of the first one."""
    for start in range(0, len(ranges), size):
        yield start, ranges[start : start + size]


def keys_by_range(
    rows: Iterable[tuple[Any, ...]], count: int, may_bound: Callable[[Key], bool]
) -> list[list[Key]]:
    """From rows of (index of the range, place, texts of the key) the keys of each range that may be bounds."""
    found: list[list[Key]] = [[] for _ in range(count)]
    for number, _, *key in sorted(rows, key=lambda row: (int(row[0]), int(row[1]))):
        bound = tuple(map(target_text, key))
        keys = found[int(number)]
        if may_bound(bound) and (not keys or keys[-1] != bound):
            keys.append(bound)
    return found
