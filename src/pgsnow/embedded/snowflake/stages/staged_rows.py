"""SELECT from staged files: `FROM @stage/path/ (FILE_FORMAT => 'name', PATTERN => '…') AS r`.

Sources: Snowflake docs, "Query data in staged files", "Query metadata for staged files".
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from glob import escape
from typing import Any

import fakesnow.checks
import fakesnow.cursor
import pyarrow.parquet as pq
from fakesnow.transforms.file_format import lookup_file_format
from fakesnow.transforms.stage import parts_from_var
from sqlglot import exp

from pgsnow.embedded.snowflake.hooks.cursor import Execute, wrap_execute
from pgsnow.embedded.snowflake.hooks.errors import INVALID_IDENTIFIER, not_implemented, snowflake_error
from pgsnow.embedded.snowflake.stages.buckets import S3, Buckets, is_wanted
from pgsnow.embedded.snowflake.stages.stages import existing_stage, files_below, matches, url_of
from pgsnow.embedded.snowflake.statements.hidden import refuse_if_hidden

PLACE = re.compile(r"@(?P<stage>(?:\"(?:[^\"]|\"\")*\"|[^/\"])+)(?:/(?P<path>.*))?\Z", re.DOTALL)
FILE_NAME, ROW_NUMBER, SCAN_TIME = "METADATA$FILENAME", "METADATA$FILE_ROW_NUMBER", "METADATA$START_SCAN_TIME"
OF_THE_FILE = {FILE_NAME: "_fs_file", ROW_NUMBER: "_fs_row_in_file"}
"""Metadata column → the name that it gets here, in which DuckDB sees no operator."""
WHOLE = "_fs_whole_row"
NAME = "_fs_value_{}"
"""Names for DuckDB, which takes `"id"` and `"ID"` for one."""
REGISTERED = "pgsnow_registered"
"""Argument of a stage in a query of an external table: the keys of the files that it consists of."""
FILE_IS_GONE = (91016, "22000")
NOT_SET = "a SELECT from a stage without FILE_FORMAT => 'name'"


@dataclass(frozen=True, slots=True)
class _File:
    """One staged file: its path on disk, and its path in the stage, or for a bucket its key."""

    local: str
    shown: str


def select_from_stages(buckets: Buckets) -> None:
    """Stock: a stage is an unknown table of DuckDB. Here its Parquet files are read by a named file format. A path is
    a prefix; where no file matches there are no rows; a column that a file does not have is NULL."""
    wrap_execute(_fetching)
    fakesnow.checks._missing_qualifiers = _except_stages(fakesnow.checks._missing_qualifiers)
    cursor = fakesnow.cursor.FakeSnowflakeCursor
    stock = cursor._transform

    def transform(self: Any, expression: Any, params: Any) -> Any:
        if not isinstance(expression, exp.Copy):
            read_staged_files(self, expression, buckets)
        return stock(self, expression, params)

    cursor._transform = transform


def _except_stages(stock: Any) -> Any:
    def missing(table: exp.Table) -> tuple[bool, bool]:
        return (False, False) if place_of(table) else stock(table)

    return missing


def _fetching(stock: Execute) -> Execute:
    """Keep the objects that a statement fetches from a bucket until it has run."""

    def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        with contextlib.ExitStack() as self.pgsnow_fetched:
            return stock(self, *args, **kwargs)

    return execute


def read_staged_files(cursor: Any, statement: exp.Expression, buckets: Buckets) -> None:
    """Replace each stage in a SELECT of this tree by a SELECT from its files, and `$1:"NAME"` by the file's column."""
    stages = [table for table in statement.find_all(exp.Table) if place_of(table)]
    selects = {
        id(select): select for select in (table.find_ancestor(exp.Select) for table in stages) if select
    }
    for select in reversed(
        list(selects.values())
    ):  # the innermost first: what is left belongs to the outer one
        _read(cursor, select, buckets)


def place_of(table: Any) -> re.Match[str] | None:
    """The stage and the path in it that stand for a table; None: a table."""
    if not isinstance(table, exp.Table) or not isinstance(table.this, exp.Var | exp.Literal):
        return None
    return PLACE.match(table.this.name)


def _read(cursor: Any, select: exp.Select, buckets: Buckets) -> None:
    tables = [select.args["from_"].this, *(join.this for join in select.args.get("joins") or ())]
    known = {str(table.alias_or_name).upper(): table for table in tables}
    staged = {name: table for name, table in known.items() if place_of(table)}
    for number, (name, table) in enumerate(staged.items()):
        alias = table.args.get("alias") or exp.TableAlias(
            this=exp.to_identifier(f"_fs_staged_{number}", quoted=True)
        )
        only = len(tables) == 1 or (not table.alias and len(staged) == 1)
        wanted = _rewritten(select, name, alias.this, only=only)
        table.replace(_source(_files(cursor, table, buckets), wanted, alias))


