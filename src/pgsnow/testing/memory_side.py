"""The side of a comparison that a target in memory is. Its sums are those that Postgres and Snowflake compute."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from pgsnow.model.key_range import Key, KeyRange, RangeDigest
from pgsnow.model.metadata_columns import DELETED_AT_COLUMN
from pgsnow.model.types.canonical_text import canonical_text
from pgsnow.model.types.mapping import Field
from pgsnow.sync.compare.sides import Row
from pgsnow.sync.compare.value_text import key_of_values
from pgsnow.testing.memory_target import MemoryTarget

PRIMES = (2147483647, 2147483629, 1073741789)
OFFSET = 1013904223


class MemorySide:
    """See `Side`. without: values of keys to leave out. only: leave out all others."""

    ordered = True

    def __init__(
        self,
        target: MemoryTarget,
        *,
        without: Sequence[tuple[Any, ...]] = (),
        only: Sequence[tuple[Any, ...]] | None = None,
    ) -> None:
        self._target = target
        self._fields = target.plan.target_key
        self._without, self._only = set(without), None if only is None else set(only)
        self.statements = 0

    def digests(self, ranges: Sequence[KeyRange]) -> list[RangeDigest]:
        keys = self._keys()
        return [self._digest([key for key in keys if self._is_in(key, each)]) for each in ranges]

    def bounds(self, ranges: Sequence[KeyRange], rows: Sequence[int], parts: int) -> list[list[Key]]:  # noqa: ARG002
        keys, found = sorted(set(self._keys()), key=self._order), list[list[Key]]()
        for each in ranges:
            inside = [key for key in keys if self._is_in(key, each)]
            cuts = [inside[len(inside) * at // parts] for at in range(1, parts) if inside]
            first = each.first
            found.append([key for at, key in enumerate(cuts) if key != first and key not in cuts[:at]])
        return found

    def rows(self, ranges: Sequence[KeyRange]) -> Iterator[Row]:
        for key in self._keys():
            if any(self._is_in(key, each) for each in ranges):
                yield key, ()

    def _keys(self) -> list[Key]:
        self.statements += 1
        names = [field.target for field in self._fields]
        with self._target.step("compare"):
            rows = self._target.warehouse.table(self._target.plan.target).rows
            values = [
                tuple(row[name] for name in names) for row in rows if row.get(DELETED_AT_COLUMN) is None
            ]
        return [
            key_of_values(value, self._fields)
            for value in values
            if value not in self._without and (self._only is None or value in self._only)
        ]

    def _digest(self, keys: Sequence[Key]) -> RangeDigest:
        pieces = [pieces_of(key, self._fields) for key in keys]
        return RangeDigest(len(keys), tuple(map(sum, zip(*pieces, strict=True))) if pieces else ())

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
    if len(key) == 1 and kinds[0] is not None and kinds[0].whole:
        value = int(key[0])
        p, q, r = PRIMES
        low = _rest(value, p)
        return value, _rest(low * (low + OFFSET), q) * _rest(value, r)
    if len(key) == 1:
        return (_piece(_md5(key[0])),)
    parts = [
        _md5(text) if kind is not None and kind.binary and field.type.postgres != "uuid" else text
        for text, kind, field in zip(key, kinds, fields, strict=True)
    ]
    return (_piece(_md5(",".join(parts))),)


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
