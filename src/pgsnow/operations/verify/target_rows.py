"""Rows of a target by key, for a comparison."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from pgsnow.model.plan import TablePlan
from pgsnow.operations.verify.canonical import from_snowflake
from pgsnow.operations.verify.source_rows import Row
from pgsnow.snowflake.query import count_rows, select_all, select_rows
from pgsnow.snowflake.session import Session

SMALL = 10_000
"""A target with at most this many rows is read as a whole, once, because a statement with that many keys takes
longer."""


class TargetRows:
    """Rows of a target in canonical values, one for each output field. Raises TargetMissing."""

    def __init__(self, session: Session, plan: TablePlan) -> None:
        self._session = session
        self._plan = plan
        self._key_at = [plan.output.index(field) for field in plan.key]
        self.count = count_rows(session, plan.target)
        self._whole = self._read_whole() if self.count <= SMALL else None

    def of(self, keys: Sequence[Row]) -> Iterator[Row]:
        """The rows with these keys, duplicates included. A few thousand keys at most."""
        if self._whole is not None:
            for key in keys:
                yield from self._whole.get(key, ())
        elif keys:
            plan = self._plan
            yield from map(
                self._canonical, select_rows(self._session, plan.target, plan.output, plan.key, keys)
            )

    def _read_whole(self) -> dict[Row, list[Row]]:
        found: dict[Row, list[Row]] = defaultdict(list)
        for values in select_all(self._session, self._plan.target, self._plan.output):
            row = self._canonical(values)
            found[tuple(row[at] for at in self._key_at)].append(row)
        return dict(found)

    def _canonical(self, row: Row) -> Row:
        return tuple(from_snowflake(f, v) for f, v in zip(self._plan.output, row, strict=True))
