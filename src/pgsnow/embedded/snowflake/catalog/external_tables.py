"""External tables over a stage with a bucket: CREATE, REFRESH and DROP.

Sources: Snowflake docs, "CREATE EXTERNAL TABLE", "ALTER EXTERNAL TABLE". Partitions and notifications are not
supported: what a partition would leave out is read, and files are registered by CREATE and REFRESH alone.
"""

from __future__ import annotations

import re
from typing import Any

import sqlglot
from sqlglot import exp

from pgsnow.embedded.snowflake.catalog.stage_views import StageView, StageViews, keep_view
from pgsnow.embedded.snowflake.catalog.storage_options import TEXTS, closing_parenthesis
from pgsnow.embedded.snowflake.catalog.table_names import NAME, Name, full_name, in_duckdb
from pgsnow.embedded.snowflake.hooks.cursor import rewrite_text
from pgsnow.embedded.snowflake.hooks.errors import EXISTS_ALREADY, snowflake_error
from pgsnow.embedded.snowflake.stages.buckets import S3, Buckets, is_wanted
from pgsnow.embedded.snowflake.stages.stages import answer_of, existing_stage, url_of
from pgsnow.embedded.snowflake.statements.gaps import STATUS
from pgsnow.embedded.snowflake.statements.limits import INVALID_VALUE

CREATE = re.compile(
    rf"\s*create\s+(?P<replace>or\s+replace\s+)?external\s+table\s+(?P<unless>if\s+not\s+exists\s+)?(?P<name>{NAME})\s*",
    re.IGNORECASE,
)
REFRESH = re.compile(
    rf"\s*alter\s+external\s+table\s+(?:if\s+exists\s+)?(?P<name>{NAME})\s+refresh\s*(?:'(?P<path>[^']*)')?\s*;?\s*\Z",
    re.IGNORECASE,
)
DROP = re.compile(
    rf"\s*drop\s+external\s+table\s+(?P<exists>if\s+exists\s+)?(?P<name>{NAME})\s*(?:cascade|restrict)?\s*;?\s*\Z",
    re.IGNORECASE,
)
LOCATION = re.compile(
    r"\blocation\s*=\s*@(?P<stage>(?:\"(?:[^\"]|\"\")*\"|[\w$.])+)(?:/(?P<path>[^\s']*))?", re.IGNORECASE
)
PATTERN = re.compile(r"\bpattern\s*=\s*('(?:[^'\\]|\\.|'')*')", re.IGNORECASE)
AS = re.compile(r"\bas\b", re.IGNORECASE)
NOT_ON_CREATE = re.compile(r"\brefresh_on_create\s*=\s*false\b", re.IGNORECASE)
NOT_THERE = (2003, "02000")
COLUMNS = ("file", "status", "description")


def create_external_tables(views: StageViews, buckets: Buckets) -> None:
    """Stock: external tables are not supported."""
    rewrite_text(lambda cursor, command: _create(cursor, command, views, buckets))
    rewrite_text(lambda cursor, command: _refresh(cursor, command, views, buckets))
    rewrite_text(lambda cursor, command: _drop(cursor, command, views))


def _create(cursor: Any, command: str, views: StageViews, buckets: Buckets) -> str | None:
    match = CREATE.match(command)
    if match is None:
        return None
    name = full_name(cursor, match["name"])
    if name in views.all and not match["replace"]:
        if match["unless"]:
            return STATUS.format(f"{name[2]} already exists, statement succeeded.")
        raise snowflake_error(EXISTS_ALREADY, f"Object '{name[2]}' already exists.")
    view = _view(command, match.end())
    listed = _listed(cursor, view, buckets)
    view.files = [] if NOT_ON_CREATE.search(command) else listed
    keep_view(cursor, views, name, view)
    return STATUS.format(f"Table {name[2]} successfully created.")


