"""The target's side of a comparison, through the session of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from pgsnow.model.key_range import Key, KeyRange, RangeDigest
from pgsnow.model.plan import TablePlan
from pgsnow.model.types.content_cell import ContentCell
from pgsnow.snowflake.query import constant
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql.compare_content import row_hash
from pgsnow.snowflake.sql.soft_deletes import UNMARKED
from pgsnow.snowflake.sql.statements import key_is_one_of
from pgsnow.sync.compare.sides import Row, TargetSide
from pgsnow.sync.load.session import RunSession

T = TypeVar("T")
Values = tuple[Any, ...]
"""The values of a key, as the target returns them."""


class RunTargetSide:
    """See `Side`. Transient errors are retried, except while rows are streamed."""

    ordered = True

    def __init__(
        self,
        session: RunSession,
        plan: TablePlan,
        *,
        without: Sequence[Values] = (),
        only: Sequence[Values] | None = None,
        cells: Sequence[ContentCell] = (),
        octets: bool = False,
        marks: bool = False,
    ) -> None:
        """See Destination.side. marks: the target has a column for marks of deleted rows, and marked rows are left
        out."""
        self._session = session
        self._plan = plan
        self._conditions = [UNMARKED] if marks else []
        self._conditions += [f"NOT ({among(plan, without)})"] if without else []
        if only is not None:
            self._conditions.append(among(plan, only) if only else "FALSE")
        self._row_hash = row_hash(cells, octets=octets) if cells else None
        self.statements = 0

    def digests(self, ranges: Sequence[KeyRange]) -> list[RangeDigest]:
        return self._asked(lambda side: side.digests(ranges))

    def bounds(self, ranges: Sequence[KeyRange], rows: Sequence[int], parts: int) -> list[list[Key]]:
        return self._asked(lambda side: side.bounds(ranges, rows, parts))

    def rows(self, ranges: Sequence[KeyRange]) -> Iterator[Row]:
        yield from self._session.once(lambda session: self._side(session).rows(ranges))
        self.statements += 1

    def _asked(self, question: Callable[[TargetSide], T]) -> T:
        def ask(session: Session) -> T:
            side = self._side(session)
            answer = question(side)
            self.statements += side.statements
            return answer

        return self._session.do(ask)

    def _side(self, session: Session) -> TargetSide:
        return TargetSide(session, self._plan, row_hash=self._row_hash, conditions=self._conditions)


def among(plan: TablePlan, keys: Sequence[Values]) -> str:
    """A condition, as SQL: the row has one of these keys."""
    constants = [
        [constant(value, f.type.snowflake) for value, f in zip(key, plan.target_key, strict=True)]
        for key in keys
    ]
    return key_is_one_of(plan.target_key, constants)
