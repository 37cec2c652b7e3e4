"""Single rows by key: to load rejected ones again, and to show their values."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg
from psycopg.sql import SQL, Literal

from pgsnow.model.batch import Page
from pgsnow.model.plan import TablePlan
from pgsnow.model.types.mapping import Field
from pgsnow.postgres import sql
from pgsnow.postgres.connection import Source
from pgsnow.postgres.convert.convert import Converter
from pgsnow.postgres.convert.oversize import from_clause, json_columns, select_list
from pgsnow.postgres.errors import translating
from pgsnow.postgres.read.snapshot import Snapshot, open_snapshot

Key = Mapping[str, str | None]
AT_ONCE = 500
"""Keys in one statement."""
MAX_SHOWN = 10_000
"""Characters of one text value that a payload keeps."""


def read_keys(
    source: Source, plan: TablePlan, keys: Sequence[Key], *, selected: bool = False
) -> Iterator[Page]:
    """The rows with these keys as they are now; deleted ones are left out. selected: only rows that meet `where:`.
    Pages come in no particular order.

    Raises what `open_snapshot` and Snapshot.batches raise.
    """
    with source.copy_connection() as connection, open_snapshot(connection, plan) as snap:
        converter = Converter(plan, checks_text=snap.unchecked_text)
        for some in _chunks(keys, AT_ONCE):
            these = SQL("({})").format(SQL(" or ").join(sql.by_key(plan, key) for key in some))
            query = SQL("select {} from {} where {}").format(
                select_list(plan, guard=snap.may_hold_oversize),
                from_clause(plan, guard=snap.may_hold_oversize),
                sql.both([these, sql.where_given(plan) if selected else None]),
            )
            for batch in snap.batches(query):
                yield from converter.convert(batch).pages(plan)


def read_all_keys(source: Source, plan: TablePlan) -> Iterator[Page]:
    """The key columns of all rows as they are now, whatever `where:` says. Raises what `read_keys` raises."""
    with source.copy_connection() as connection, open_snapshot(connection, plan) as snap:
        everything = replace(plan, config=plan.config.model_copy(update={"where": None}))
        yield from read_all(snap, everything, plan.key)


def read_all(snap: Snapshot, plan: TablePlan, fields: Sequence[Field]) -> Generator[Page]:
    """These columns of all rows of the snapshot that `where:` admits. A caller that closes the generator before its end
    spoils the snapshot's connection. Raises what Snapshot.batches raises."""
    part = replace(plan, fields=tuple(fields))
    converter = Converter(part, checks_text=snap.unchecked_text)
    query = SQL("select {} from {} where {}").format(
        select_list(part, guard=snap.may_hold_oversize),
        from_clause(part, guard=snap.may_hold_oversize),
        sql.both([sql.where_given(plan)]),
    )
    try:
        with closing(snap.batches(query)) as batches:
            for batch in batches:
                yield from converter.convert(batch).pages(part)
    except GeneratorExit:
        snap.connection.spoiled = True
        raise


def payloads(
    conn: psycopg.Connection[Any], plan: TablePlan, keys: Sequence[Key]
) -> list[dict[str, Any] | None]:
    """Each key's row as Postgres writes it in JSON (None: deleted), the plan's columns only, by their source names.

    For people: texts longer than MAX_SHOWN are cut, and numbers with a fraction are texts, to keep every digit. Raises
    SourceUnavailable, SourceTableMissing.
    """
    with translating(str(plan.source.name)):
        texts = (text for some in _chunks(keys, AT_ONCE) for text in _texts(conn, plan, some))
        return [_payload(text) for text in texts]


def _texts(conn: psycopg.Connection[Any], plan: TablePlan, keys: Sequence[Key]) -> list[str | None]:
    query = SQL("select text from (values {}) v(at, text) order by at").format(
        SQL(",\n").join(
            SQL("({}, {})").format(Literal(at), _as_json(plan, key)) for at, key in enumerate(keys)
        )
    )
    with conn.transaction():
        if conn.info.parameter_status("server_encoding") == "SQL_ASCII":  # as bytes, whatever they are
            conn.execute("select set_config('client_encoding', 'SQL_ASCII', true)")
        found = conn.execute(sql.text_of(query).encode()).fetchall()
    return [_with_bytes_shown(text) if isinstance(text, bytes) else text for (text,) in found]


def _with_bytes_shown(text: bytes) -> str:
    """The JSON as text; a byte that is not UTF-8 as `\\xe9` in the text that has it."""
    decoded = text.decode("utf-8", "surrogateescape")
    return re.sub("[\udc80-\udcff]", lambda byte: f"\\\\x{ord(byte[0]) - 0xDC00:x}", decoded)


def _as_json(plan: TablePlan, key: Key) -> Any:
    """A subquery for the row as JSON. (to_json accepts escapes in a json column that stand for no character; to_jsonb
    does not.)"""
    columns = SQL(", ").join(json_columns(plan))
    return SQL("(select to_json(r)::text from (select {} from {} where {} limit 1) r)").format(
        columns, sql.table(plan), sql.by_key(plan, key)
    )


def _payload(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    row: dict[str, Any] = json.loads(text, parse_float=str)
    return {name: _cut(value) for name, value in row.items()}


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_SHOWN:
        return f"{value[:MAX_SHOWN]}… ({len(value)} characters)"
    return value


def _chunks(keys: Sequence[Key], size: int) -> Iterator[Sequence[Key]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
