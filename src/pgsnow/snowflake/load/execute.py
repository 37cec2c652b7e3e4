"""The one executor of load statements: sends them in order, checks what they prove, and measures their phases."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from pgsnow.model.batch import LoadResult
from pgsnow.snowflake.session import Result, Session
from pgsnow.snowflake.statement import COPY, INSERT, MERGE, PUT, REPLACE, Step, number_in

EVENTS = {PUT: "put", COPY: "copied", INSERT: "inserted", MERGE: "merged", REPLACE: "replaced"}
"""What has happened once a phase is done."""


@dataclass(frozen=True, slots=True)
class PhaseDone:
    """Statements of one phase that have all been executed, and have proved what they had to."""

    phase: str
    seconds: float
    results: tuple[Result, ...]

    @property
    def event(self) -> str | None:
        """Its name for observers; None for statements without a phase."""
        return EVENTS.get(self.phase)


def execute(session: Session, steps: Iterable[Step]) -> Iterator[PhaseDone]:
    """Send the steps in order, and yield after each phase, before anything of the next one is sent.

    Each statement commits by itself. Raises the error of a proof that fails, and whatever Session.execute raises; what
    was sent before stays done, so the steps of a load are made to be repeated from the first one.
    """
    for phase, group in groupby(steps, key=lambda step: step.phase):
        began, results = time.monotonic(), list[Result]()
        for step in group:
            sent = step.send(session)
            if step.proof is not None:
                step.proof.check(sent)
            results.extend(sent)
        yield PhaseDone(phase, time.monotonic() - began, tuple(results))


def execute_all(session: Session, steps: Iterable[Step]) -> LoadResult:
    """Send all of the steps; their result. Raises as `execute`."""
    return result_of(list(execute(session, steps)))


def result_of(phases: Sequence[PhaseDone]) -> LoadResult:
    """Rows that MERGE or INSERT OVERWRITE has changed, ids of the statements that move rows, seconds by phase."""
    applied = [result for done in phases if done.phase in (MERGE, REPLACE) for result in done.results]
    return LoadResult(
        inserted=sum(number_in(result, "number of rows inserted") for result in applied),
        updated=sum(number_in(result, "number of rows updated") for result in applied),
        query_ids=tuple(
            result.query_id for done in phases if done.phase not in ("", PUT) for result in done.results
        ),
        seconds={done.phase: done.seconds for done in phases if done.phase},
    )
