# ruff: noqa: S608  (composing SQL is what this module is for; every name in it goes through names.py)
"""Queries of the target's side of a comparison, as text: digests of key ranges, their rows, and keys that cut them.

Ranges are disjoint and ascending. Texts are compared by their bytes, whatever collation a column has.
Sources: Snowflake docs, "Collation support", "MD5", "TO_NUMBER" (format model X), "MOD", "QUALIFY".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pgsnow.model.key_range import MIXED_TOGETHER, MIXING_OFFSET, MIXING_PRIMES, Key, KeyRange
from pgsnow.model.table import TargetName
from pgsnow.model.types.canonical_text import CanonicalText, canonical_text
from pgsnow.model.types.mapping import Field
from pgsnow.snowflake.names import qualified, quote, text

ROW_HASH = '"__PGSNOW_ROW_HASH"'
"""Name of the column with the hash of a row, where one is computed."""
HASH_TEXT = CanonicalText("{c}", "{c}", binary=True)
FLOAT_TEXT = CanonicalText("{c}", "{c}", target_constant="{text}::FLOAT")


@dataclass(frozen=True, slots=True)
class TargetKey:
    """The key of a target. columns: each column's SQL and how it is written. pieces: integer expressions, summed up as
    those of the source's side."""

    columns: tuple[tuple[str, CanonicalText], ...]
    pieces: tuple[str, ...]

    @property
    def texts(self) -> list[str]:
        """The canonical texts of the key's columns."""
        return [kind.target.format(c=column) for column, kind in self.columns]

    @property
    def order(self) -> str:
        """The expressions that rows are ordered by."""
        return ", ".join(_compared(column, kind) for column, kind in self.columns)

    def before(self, bound: Key) -> str:
        """A condition: the row's key lies before this bound."""
        terms, equal = [], ""
        for (column, kind), value in zip(self.columns, bound, strict=True):
            left, right = _compared(column, kind), kind.target_constant.format(text=text(value))
            terms.append(f"{equal}{left} < {right}")
            equal += f"{left} = {right} AND "
        return terms[0] if len(terms) == 1 else "(" + " OR ".join(f"({term})" for term in terms) + ")"

    def within(self, range_: KeyRange) -> str:
        """A condition: the row's key lies in the range; '' if every key does."""
        first = "" if range_.first is None else self._since(range_.first)
        end = "" if range_.end is None else self.before(range_.end)
        return " AND ".join(filter(None, (first, end)))

    def _since(self, bound: Key) -> str:
        if len(bound) > 1:
            return f"NOT {self.before(bound)}"
        ((column, kind),) = self.columns
        return f"{_compared(column, kind)} >= {kind.target_constant.format(text=text(bound[0]))}"


def target_key(key: Sequence[Field], *, hashed: bool = False) -> TargetKey:
    """The key with these fields; if there are none, or if `hashed`, the hash of the rows."""
    if hashed or not key:
        return TargetKey(((ROW_HASH, HASH_TEXT),), hash_pieces(ROW_HASH)[:1])
    columns = tuple((quote(field.target), canonical_text(field) or FLOAT_TEXT) for field in key)
    return TargetKey(columns, _pieces(key, columns))


def hash_pieces(digest: str) -> tuple[str, str]:
    """Integers below 2^60 from the first and the second 15 digits of an MD5, given as text."""
    form = "'XXXXXXXXXXXXXXX'"
    return f"TO_NUMBER(SUBSTR({digest}, 1, 15), {form})", f"TO_NUMBER(SUBSTR({digest}, 16, 15), {form})"


def _pieces(key: Sequence[Field], columns: Sequence[tuple[str, CanonicalText]]) -> tuple[str, ...]:
    if any(kind is FLOAT_TEXT for _, kind in columns):
        return ()
    if len(columns) <= MIXED_TOGETHER and all(kind.whole for _, kind in columns):
        names = [column for column, _ in columns]
        return (*names, _mixed(names))
    texts = [kind.target.format(c=column) for column, kind in columns]
    if len(columns) == 1:
        return hash_pieces(f"MD5({texts[0]})")[:1]
    parts = [
        f"MD5({written})" if kind.binary and field.type.postgres != "uuid" else written
        for written, (_, kind), field in zip(texts, columns, key, strict=True)
    ]
    return hash_pieces(f"MD5({' || '.join(_with_commas(parts))})")[:1]


def _with_commas(parts: Iterable[str]) -> Iterator[str]:
    for at, part in enumerate(parts):
        if at:
            yield "','"
        yield part


def _mixed(columns: Sequence[str]) -> str:
    """As `_mixed` of the source's side. The casts keep the products exact."""
    p, q, r = MIXING_PRIMES
    mixed = ""
    for column in columns:
        value = f"({mixed} + MOD({column}, {p}))" if mixed else column
        low = f"MOD({value}, {p})"
        mixed = f"MOD({low}::NUMBER(20,0) * ({low}::NUMBER(11,0) + {MIXING_OFFSET}), {q})"
    return mixed if len(columns) > 1 else f"{mixed}::NUMBER(20,0) * MOD({columns[0]}, {r})::NUMBER(11,0)"


