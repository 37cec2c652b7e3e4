# ruff: noqa: S608  (names are quoted, and the rest comes from sqlglot's generator)
"""MERGE and UPDATE by whole rows: changed rows are deleted and inserted again, together with the new ones.

DuckDB stores data by column, so an UPDATE of a few scattered rows rewrites a block of every column for each
of them. Snowflake's clients do not depend on the order of rows in a table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import fakesnow.cursor
import sqlglot
from sqlglot import exp

from pgsnow.embedded.snowflake.hooks.errors import snowflake_error
from pgsnow.embedded.snowflake.statements.merge_clauses import INSERT, UPDATE, Clauses, as_merge, clauses_of
from pgsnow.embedded.snowflake.statements.table_columns import EmulatedColumn, columns_of, quoted

NONDETERMINISTIC = (100090, "42P18")
ROWS, WHAT, ROW = '"_fs_merging"', "_fs_what", "_fs_row"
BOTH = "both"
MULTI_JOINED = "multi-joined rows updated"
GONE = f'SELECT "{ROW}" FROM {ROWS} WHERE "{ROW}" IS NOT NULL'


def change_rows(cursor: Any, command: str, bound: Sequence[Any] | None = None) -> bool:
    """Run the statement and put its result into the cursor. False: nothing was done, fakesnow must run it. bound: the
    values of its question marks.

    Runs in the current transaction, which an error ends. Raises DuckDB's errors, and Snowflake's 100090.
    """
    if cursor._conn.nop_regexes or not cursor._conn._autocommit:
        return False
    statement = _without_positions(fakesnow.cursor.parse_one(cursor._inline_variables(command)))
    merge = as_merge(statement)
    clauses = clauses_of(merge)
    if clauses is None:
        return False
    cursor.check_db_and_schema(statement)
    table = cursor._transform(exp.select("*").from_(merge.this.copy()), None).args["from_"].this
    table.set("alias", None)
    merging = WholeRowMerge(cursor, merge, clauses, table.sql(dialect="duckdb"), bound)
    if not merging.possible:
        return False
    columns = [*clauses.kinds, *([MULTI_JOINED] if statement is not merge else ())]
    cursor._execute(_answer(columns, merging.run()))
    return True


def _without_positions(tree: Any) -> Any:
    """The tree without the positions of its names and constants in the text, which are most of the work of each copy of
    a part of it."""
    for node in tree.walk():
        if isinstance(node, exp.Identifier | exp.Literal):
            node._meta = None
    return tree


class WholeRowMerge:
    """One MERGE by whole rows. target: the table's name in DuckDB."""

    def __init__(
        self,
        cursor: Any,
        merge: exp.Expression,
        clauses: Clauses,
        target: str,
        bound: Sequence[Any] | None = None,
    ) -> None:
        self._cursor = cursor
        self._run: Callable[..., Any] = cursor._duck_conn.execute
        self._merge = merge
        self._clauses = clauses
        self._target = target
        self._bound = list(bound or ())
        self._updated = clauses.values_of(UPDATE)
        self._inserted = clauses.values_of(INSERT) or {}
        self._columns = columns_of(cursor._duck_conn, target)

    @property
    def possible(self) -> bool:
        """True if every named column exists, names are unambiguous, no kept column has a default, and none is
        called ROWID, which is DuckDB's number of a row."""
        there = {column.key for column in self._columns}
        named = {*self._inserted, *(self._updated or ())}
        kept = [column for column in self._columns if column.key not in (self._updated or ())]
        computed = self._updated is not None and any(column.default is not None for column in kept)
        told_apart = len(there) == len(self._columns) and "ROWID" not in there
        return named <= there and told_apart and not computed

    def run(self) -> dict[str, int]:
        """Run the MERGE; returns the number of rows by kind of change."""
        self._find()
        counts = self._count()
        if counts.keys() - {INSERT}:
            self._remove()
        if counts.get(UPDATE):
            self._write(UPDATE, self._columns)
        if counts.get(INSERT):
            self._write(INSERT, [column for column in self._columns if column.key in self._inserted])
        self._run(f"DROP TABLE {ROWS}")
        return counts

    def _find(self) -> None:
        """Write all rows that a clause applies to into ROWS: the kind of change, the existing row's number,
        new values."""
        aliases = [
            exp.alias_(self._for(kinds, value), name, quoted=True) for name, _, kinds, value in self._values()
        ]
        select = exp.select(
            exp.alias_(self._case(), WHAT, quoted=True),
            exp.alias_(_column(self._merge.this, "rowid"), ROW, quoted=True),
            *(alias for alias in aliases if not _is_plain(alias.this)),
        ).from_(self._merge.args["using"].copy())
        join = {"on": self._merge.args["on"].copy(), "join_type": "left"}
        rewritten = self._cursor._transform(select.join(self._merge.this.copy(), copy=False, **join), None)
        rewritten.select(*filter(lambda alias: _is_plain(alias.this), aliases), copy=False)
        found = rewritten.sql(dialect="duckdb")
        casts = [
            f'CASE WHEN "{WHAT}" IN ({_listed(kinds)}) THEN CAST({quoted(name)} AS {kind}) END AS {quoted(name)}'
            for name, kind, kinds, _ in self._values()
        ]
        self._run(
            f"CREATE OR REPLACE TEMPORARY TABLE {ROWS} AS SELECT {', '.join([f'{WHAT}, {ROW}', *casts])} "
            f'FROM ({found}) WHERE "{WHAT}" IS NOT NULL',
            self._bound,
        )

    def _case(self) -> exp.Case:
        there = _column(self._merge.this, "rowid")
        case = exp.Case()
        for clause in self._clauses.all:
            new = there.is_(exp.null())
            applies = new if clause.kind == INSERT else exp.not_(new)
            if clause.condition is not None:
                applies = exp.and_(applies, exp.paren(clause.condition.copy()))
            case = case.when(applies, exp.Literal.string(clause.kind))
        return case

    def _for(self, kinds: tuple[str, ...], value: exp.Expression) -> exp.Expression:
        """The value for rows of these clauses only; for other rows its computation could fail."""
        if isinstance(value, exp.Column | exp.Literal):
            return value.copy()
        return exp.Case().when(self._case().isin(*kinds), value.copy())

    def _values(self) -> list[tuple[str, str, tuple[str, ...], exp.Expression]]:
        """(name, type, clauses, value) of each value; INSERT and UPDATE share one if theirs are equal."""
        values: list[tuple[str, str, tuple[str, ...], exp.Expression]] = []
        for column in self._columns:
            name = column.key
            new, kept = self._inserted.get(name), _column(self._merge.this, column.name)
            changed = None if self._updated is None else self._updated.get(name, kept)
            if new is not None and new == changed:
                values.append((f"{BOTH} {name}", column.kind, (INSERT, UPDATE), new))
                continue
            if new is not None:
                values.append((f"{INSERT} {name}", column.kind, (INSERT,), new))
            if changed is not None:
                values.append((f"{UPDATE} {name}", column.kind, (UPDATE,), changed))
        return values

    def _count(self) -> dict[str, int]:
        counts = dict(self._run(f"SELECT {WHAT}, count(*) FROM {ROWS} GROUP BY {WHAT}").fetchall())
        ((rows, different),) = self._run(f"SELECT count({ROW}), count(DISTINCT {ROW}) FROM {ROWS}").fetchall()
        if rows != different:
            raise snowflake_error(NONDETERMINISTIC, "Duplicate row detected during DML action")
        return counts

    def _remove(self) -> None:
        self._run(f"DELETE FROM {self._target} WHERE rowid IN ({GONE})")

    def _write(self, kind: str, columns: list[EmulatedColumn]) -> None:
        written = {name for name, *_ in self._values()}
        found = [quoted(each) for column in columns for each in _names(column, kind) if each in written]
        self._run(
            f"INSERT INTO {self._target} ({', '.join(column.quoted for column in columns)}) "
            f"SELECT {', '.join(found)} FROM {ROWS} WHERE {WHAT} = '{kind}'"
        )


