"""The statements that load changes which were read from the log: from their files, bound values, or a staging table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pgsnow.model.batch import KeyBounds
from pgsnow.model.config.options import Deletes
from pgsnow.model.errors import LoadMismatch, PgsnowError
from pgsnow.model.key_range import Key
from pgsnow.model.log.changes import OPERATION_COLUMN, ChangeKinds
from pgsnow.model.metadata_columns import DELETED_AT_COLUMN, FENCE_COLUMN
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.snowflake.names import qualified, staging_table
from pgsnow.snowflake.session import Bind, Session
from pgsnow.snowflake.sql import changes as sql
from pgsnow.snowflake.sql.deletes import not_later, older
from pgsnow.snowflake.sql.soft_deletes import Gone, removal_of
from pgsnow.snowflake.sql.staged import READ, ExpectedTarget, guarded, staged_source, unless_later
from pgsnow.snowflake.sql.statements import Filled
from pgsnow.snowflake.statement import DELETES, MERGE, GuardedStatement, RowsLoaded, SqlStatement, Step


@dataclass(frozen=True, slots=True)
class ChangeSource:
    """The place of the changes' rows. sql: text for FROM, with the rows as `r`. binds: values for its `?`. counted: the
    target's rows are counted. proven: the rows are in a staging table, and all of them are known to be there."""

    sql: str
    binds: Sequence[Bind] | None = None
    counted: bool = False
    proven: bool = False


@dataclass(frozen=True, slots=True)
class ChangeLoad:
    """Changes that one MERGE applies.

    fence: the one that rows get. rows: the number of rows in the files. kinds: of all the changes. deletes: handling of
    deleted rows. audited: as in LoadContext.audited. bounds: of the keys of all rows. follows: rows with this fence may
    have been loaded before, by an earlier batch of the same run. error: raised if not all rows are read.
    """

    target: TargetName
    columns: Sequence[Field]
    key: Sequence[Field]
    fence: int
    rows: int
    kinds: ChangeKinds
    deletes: Deletes
    audited: Sequence[Filled] = ()
    bounds: KeyBounds | None = None
    follows: bool = False
    error: type[PgsnowError] = LoadMismatch

    @property
    def more(self) -> list[tuple[str, str]]:
        """The columns of the files in addition to the table's, with their types."""
        return sql.change_columns(self.kinds, self.key)

    def from_files(self, origins: Sequence[str], *, counted: bool) -> ChangeSource:
        """The files in these folders, as `Stage.origin` names them. counted: as in `staged_source`."""
        source = staged_source(self.target, self.columns, origins, counted=counted, more=self.more)
        return ChangeSource(source, counted=counted)

    def from_values(self, binds: Sequence[Bind], *, counted: bool) -> ChangeSource:
        """Bound values: of each row the table's columns, those of `more`, and the order."""
        source = staged_source(self.target, self.columns, bound=self.rows, counted=counted, more=self.more)
        return ChangeSource(source, binds, counted=counted)

    def from_table(self, batch: str) -> ChangeSource:
        """The staging table of a batch."""
        return ChangeSource(f"{qualified(staging_table(self.target, batch))} AS r", proven=True)

    def truncation(self) -> tuple[Step, ...]:
        """Remove the rows from before a TRUNCATE. Idempotent, and harmless to rows of later runs: rows that have the
        fence of this load are removed only if earlier batches of the same run may have loaded them."""
        if not self.kinds.truncates or self.deletes is Deletes.OFF:
            return ()
        marks = self.deletes is Deletes.SOFT
        audited = [filled for filled in self.audited if filled[0] != DELETED_AT_COLUMN]
        removal = removal_of(Gone.MARKED if marks else Gone.DELETED, audited)
        where = not_later(self.fence) if self.follows else older(self.fence)
        return (SqlStatement(removal.statement(self.target, where, self.fence), DELETES),)

    def merge(self, source: ChangeSource, *, not_after: int, expected: ExpectedTarget | None = None) -> Step:
        """One MERGE. not_after: the highest fence that the target may have. expected: the target as it must be; None:
        it is not compared. Before any change, it raises `error` if not all rows are read, TargetRowsChanged, and
        TargetQueryFailed with `later_fence`."""
        column, value = (
            (OPERATION_COLUMN, sql.GONE) if self.kinds.deletes else (FENCE_COLUMN, str(self.fence))
        )
        if not source.proven:
            value = guarded(value, self.rows, expected, sql.READ_ONCE if self.kinds.moved else READ)
        value = unless_later(self.target, not_after, value)
        text = sql.merge_changes(
            self.target, source.sql, self.columns, self.key, self.fence, self.kinds, self.deletes,
            guard={column: value}, audited=self.audited, bounds=self.bounds,
        )  # fmt: skip
        if source.proven:
            return SqlStatement(text, MERGE)
        message = f"{self.target}: {self.rows} rows of changes were written, Snowflake read"
        return GuardedStatement(text, RowsLoaded(self.rows, message, self.error), MERGE, source.binds)

    def settled(self, session: Session, source: ChangeSource) -> ChangeLoad:
        """The load as it may be done now: if its rows with another key than before may have been merged already, their
        former rows are not used any more. (The rows with the former keys may be other ones by now.)"""
        if not self.kinds.moved:
            return self
        text = sql.moved_before(self.target, source.sql, self.key, self.fence)
        [[found]] = session.execute(text, source.binds).rows
        return replace(self, kinds=replace(self.kinds, moved=False)) if int(found) else self

    def incomplete(self, session: Session, source: ChangeSource, *, with_moved: bool) -> list[Key]:
        """After the MERGE: the keys, as canonical texts, of rows that must be read from the source.
        with_moved: also those of rows that had another key before."""
        text = sql.incomplete_rows(self.target, source.sql, self.key, self.kinds, with_moved=with_moved)
        return [tuple(map(str, row)) for row in session.execute(text, source.binds).rows]
