"""Statements for Snowflake as values: text, phase of the load, proof in the result; and the only function that
executes them.

A run executes the statements that `pgsnow plan` prints.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from pgsnow.model.batch import LoadResult
from pgsnow.model.errors import (
    LoadMismatch,
    PgsnowError,
    TargetMissing,
    TargetQueryFailed,
    TargetRowsChanged,
)
from pgsnow.snowflake.redacted import Confidential
from pgsnow.snowflake.session import Bind, Result, Session
from pgsnow.snowflake.sql.staged import found_by_guard

PUT, COPY, INSERT, MERGE, REPLACE = "put", "copy", "insert", "merge", "replace"
DELETES = "deletes"
"""Phases of a load, under which its seconds are counted. Statements without a phase ("") are counted nowhere."""
EVENTS = {PUT: "put", COPY: "copied", INSERT: "inserted", MERGE: "merged", REPLACE: "replaced"}
"""Name of a completed phase, for observers."""


@dataclass(frozen=True, slots=True)
class RowsLoaded:
    """Proof that the number of loaded rows equals the number written. message: the beginning of the error; it ends
    with "loaded" or a similar word, and the number that was found is appended."""

    rows: int
    message: str
    error: type[PgsnowError] = LoadMismatch
    column: str | None = "rows_loaded"
    """Column of the results that counts rows; None: the rows that the statements changed."""

    def check(self, results: Sequence[Result]) -> None:
        if self.column is None:
            found = sum(result.rowcount or 0 for result in results)
        else:
            found = sum(number_in(result, self.column) for result in results)
        if found != self.rows:
            raise self.error(f"{self.message} {found}")


@dataclass(frozen=True, slots=True)
class Uploaded:
    """Proof that the stage accepted a file. name: of the target and the file, for the error."""

    name: str

    def check(self, results: Sequence[Result]) -> None:
        status = [value for result in results for value in result.column("status")]
        if status != ["UPLOADED"]:
            raise LoadMismatch(f"{self.name} was not uploaded: {status}")


class Step(Protocol):
    """One action of a load. `text` is its description for people: a statement, or an SQL comment."""

    @property
    def text(self) -> str | Confidential: ...

    @property
    def phase(self) -> str: ...

    @property
    def proof(self) -> RowsLoaded | Uploaded | None: ...

    def send(self, session: Session) -> Sequence[Result]:
        """Execute the action. Raises what Session.execute raises, or what a bucket raises."""


@dataclass(frozen=True, slots=True)
class SqlStatement:
    """One statement that Snowflake executes as written. missing_ok: a missing object is ignored."""

    text: str | Confidential
    phase: str = ""
    proof: RowsLoaded | Uploaded | None = None
    missing_ok: bool = False

    def send(self, session: Session) -> Sequence[Result]:
        try:
            return (session.execute(self.text),)
        except TargetMissing:
            if not self.missing_ok:
                raise
            return ()


@dataclass(frozen=True, slots=True)
class GuardedStatement:
    """A statement with a guard (snowflake/sql/staged.py): it fails, and changes nothing, unless it reads all rows, and
    unless the target has as many as expected. rows: the number that it must read, and the error if it does not.
    binds: values for its `?`."""

    text: str
    rows: RowsLoaded
    phase: str
    binds: Sequence[Bind] | None = None
    proof: None = None

    def send(self, session: Session) -> Sequence[Result]:
        """Also raises the error of `rows`, and TargetRowsChanged."""
        try:
            return (session.execute(self.text, self.binds),)
        except TargetQueryFailed as failed:
            found = found_by_guard(str(failed))
            if found is None:
                raise
            read, there = found
            if read != self.rows.rows:
                raise self.rows.error(f"{self.rows.message} {read}") from failed
            raise TargetRowsChanged(
                f"the target has {there} rows, and is not as it was after the last load", counted=there
            ) from failed


@dataclass(frozen=True, slots=True)
class PhaseDone:
    """The executed statements of one phase, whose proofs all succeeded."""

    phase: str
    event: str | None
    """Its name for observers; None for statements without a phase."""
    seconds: float
    results: tuple[Result, ...]


def execute(session: Session, steps: Iterable[Step]) -> Iterator[PhaseDone]:
    """Execute the steps in order, and yield after each phase, before the next one begins.

    Each statement commits by itself. Raises the error of a failing proof, and what Session.execute raises. Earlier
    statements stay committed, so the steps of a load are designed to be repeated from the first one.
    """
    for phase, group in groupby(steps, key=lambda step: step.phase):
        began, results = time.monotonic(), list[Result]()
        for step in group:
            sent = step.send(session)
            if step.proof is not None:
                step.proof.check(sent)
            results.extend(sent)
        yield PhaseDone(phase, EVENTS.get(phase), time.monotonic() - began, tuple(results))


def execute_all(session: Session, steps: Iterable[Step]) -> LoadResult:
    """Execute all steps; returns their result. Raises what `execute` raises."""
    return result_of(list(execute(session, steps)))


def result_of(phases: Sequence[PhaseDone]) -> LoadResult:
    """Rows that MERGE or INSERT OVERWRITE changed, ids of the statements that move rows, seconds by phase."""
    applied = [result for done in phases if done.phase in (MERGE, REPLACE) for result in done.results]
    return LoadResult(
        inserted=sum(number_in(result, "number of rows inserted") for result in applied),
        updated=sum(number_in(result, "number of rows updated") for result in applied),
        deleted=sum(
            number_in(result, "number of rows deleted")
            for done in phases
            if done.phase in (MERGE, DELETES)
            for result in done.results
        ),
        query_ids=tuple(
            result.query_id for done in phases if done.phase not in ("", PUT) for result in done.results
        ),
        seconds={done.phase: done.seconds for done in phases if done.phase},
    )


def number_in(result: Result, column: str) -> int:
    """The sum of a column of counts; 0 without such a column."""
    return sum(int(value or 0) for value in result.column(column))
