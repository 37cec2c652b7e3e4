"""Is a target equal to its source? Told by plain queries of both ends, without any code of pgsnow.

One query a side and table; the rows of both are compared as they are, cell by cell. The source has to be quiet.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.oracle import postgres, snowflake
from tests.oracle.values import source_cell, target_cell

Row = tuple[Any, ...]
MARK = "_PGSNOW_DELETED_AT"
PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")


@dataclass(frozen=True)
class Comparison:
    """What is compared: a table's entry of the configuration, and what a test knows beyond it.

    expected: a SELECT whose rows the target should hold; by default all of the source's.
    cells: a column → the SQL expression of what the target should hold there, where that is not the column itself.
    """

    entry: Mapping[str, Any]
    expected: str | None = None
    cells: Mapping[str, str] = field(default_factory=dict)
    ledger_schema: str = "public"

    @property
    def source(self) -> str:
        return str(self.entry["source"])

    @property
    def columns(self) -> Mapping[str, Any]:
        return self.entry.get("columns") or {}


@dataclass(frozen=True)
class Difference:
    """kind: missing (not in the target), extra (not in the source), duplicate (a key is in the target too often),
    altered (`column` differs) or no table."""

    kind: str
    key: Row = ()
    column: str | None = None
    source: Any = None
    target: Any = None


def differences(
    source: psycopg.Connection[Any], read: Callable[[str], snowflake.TargetRows | None], what: Comparison
) -> list[Difference]:
    """Every difference of a table; none if source and target are equal. read: the rows of a target, by its name in the
    configuration; None if it does not exist."""
    held = read(what.entry["target"])
    if held is None:
        return [Difference("no table")]
    query = what.expected or postgres.select_all(source, what.source, what.entry.get("where"))
    wanted = _without_columns_left_out(postgres.read(source, query, what.cells), what.columns)
    pairs = [_target_column(column, held, what.columns) for column in wanted.columns]
    if absent := [name for name in pairs if name not in held.types]:
        return [Difference("altered", column=name, target="no such column") for name in absent]
    key = _key(source, what, wanted)
    rejected = _rejected(
        source, what, [wanted.columns[at] for at in key], [held.types[pairs[at]] for at in key]
    )
    sources, targets = _source_rows(wanted, held, pairs), _target_rows(held, pairs)
    return list(_compare(sources, targets, key, pairs, rejected, grows=what.entry.get("mode") == "append"))


def _without_columns_left_out(wanted: postgres.SourceRows, columns: Mapping[str, Any]) -> postgres.SourceRows:
    include, exclude = columns.get("include"), columns.get("exclude", ())
    kept = [
        at
        for at, column in enumerate(wanted.columns)
        if (not include or column.name in include) and column.name not in exclude
    ]
    return postgres.SourceRows(
        [wanted.columns[at] for at in kept], [tuple(row[at] for at in kept) for row in wanted.rows]
    )


def _target_column(
    column: postgres.SourceColumn, held: snowflake.TargetRows, columns: Mapping[str, Any]
) -> str:
    """Names in lower case are in capitals in Snowflake, others as they are. A column whose type has changed has moved
    to one that is named after the type as well, such as A__BINARY."""
    renamed = columns.get("rename", {}).get(column.name)
    name = renamed or (column.name.upper() if PLAIN.fullmatch(column.name) else column.name)
    wanted = (column.kind, column.scale if column.kind == "FIXED" else 0)
    fitting = [
        other
        for other, kind in held.types.items()
        if (other == name or other.startswith(f"{name}__"))
        and (kind, held.scales[other] if kind == "FIXED" else 0) == wanted
    ]
    return name if name in fitting or not fitting else fitting[-1]


def _key(source: psycopg.Connection[Any], what: Comparison, wanted: postgres.SourceRows) -> list[int]:
    """Places of the key's columns: all columns, where there is no key."""
    given = what.entry.get("pk") or postgres.primary_key(source, what.source)
    names = [given] if isinstance(given, str) else list(given)
    places = [at for at, column in enumerate(wanted.columns) if column.name in names]
    return places if names and len(places) == len(names) else list(range(len(wanted.columns)))


def _rejected(
    source: psycopg.Connection[Any],
    what: Comparison,
    key: Sequence[postgres.SourceColumn],
    types: Sequence[str],
) -> frozenset[Row]:
    keys = postgres.rejected_keys(
        source, what.ledger_schema, what.entry.get("name") or _full_name(what.source)
    )
    return frozenset(
        tuple(source_cell(found.get(c.name), kind) for c, kind in zip(key, types, strict=True))
        for found in keys
    )


def _full_name(source: str) -> str:
    return source if "." in source else f"public.{source}"


def _source_rows(
    wanted: postgres.SourceRows, held: snowflake.TargetRows, pairs: Sequence[str]
) -> Iterator[Row]:
    kinds = [held.types[name] for name in pairs]
    for row in wanted.rows:
        yield tuple(source_cell(text, kind) for text, kind in zip(row, kinds, strict=True))


def _target_rows(held: snowflake.TargetRows, pairs: Sequence[str]) -> Iterator[Row]:
    """Rows without a mark: those with one were deleted in the source."""
    places = [(held.at(name), held.types[name]) for name in pairs]
    mark = held.at(MARK) if MARK in held.types else None
    for row in held.rows:
        if mark is not None and row[mark] is not None:
            continue
        yield tuple(target_cell(row[at], kind) for at, kind in places)


def _compare(
    sources: Iterator[Row],
    targets: Iterator[Row],
    key: Sequence[int],
    columns: Sequence[str],
    rejected: Collection[Row],
    *,
    grows: bool,
) -> Iterator[Difference]:
    """grows: the target keeps rows that the source has no more."""

    def key_of(row: Row) -> Row:
        return tuple(row[at] for at in key)

    wanted = Counter(row for row in sources if key_of(row) not in rejected)
    found = Counter(row for row in targets if key_of(row) not in rejected)
    missing, extra = wanted - found, Counter() if grows else found - wanted
    in_place: dict[Row, list[Row]] = defaultdict(list)
    for row in extra.elements():
        in_place[key_of(row)].append(row)
    for row in missing.elements():
        if others := in_place[key_of(row)]:
            yield from _altered(row, others.pop(), key_of(row), columns)
        else:
            yield Difference("missing", key_of(row), source=row)
    known = {key_of(row) for row in wanted}
    for left, others in in_place.items():
        for row in others:
            yield Difference("duplicate" if left in known else "extra", left, target=row)


def _altered(source: Row, target: Row, key: Row, columns: Sequence[str]) -> Iterator[Difference]:
    for column, wanted, found in zip(columns, source, target, strict=True):
        if wanted != found:
            yield Difference("altered", key, column, wanted, found)