def _rewritten(select: exp.Select, name: str, alias: exp.Identifier, *, only: bool) -> list[str]:
    """Let the expressions of a SELECT refer to plain columns; the names of the columns that it needs. only: names
    without a table are of this stage."""
    wanted: dict[str, int] = {}
    for node in list(select.find_all(exp.Parameter, exp.Column)):
        owner = node.table if isinstance(node, exp.Column) else ""
        if not (owner.upper() == name if owner else only):
            continue
        inner = node.this if isinstance(node, exp.Column) else node
        if isinstance(inner, exp.Parameter):
            if inner.name != "1":
                raise snowflake_error(
                    INVALID_IDENTIFIER, f"invalid identifier '${inner.name}': Parquet has only $1"
                )
            column, replaced = _key(node)
        elif inner.name.upper() in OF_THE_FILE:
            column, replaced = OF_THE_FILE[inner.name.upper()], node
        elif inner.name.upper() == SCAN_TIME:
            node.replace(exp.CurrentTimestamp())
            continue
        else:
            continue
        number = wanted.setdefault(column, len(wanted))
        replaced.replace(exp.column(exp.to_identifier(NAME.format(number), quoted=True), table=alias.copy()))
    return list(wanted)


def _key(node: exp.Expression) -> tuple[str, exp.Expression]:
    """The column of `$1:"NAME"`, and the node that stands for it; of `$1` alone, the whole row."""
    parent = node.parent
    if isinstance(parent, exp.Column) and parent.this is node:
        return _key(parent)
    if not isinstance(parent, exp.JSONExtract):
        return WHOLE, node
    keys = list(parent.expression.find_all(exp.JSONPathKey))
    if len(keys) != 1:
        raise not_implemented("a path into a column of a staged file")
    return keys[0].name, parent


def _files(cursor: Any, table: exp.Table, buckets: Buckets) -> list[_File]:
    registered = table.args.get(REGISTERED)
    if registered is None:
        _check_format(cursor, table.args.get("format"))
    place, given = place_of(table), table.args.get("pattern")
    if place is None:
        raise AssertionError("not a stage")
    pattern = given and given.name
    found = sorted(
        _all_files(cursor, place["stage"], place["path"] or "", pattern, buckets), key=lambda each: each.shown
    )
    if registered is None:
        return found
    if missing := sorted(set(registered) - {each.shown for each in found}):
        raise snowflake_error(FILE_IS_GONE, f"Remote file '{missing[0]}' was not found.")
    return [each for each in found if each.shown in registered]


def _check_format(cursor: Any, given: exp.Expression | None) -> None:
    if given is None:
        raise not_implemented(NOT_SET)
    name = given.name if isinstance(given, exp.Literal) else given.sql(dialect="snowflake")
    where = (cursor._conn.database, cursor._conn.schema)
    refuse_if_hidden(".".join(parts_from_var(name, *where)))
    options = lookup_file_format(cursor._duck_conn, name, *where)
    if options.get("TYPE") != "PARQUET":
        raise not_implemented(f"a SELECT from staged files of type {options.get('TYPE')}")


def _all_files(cursor: Any, stage: str, path: str, pattern: str | None, buckets: Buckets) -> Iterator[_File]:
    parts = existing_stage(cursor, stage)
    url = url_of(cursor, parts)
    if not url.startswith(S3):
        for inside, local in files_below(parts, path):
            if matches(pattern, inside, f"{parts[2].lower()}/{inside}"):
                yield _File(str(local), inside)
        return
    wanted = partial(is_wanted, url, pattern)
    fetched = buckets.kept(f"{url.rstrip('/')}/{path}", wanted)
    for key, local in cursor.pgsnow_fetched.enter_context(fetched):
        yield _File(str(local), key)


def _source(files: list[_File], wanted: list[str], alias: exp.TableAlias) -> exp.Subquery:
    """The SELECT of these columns from the files."""
    names = {name: None for each in files for name in pq.read_schema(each.local).names}
    columns = [
        exp.alias_(_column(name, names, files), NAME.format(number), quoted=True)
        for number, name in enumerate(wanted)
    ]
    select = exp.select(*(columns or [exp.Literal.number(1)]), dialect="duckdb")
    if files:
        read = exp.func(
            "read_parquet", exp.array(*(exp.Literal.string(escape(each.local)) for each in files))
        )
        for option in ("filename", "file_row_number", "union_by_name"):
            read.append("expressions", exp.EQ(this=exp.to_identifier(option), expression=exp.true()))
        select = select.from_(exp.Table(this=read))
    else:
        select = select.where(exp.false())
    return exp.Subquery(this=select, alias=alias.copy())


def _column(name: str, there: dict[str, None], files: list[_File]) -> exp.Expression:
    if not files:
        return exp.null()
    if name == OF_THE_FILE[FILE_NAME]:
        shown = exp.Case(this=exp.column(exp.to_identifier("filename", quoted=True)))
        for each in files:
            shown = shown.when(exp.Literal.string(each.local), exp.Literal.string(each.shown))
        return shown
    if name == OF_THE_FILE[ROW_NUMBER]:
        return exp.Add(
            this=exp.column(exp.to_identifier("file_row_number", quoted=True)),
            expression=exp.Literal.number(1),
        )
    if name == WHOLE:
        parts = [
            part
            for each in there
            for part in (exp.Literal.string(each), exp.column(exp.to_identifier(each, quoted=True)))
        ]
        return exp.Anonymous(this="json_object", expressions=parts)
    return exp.column(exp.to_identifier(name, quoted=True)) if name in there else exp.null()
