"""Whether the units of a full read go straight into the target, and what of them is known to be there."""

from __future__ import annotations

from collections.abc import Sequence

from pgsnow.model.batch import LoadResult, LoadUnit
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import TargetName
from pgsnow.snowflake.connection import Session
from pgsnow.snowflake.straight import can_go_straight, delete_attempts, is_without_older


class Straight:
    """Of one attempt: a first load, or one at a chunk. Undecided until there is a unit."""

    def __init__(
        self, plan: TablePlan, into: TargetName, not_after: int | None, earlier: Sequence[int]
    ) -> None:
        """into: the target, or what stands for it. not_after: a row of that fence, or of one before it, is of another
        time than this read (None: any row is). earlier: the fences of attempts at the same rows."""
        self.into = into
        self._not_after = not_after
        self._earlier = tuple(earlier)
        self._decided: bool | None = None if can_go_straight(plan) else False
        self._before: int | None = 0
        self.batches: set[str] = set()
        """Those that have no staging table."""

    @property
    def possible(self) -> bool:
        return self._decided is not False

    @property
    def before(self) -> int | None:
        """Rows that the units before have put there under the attempt's fence; None: not known."""
        return self._before

    def decide(self, session: Session) -> bool:
        """Look at the target, once; what earlier attempts have left there is gone after it. Idempotent."""
        if self._decided is None:
            if is_without_older(session, self.into, self._not_after):
                delete_attempts(session, self.into, self._earlier)
                self._decided = True
            else:
                self._decided = False
        return self._decided

    def give_up(self) -> None:
        """From here on units are merged."""
        self._decided = False

    def loaded(self, unit: LoadUnit, result: LoadResult) -> None:
        """A row that was merged may have come in place of another attempt's."""
        if self._before is not None:
            self._before = self._before + unit.rows if result.inserted == unit.rows else None