def _view(command: str, start: int) -> StageView:
    """The query of the statement whose columns begin at `start`, if it names any."""
    bare = TEXTS.sub(lambda text: " " * len(text[0]), command)
    end = closing_parenthesis(bare, start + 1) if bare[start : start + 1] == "(" else start
    selected = ['$1 AS "VALUE"', 'METADATA$FILENAME AS "METADATA$FILENAME"']
    selected += [_column(part) for part in _parts(command[start + 1 : end], bare[start + 1 : end])]
    location, pattern = LOCATION.search(command, end), PATTERN.search(command, end)
    if location is None:
        raise snowflake_error(
            INVALID_VALUE, "SQL compilation error: an external table has a LOCATION, which is a stage"
        )
    filtered = f" (PATTERN => {pattern[1]})" if pattern else ""
    query = f"SELECT {', '.join(selected)} FROM @{location['stage']}/{location['path'] or ''}{filtered}"  # noqa: S608
    return StageView(query, files=[])


def _parts(listed: str, bare: str) -> list[str]:
    """The definitions of columns, which commas outside of parentheses separate."""
    parts, depth, begin = [], 0, 0
    for position, character in enumerate(bare):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append(listed[begin:position])
            begin = position + 1
    return [part for part in (*parts, listed[begin:]) if part.strip()]


def _column(definition: str) -> str:
    """`"ID" NUMBER(38,0) AS (VALUE:"ID"::NUMBER(38,0))` as a column of a SELECT from the stage."""
    before, computed = AS.split(definition, maxsplit=1)
    name = re.match(rf"\s*({NAME})", before)
    tree = sqlglot.parse_one(f"SELECT {computed}", read="snowflake")
    for column in list(tree.find_all(exp.Column)):
        if column.name.upper() == "VALUE":
            column.replace(exp.Parameter(this=exp.Literal.number(1)))
    return f"{tree.sql(dialect='snowflake').removeprefix('SELECT ')} AS {name[1] if name else ''}"


def _listed(cursor: Any, view: StageView, buckets: Buckets) -> list[str]:
    """The keys of the files at the location of an external table."""
    [table] = view.tree().find_all(exp.Table)
    stage, _, path = table.this.name[1:].partition("/")
    url = url_of(cursor, existing_stage(cursor, stage))
    if not url.startswith(S3):
        raise snowflake_error(
            INVALID_VALUE, "SQL compilation error: an external table needs an external stage"
        )
    pattern = table.args.get("pattern")
    keys = [each["Key"] for each in buckets.listed(f"{url.rstrip('/')}/{path}", {})]
    return [key for key in keys if is_wanted(url, pattern and pattern.name, key)]


def _refresh(cursor: Any, command: str, views: StageViews, buckets: Buckets) -> str | None:
    match = REFRESH.match(command)
    if match is None:
        return None
    name = full_name(cursor, match["name"])
    view = _known(views, name)
    there, before = set(_listed(cursor, view, buckets)), set(view.files or ())
    part = match["path"] or ""
    changed = {key for key in there ^ before if part in key}
    view.files = sorted((before - changed) | (there & (changed | before)))
    views.keep(cursor, name, view)
    answers = {
        True: ("REGISTERED_NEW", "File registered successfully."),
        False: ("UNREGISTERED", "File unregistered."),
    }
    return answer_of(COLUMNS, [(key, *answers[key in there]) for key in sorted(changed)])


def _known(views: StageViews, name: Name) -> StageView:
    view = views.all.get(name)
    if view is None or view.files is None:
        raise snowflake_error(
            NOT_THERE, f"External table '{'.'.join(name)}' does not exist or not authorized."
        )
    return view


def _drop(cursor: Any, command: str, views: StageViews) -> str | None:
    match = DROP.match(command)
    if match is None:
        return None
    name = full_name(cursor, match["name"])
    if name in views.all or not match["exists"]:
        _known(views, name)
        views.forget(cursor, name)
        cursor._duck_conn.execute(f"DROP VIEW {in_duckdb(name)}")
    return STATUS.format(f"{name[2]} successfully dropped.")