def _is_plain(value: exp.Expression) -> bool:
    """True for a column with a quoted name, which DuckDB takes unchanged. Such values need no walk through the
    tree."""
    return isinstance(value, exp.Column) and isinstance(value.this, exp.Identifier) and value.this.quoted


def _listed(kinds: tuple[str, ...]) -> str:
    return ", ".join(f"'{kind}'" for kind in kinds)


def _names(column: EmulatedColumn, kind: str) -> tuple[str, str]:
    return f"{BOTH} {column.key}", f"{kind} {column.key}"


def _answer(columns: list[str], counts: dict[str, int]) -> exp.Expression:
    named = [
        f'CAST({counts.get(each, 0)} AS HUGEINT) AS "number of {each if each == MULTI_JOINED else "rows " + each}"'
        for each in columns
    ]
    answer = sqlglot.parse_one(f"SELECT {', '.join(named)}", read="duckdb")
    answer.set("merge_counts", True)  # the cursor's row count is their sum
    return answer


def _column(table: exp.Expression, name: str) -> exp.Column:
    """A column of the target, qualified by the target's name or alias in the statement."""
    alias = table.args.get("alias")
    known = (alias.this if alias is not None else table.this).copy()
    return exp.column(exp.to_identifier(name, quoted=True), table=known)
