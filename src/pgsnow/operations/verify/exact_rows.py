"""Rows of both sides in canonical values, which finally say whether the sides differ.

They come as Postgres's own text and as what the Snowflake connector returns, without the sync's reader and without the
hashes that have led to them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from psycopg.sql import SQL, Composable, Identifier

from pgsnow.model.key_range import Key
from pgsnow.model.types.canonical_text import canonical_text
from pgsnow.model.types.mapping import Field
from pgsnow.operations.verify.canonical import from_postgres, from_snowflake
from pgsnow.operations.verify.in_flight import unread_rows
from pgsnow.operations.verify.open_table import OpenTable, Row
from pgsnow.postgres import sql
from pgsnow.postgres.compare import content
from pgsnow.postgres.read.as_text import read_text_of
from pgsnow.snowflake.load.duplicates import identity_of
from pgsnow.snowflake.names import text as constant
from pgsnow.snowflake.query import select_all, select_rows
from pgsnow.snowflake.schema.length_limits import Limit, limits_of
from pgsnow.snowflake.sql import compare_content
from pgsnow.snowflake.sql import direct_copy as sql_text

AT_ONCE = 1_000
"""Keys that are looked at together."""


@dataclass(slots=True)
class Look:
    """Rows of both sides by the canonical values of their key; by the whole row in a table without a key. unread: the
    keys of source rows that changed after the last read."""

    source: dict[Row, list[Row]] = field(default_factory=lambda: defaultdict(list))
    target: dict[Row, list[Row]] = field(default_factory=lambda: defaultdict(list))
    unread: set[Row] = field(default_factory=set)


@dataclass
class ExactRows:
    """Reads rows of one table by their keys."""

    table: OpenTable

    @cached_property
    def unread(self) -> Composable | None:
        """A condition: the row changed after the last read. None: that cannot be told."""
        return unread_rows(self.table)

    @cached_property
    def _shortened(self) -> list[tuple[int, Limit]]:
        """The columns whose values are changed where they are too long, by their index."""
        plan = self.table.plan
        changed = {each.source: each for each in limits_of(self.table.columns, plan.output) if each.changes}
        return [(at, changed[f.source]) for at, f in enumerate(plan.output) if f.source in changed]

    @cached_property
    def _key_at(self) -> list[int]:
        return [self.table.plan.output.index(field) for field in self.table.plan.key]

    def values(self, key: Key) -> Row:
        """The canonical values of a key."""
        return tuple(from_postgres(f, text) for f, text in zip(self.table.plan.key, key, strict=True))

    def key_of(self, row: Row) -> Row:
        """The canonical values of a row's key; the row itself in a table without a key."""
        return tuple(row[at] for at in self._key_at) if self._key_at else row

    def look(self, keys: Sequence[Key]) -> Look:
        """The rows with these keys (in a table without a key: with these hashes) as they are now: first the source's,
        then the target's, so that a row of the target is as new as the source's, or newer."""
        found, plan = Look(), self.table.plan
        condition = self._with_hash(keys) if not plan.key else _with_key(plan.key, keys)
        for flagged, texts in read_text_of(self.table.conn, plan, plan.output, condition, self.unread):
            row = self.expected(texts)
            found.source[self.key_of(row)].append(row)
            found.unread.update([self.key_of(row)] if flagged else ())
        for values in self._in_target(keys):
            row = self.loaded(values)
            found.target[self.key_of(row)].append(row)
        return found

    def expected(self, texts: Sequence[str | None]) -> Row:
        """The row that the target should hold, from Postgres's texts."""
        output, absent = self.table.plan.output, self.table.absent
        return self.fitted(
            [
                None if f.source in absent else from_postgres(f, text)
                for f, text in zip(output, texts, strict=True)
            ]
        )

    def fitted(self, row: Sequence[Any]) -> Row:
        """The row as the target's columns hold it, where they are shorter than the source's."""
        values = list(row)
        for at, limit in self._shortened:
            values[at] = limit.fit(values[at])
        return tuple(values)

    def loaded(self, values: Row) -> Row:
        """A row of the target."""
        return tuple(from_snowflake(f, v) for f, v in zip(self.table.plan.output, values, strict=True))

    def repeated(self) -> Iterator[Row]:
        """Rows of the target beyond the first of their identity, in mode append."""
        plan = self.table.plan
        query = sql_text.select_surplus(plan.target, plan.output, identity_of(plan))
        for page in self.table.session.stream(query):
            yield from map(self.loaded, page)

    def _in_target(self, keys: Sequence[Key]) -> list[Row]:
        plan, session, unmarked = self.table.plan, self.table.session, self.table.unmarked
        if plan.key:
            names = [self.values(key) for key in keys]
            return select_rows(session, plan.target, plan.output, plan.key, names, unmarked)
        digest = compare_content.row_hash(self.table.cells, octets=self.table.unchecked_text)
        listed = ", ".join(constant(key[0]) for key in keys)
        return select_all(session, plan.target, plan.output, f"{digest} IN ({listed})")

    def _with_hash(self, keys: Sequence[Key]) -> Composable:
        digest = content.row_hash(self.table.cells, self.table.encoding)
        return SQL("{} in ({})").format(digest, SQL(", ").join(sql.literal(key[0]) for key in keys))


def _with_key(fields: Sequence[Field], keys: Sequence[Key]) -> Composable:
    """A condition on the columns themselves, which an index serves: each form of a key equals the value that it stands
    for."""
    names = SQL(", ").join(Identifier(f.source) for f in fields)
    forms = [kind.source_constant if (kind := canonical_text(f)) else "{text}" for f in fields]
    rows = SQL(", ").join(
        SQL("({})").format(
            SQL(", ").join(
                SQL(form).format(text=sql.literal(text)) for form, text in zip(forms, key, strict=True)
            )
        )
        for key in keys
    )
    return SQL("({}) in ({})").format(names, rows)
