"""The side of a comparison that a target in memory is. Its sums are those that Postgres and Snowflake compute."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from pgsnow.model.key_range import (
    MIXED_TOGETHER,
    MIXING_OFFSET,
    MIXING_PRIMES,
    Key,
    KeyRange,
    RangeDigest,
)
from pgsnow.model.metadata_columns import DELETED_AT_COLUMN
from pgsnow.model.types.canonical_text import canonical_text
from pgsnow.model.types.content_cell import ContentCell
from pgsnow.model.types.mapping import Field
from pgsnow.sync.compare.sides import Row
from pgsnow.sync.compare.value_text import key_of_values, value_text
from pgsnow.testing.memory_target import MemoryTarget


class MemorySide:
    """See `Side`. without: values of keys to leave out. only: leave out all others."""

    ordered = True

    def __init__(
        self,
        target: MemoryTarget,
        *,
        without: Sequence[tuple[Any, ...]] = (),
        only: Sequence[tuple[Any, ...]] | None = None,
        cells: Sequence[ContentCell] = (),
        octets: bool = False,
    ) -> None:
        self._target = target
        self._fields = target.plan.target_key
        self._without, self._only = set(without), None if only is None else set(only)
        self._cells, self._octets = cells, octets
        self.statements = 0

    def digests(self, ranges: Sequence[KeyRange]) -> list[RangeDigest]:
        rows = self._rows()
        return [self._digest([row for row in rows if self._is_in(row[0], each)]) for each in ranges]

    def bounds(self, ranges: Sequence[KeyRange], rows: Sequence[int], parts: int) -> list[list[Key]]:  # noqa: ARG002
        keys, found = sorted({key for key, _ in self._rows()}, key=self._order), list[list[Key]]()
        for each in ranges:
            inside = [key for key in keys if self._is_in(key, each)]
            cuts = [inside[len(inside) * at // parts] for at in range(1, parts) if inside]
            first = each.first
            found.append([key for at, key in enumerate(cuts) if key != first and key not in cuts[:at]])
        return found

    def rows(self, ranges: Sequence[KeyRange]) -> Iterator[Row]:
        for key, pieces in self._rows():
            if any(self._is_in(key, each) for each in ranges):
                yield key, pieces

    def _rows(self) -> list[Row]:
        """All rows, with the pieces of the hash of their contents; () without cells."""
        self.statements += 1
        names = [field.target for field in self._fields]
        with self._target.step("compare"):
            rows = self._target.warehouse.table(self._target.plan.target).rows
            values = [
                (tuple(row[name] for name in names), self._content(row))
                for row in rows
                if row.get(DELETED_AT_COLUMN) is None
            ]
        return [
            (key_of_values(value, self._fields), content)
            for value, content in values
            if value not in self._without and (self._only is None or value in self._only)
        ]

    def _content(self, row: Mapping[str, Any]) -> tuple[int, ...]:
        if not self._cells:
            return ()
        text = "".join(f"{_cell(row[cell.field.target], cell, self._octets)}," for cell in self._cells)
        digest = _md5(text)
        return int(digest[:15], 16), int(digest[15:30], 16)

    def _digest(self, rows: Sequence[Row]) -> RangeDigest:
        pieces = [content or pieces_of(key, self._fields) for key, content in rows]
        return RangeDigest(len(rows), tuple(map(sum, zip(*pieces, strict=True))) if pieces else ())

    def _is_in(self, key: Key, within: KeyRange) -> bool:
        place = self._order(key)
        after = within.first is None or self._order(within.first) <= place
        return after and (within.end is None or place < self._order(within.end))

    def _order(self, key: Key) -> tuple[Any, ...]:
        return tuple(map(_place, key, self._fields))


def pieces_of(key: Key, fields: Sequence[Field]) -> tuple[int, ...]:
    """The integers whose sums over the rows are compared."""
    kinds = [canonical_text(field) for field in fields]
    if any(kind is None for kind in kinds):
        return ()
    if len(key) <= MIXED_TOGETHER and all(kind is not None and kind.whole for kind in kinds):
        values = tuple(map(int, key))
        return (*values, _mixed(values))
    if len(key) == 1:
        return (_piece(_md5(key[0])),)
    parts = [
        _md5(text) if kind is not None and kind.binary and field.type.postgres != "uuid" else text
        for text, kind, field in zip(key, kinds, fields, strict=True)
    ]
    return (_piece(_md5(",".join(parts))),)


def _mixed(values: Sequence[int]) -> int:
    """As `_mixed` of postgres/compare/keys.py."""
    p, q, r = MIXING_PRIMES
    mixed = 0
    for at, value in enumerate(values):
        low = _rest(mixed + _rest(value, p) if at else value, p)
        mixed = _rest(low * (low + MIXING_OFFSET), q)
    return mixed * _rest(values[0], r) if len(values) == 1 else mixed


def _cell(value: Any, cell: ContentCell, octets: bool) -> str:
    """A cell's part of a row's text, as postgres/compare/content.py has it."""
    if cell.family == "VARCHAR":
        return ":" if value is None else f"{len(value.encode()) if octets else len(value)}:{value}"
    if value is None:
        return ""
    if cell.family == "BINARY":
        return f"x{value.hex()}"
    if cell.family == "NUMBER":
        return str(Decimal(value).quantize(Decimal(1).scaleb(-cell.scale)))
    return _double(value) if cell.family == "FLOAT" else value_text(value, cell.field)


def _double(value: float) -> str:
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    h = math.floor(math.log(abs(value)) * 0.7213475204444817 + 0.15)
    return f"{h}:{int(value * 2.0 ** (27 - h) * 2.0 ** (27 - h))}"


def _rest(value: int, divisor: int) -> int:
    """The remainder as SQL has it: with the sign of the value."""
    return abs(value) % divisor * (1 if value >= 0 else -1)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _piece(digest: str) -> int:
    return int(digest[:15], 16)


def _place(text: str, field: Field) -> Any:
    family = field.type.snowflake.partition("(")[0]
    if family == "NUMBER":
        return Decimal(text)
    return float(text) if family == "FLOAT" else text.encode("utf-8", "surrogatepass")