def _compared(column: str, kind: CanonicalText) -> str:
    return f"COLLATE({column}, '')" if kind.binary and column != ROW_HASH else column


@dataclass(frozen=True, slots=True)
class TargetRows:
    """The rows of a target that are compared: those that have a key. content, row_hash: as on the source's side.
    conditions: on the rows."""

    target: TargetName
    key: TargetKey
    content: tuple[str, ...] = ()
    row_hash: str = ""
    conditions: tuple[str, ...] = ()

    @property
    def pieces(self) -> tuple[str, ...]:
        """The expressions that are summed up."""
        return self.content or self.key.pieces

    def table(self, within: str = "") -> str:
        """A FROM clause, with a WHERE if there are conditions."""
        own = [f"{column} IS NOT NULL" for column, _ in self.key.columns if column != ROW_HASH]
        own += self.conditions
        if not self.row_hash:
            return _where(qualified(self.target), within, *own)
        hashed = f"(SELECT *, {self.row_hash} AS {ROW_HASH} {_where(qualified(self.target), *own)}) AS HASHED"
        return _where(hashed, within)


def _where(table: str, *conditions: str) -> str:
    present = " AND ".join(f"({one})" for one in conditions if one)
    return f"FROM {table} WHERE {present}" if present else f"FROM {table}"


def digests(rows: TargetRows, ranges: Sequence[KeyRange]) -> str:
    """(index of the range, number of rows, sum of each piece) of each range that has rows."""
    named = [f"{piece} AS P{at}" for at, piece in enumerate(rows.pieces)]
    chosen = ", ".join([f"{bucket_of(rows.key, ranges)} AS N", *named])
    sums = ", ".join(["N", "COUNT(*)", *(f"SUM(P{at}::NUMBER(38,0))" for at in range(len(named)))])
    return (
        f"SELECT {sums} FROM (SELECT {chosen} {rows.table(union(rows.key, ranges))}) AS KEYED"
        " WHERE N IS NOT NULL GROUP BY N"
    )


def bucket_of(key: TargetKey, ranges: Sequence[KeyRange]) -> str:
    """The index of the range that holds the row; NULL for a row between two ranges. A tree of comparisons, as deep as
    the logarithm of their number."""
    parts: list[tuple[KeyRange, int | None]] = []
    for number, range_ in enumerate(ranges):
        if parts and range_.first != parts[-1][0].end:
            parts.append((KeyRange(parts[-1][0].end, range_.first), None))
        parts.append((range_, number))
    return _tree(key, parts)


def _tree(key: TargetKey, parts: Sequence[tuple[KeyRange, int | None]]) -> str:
    if len(parts) == 1:
        number = parts[0][1]
        return "NULL" if number is None else str(number)
    middle = len(parts) // 2
    bound = parts[middle][0].first
    if bound is None:
        raise ValueError("only the first range may have no first key")
    return f"CASE WHEN {key.before(bound)} THEN {_tree(key, parts[:middle])} ELSE {_tree(key, parts[middle:])} END"


def union(key: TargetKey, ranges: Sequence[KeyRange]) -> str:
    """A condition: the row lies in one of the ranges; '' if they cover every key. Adjacent ranges become one."""
    spans: list[KeyRange] = []
    for range_ in ranges:
        if spans and range_.first is not None and range_.first == spans[-1].end:
            spans[-1] = KeyRange(spans[-1].first, range_.end)
        else:
            spans.append(range_)
    conditions = [key.within(span) for span in spans]
    return "" if "" in conditions else " OR ".join(f"({one})" for one in conditions)


def rows_of(rows: TargetRows, ranges: Sequence[KeyRange]) -> str:
    """The texts of the key and the pieces of the content of the rows in these ranges."""
    return f"SELECT {', '.join([*rows.key.texts, *rows.content])} {rows.table(union(rows.key, ranges))}"


def bounds(rows: TargetRows, ranges: Sequence[KeyRange], steps: Sequence[int]) -> str:
    """(index of the range, place, texts of the key) of every steps[i]-th key of the i-th range, without its first."""
    names = [f"K{at}" for at in range(len(rows.key.texts))]
    texts = ", ".join(f"{one} AS {name}" for one, name in zip(rows.key.texts, names, strict=True))
    bucket = bucket_of(rows.key, ranges)
    step = " ".join(f"WHEN {at} THEN {step}" for at, step in enumerate(steps))
    place = f"ROW_NUMBER() OVER (PARTITION BY {bucket} ORDER BY {rows.key.order})"
    inner = f"SELECT {bucket} AS N, {place} AS PLACE, {texts} {rows.table(union(rows.key, ranges))}"
    return (
        f"SELECT N, PLACE, {', '.join(names)} FROM ({inner}) AS KEYED"
        f" WHERE N IS NOT NULL AND PLACE > 1 AND MOD(PLACE - 1, CASE N {step} END) = 0"
    )
