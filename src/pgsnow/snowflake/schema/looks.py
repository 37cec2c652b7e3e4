"""One SHOW TABLES for all targets of a schema that runs look at about the same time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field

from pgsnow.model.errors import TargetMissing
from pgsnow.model.table import TargetName, TargetState
from pgsnow.snowflake.schema.target_table import state_in_schema, states_in
from pgsnow.snowflake.session import Session

LONGEST_LIST = 2_000
"""Tables of a schema above which each target is looked up by itself: the list would take longer to arrive. (SHOW lists
10,000 tables at most.)"""


@dataclass(eq=False, slots=True)
class _Look:
    """began: when the statement was sent (monotonic seconds). found: the schema's tables; None: there are too many."""

    began: float
    found: Future[dict[str, TargetState] | None] = field(default_factory=Future)


class SharedLooks:
    """The newest list of each schema's tables. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looks: dict[str, _Look] = {}

    def state(self, session: Session, target: TargetName, since: float) -> TargetState | None:
        """The target's state at some moment after `since` (monotonic seconds); None: there is no such table. A list
        that another thread has asked for since then, or waits for, is used. Raises what that thread's statement has
        raised: TargetMissing if there is no such schema."""
        schema = f"{target.database}.{target.schema}"
        with self._lock:
            look = self._looks.get(schema)
            mine = look is None or look.began < since
            if look is None or mine:
                look = self._looks[schema] = _Look(time.monotonic())
        if mine:
            try:
                found = states_in(session, target)
                look.found.set_result(found if len(found) <= LONGEST_LIST else None)
            except BaseException as error:
                if not isinstance(error, TargetMissing):
                    with self._lock:
                        self._looks.pop(schema, None)
                look.found.set_exception(error)
                raise
        listed = look.found.result()
        return state_in_schema(session, target) if listed is None else listed.get(target.table)
