"""What a case of the contract is: something that pgsnow relies on, asked of an account or of the emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pgsnow.model.errors import PgsnowError
from pgsnow.model.table import TargetName
from pgsnow.snowflake.names import quote, schema_of, stage_of, stage_path
from pgsnow.snowflake.session import Bind, Session
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.sql.staged import create_file_format


@dataclass(frozen=True, slots=True)
class Failed:
    """A statement failed with this error number."""

    code: str


@dataclass(frozen=True, slots=True)
class Account:
    """A session whose current schema is one of the suite's own. folder: for local files."""

    session: Session
    schema: TargetName
    """`table` has no meaning."""
    folder: Path

    def target(self, name: str) -> TargetName:
        return self.schema.sibling(name)

    @property
    def stage(self) -> str:
        """The stage of the schema, with the @."""
        return f"@{stage_of(self.schema)}"

    def with_tag(self, query_tag: str) -> Session:
        """The same connection, for another run."""
        return Session(self.session._connection, query_tag)

    def rows(self, *statements: str, binds: Sequence[Bind] | None = None) -> list[tuple[Any, ...]]:
        """Run statements; the rows of the last one, which gets the binds."""
        for statement in statements[:-1]:
            self.session.execute(statement)
        return self.session.execute(statements[-1], binds).rows

    def try_to(self, statement: str) -> Failed | None:
        """Run a statement that may fail."""
        try:
            self.session.execute(statement)
        except PgsnowError as error:
            return Failed(error.code or "")
        return None

    def columns(self, statement: str, *names: str) -> list[tuple[Any, ...]]:
        """These columns of the statement's rows, by name."""
        result = self.session.execute(statement)
        return list(zip(*(result.column(name) for name in names), strict=True))

    def stage_rows(self, batch: str, rows: pa.Table, part: int = 1) -> str:
        """Put a part file into the folder of a batch (`<slug>/<fence>-<number>`); the folder as SQL."""
        path = self.folder / f"part-{part:04}.parquet"
        pq.write_table(rows, path)
        place = stage_path(self.schema, batch)
        self.session.execute(sql.put(path, place))
        return place


Ask = Callable[[Account], Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that pgsnow relies on.

    promise: in plain words. page: of Snowflake's documentation. expected: the answer that pgsnow needs. ask: gets the
    answer, and a failing statement answers `Failed`; None: whole syncs answer it. emulator: the emulator's answer,
    where it is known to differ.
    """

    promise: str
    page: str
    expected: Any
    ask: Ask | None
    emulator: Any = None

    @property
    def of_the_emulator(self) -> Any:
        """The answer that the emulator must give."""
        return self.expected if self.emulator is None else self.emulator


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer that a case got. seconds: of its statements that need a warehouse."""

    case: Case
    found: Any
    seconds: float = 0.0

    @property
    def as_expected(self) -> bool:
        return bool(self.found == self.case.expected)


def asked(account: Account, case: Case) -> Answer:
    """Ask one case."""
    assert case.ask is not None
    before = len(account.session.sent)
    try:
        found = case.ask(account)
    except PgsnowError as error:
        found = Failed(error.code or type(error).__name__)
    except Exception as error:  # an answer of an unexpected form: the other cases are asked all the same
        found = repr(error)
    seconds = sum(each.seconds for each in account.session.sent[before:] if each.warehouse)
    return Answer(case, found, seconds)


def answers(*statements: str) -> Ask:
    """The rows of the last of these statements."""
    return lambda account: account.rows(*statements)


@contextmanager
def own_schema(session: Session, schema: TargetName, folder: Path) -> Iterator[Account]:
    """A new schema with pgsnow's stage and file format, current in the session. It is dropped at the end, also after
    an error or Ctrl-C."""
    try:
        session.execute(sql.create_schema(schema))
        session.execute(f"USE SCHEMA {schema_of(schema)}")
        session.execute(sql.create_stage(schema))
        session.execute(create_file_format(schema))
        yield Account(session, schema, folder)
    finally:
        session.execute(f"DROP SCHEMA IF EXISTS {quote(schema.database)}.{quote(schema.schema)}")
