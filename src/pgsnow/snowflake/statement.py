"""Statements for Snowflake as values: their text, their phase in a load, and what their result has to prove.

A run executes them (`snowflake/load/execute.py`), and `pgsnow plan` prints them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pgsnow.model.errors import LoadMismatch, PgsnowError, TargetMissing
from pgsnow.snowflake.redacted import Confidential
from pgsnow.snowflake.session import Result, Session

PUT, COPY, INSERT, MERGE, REPLACE = "put", "copy", "insert", "merge", "replace"
"""Phases of a load, under which its seconds are counted. Statements without a phase ("") are counted nowhere."""


@dataclass(frozen=True, slots=True)
class RowsLoaded:
    """Proof that as many rows arrived as were written. message: ends with "loaded" or the like; the number that was
    found is added to it."""

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
    """Proof that a file was taken into the stage. name: of the target and the file, for the error."""

    name: str

    def check(self, results: Sequence[Result]) -> None:
        status = [value for result in results for value in result.column("status")]
        if status != ["UPLOADED"]:
            raise LoadMismatch(f"{self.name} was not uploaded: {status}")


class Step(Protocol):
    """One action of a load. `text` is what people are shown of it: a statement, or an SQL comment."""

    @property
    def text(self) -> str | Confidential: ...

    @property
    def phase(self) -> str: ...

    @property
    def proof(self) -> RowsLoaded | Uploaded | None: ...

    def send(self, session: Session) -> Sequence[Result]:
        """Carry it out. Raises what Session.execute raises, or what a bucket does."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement that Snowflake executes as it is written. missing_ok: an object that is not there is fine."""

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


def number_in(result: Result, column: str) -> int:
    """The sum of a column of counts; 0 without such a column."""
    return sum(int(value or 0) for value in result.column(column))
