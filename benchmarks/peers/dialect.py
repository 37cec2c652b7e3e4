"""Rewrites statements of other tools that the emulator does not support as equivalent ones; none is skipped.

Only for these tools: pgsnow itself sends none of these statements.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import fakesnow.server
import sqlglot
from fakesnow.transforms import stage
from sqlglot.tokens import TokenType
from starlette.requests import Request
from starlette.responses import JSONResponse

from pgsnow.embedded.snowflake.hooks.routes import QUERY, Endpoint, replace_route
from pgsnow.embedded.snowflake.sessions.sessions import body_of

DESCRIBED = re.compile(
    r'\s*DESCRIBE TABLE "(?P<schema>[^"]+)"\."(?P<table>[^"]+)" ->> SELECT "name", "type", "null\?" FROM \$1',
    re.I,
)
TABLE_STAGE = re.compile(r'\.%"(?P<name>[^"]+)"')
DLT = re.compile(r"\s*(?:put\s+'[^']+'\s+'@|copy\s+into\s+\S+\s+from\s+'@)", re.I)
AUTOCOMMIT = re.compile(r"\s*alter session set autocommit=False\s*\Z", re.I)
WRITES = re.compile(r"\s*(?:merge|copy)\b", re.I)
NUMBER = "'NUMBER(' || numeric_precision || ',' || numeric_scale || ')'"
TYPE = f"CASE data_type WHEN 'NUMBER' THEN {NUMBER} ELSE data_type END"


Rewrite = Callable[[Any, str], str | None]
"""(session, statement) → the text to run instead, or None to leave it unchanged."""


def understand() -> None:
    """Install the rewriting of requests, which happens before anything is parsed. Call once in a process, after the
    emulator's own repairs."""
    replace_route(QUERY, _reading)


def _reading(stock: Endpoint) -> Endpoint:
    async def query(request: Request) -> JSONResponse:
        body = await body_of(request)
        session = fakesnow.server.sessions[fakesnow.server.to_token(request)]
        for number, statement in enumerate(_statements(body["sqlText"])):
            text = statement
            for rewrite in REWRITES:
                text = rewrite(session, text) or text
            answer = await stock(_saying(request, {**body, "sqlText": text}, number))
            if b'"success":false' in bytes(answer.body)[-1_000:]:
                break
        return answer

    return query


def _statements(text: str) -> list[str]:
    """The statements of a request. dlt sends several at once, which the emulator does not support."""
    if ";" not in text:
        return [text]
    ends = [
        token.start
        for token in sqlglot.tokenize(text, "snowflake")
        if token.token_type is TokenType.SEMICOLON
    ]
    parts = [
        text[begin:end].strip() for begin, end in zip([0, *(e + 1 for e in ends)], [*ends, None], strict=True)
    ]
    return [part for part in parts if part]


def _saying(request: Request, body: dict[str, Any], number: int) -> Request:
    """The request with another body; the second and later statements get their own request ids."""
    scope = dict(request.scope)
    if number:
        scope["query_string"] = scope["query_string"].replace(b"requestId=", b"requestId=%d-" % number)
    again = Request(scope, request.receive)
    sent = json.dumps(body).encode()
    again._body = gzip.compress(sent, 1) if request.headers.get("Content-Encoding") == "gzip" else sent
    return again


def _piped_description(session: Any, command: str) -> str | None:
    """ingestr's DESCRIBE with a pipe. A table that does not exist must fail as with DESCRIBE."""
    match = DESCRIBED.match(command)
    if match is None:
        return None
    schema, table = match["schema"], match["table"]
    place = f"table_schema = '{schema}' AND table_name = '{table}'"
    known = "SELECT 1 FROM duckdb_tables() WHERE database_name = ? AND schema_name = ? AND table_name = ?"
    if session._duck_conn.execute(known, [session.database, schema, table]).fetchone() is None:
        return f'DESCRIBE TABLE "{schema}"."{table}"'
    return (
        f"SELECT column_name AS \"name\", {TYPE} AS \"type\", CASE is_nullable WHEN 'YES' THEN 'Y' ELSE 'N' END AS"
        f' "null?" FROM information_schema.columns WHERE {place} ORDER BY ordinal_position'
    )


def _table_stage(_: Any, command: str) -> str | None:
    """ingestr: the stage of a table is `%"T"` with Snowflake, `"%T"` here."""
    return TABLE_STAGE.sub(r'."%\g<name>"', command) if TABLE_STAGE.search(command) else None


def _autocommit(_: Any, command: str) -> str | None:
    """dlt switches autocommit off, which makes the emulator begin a second transaction for COPY and MERGE. So it stays
    on, and each statement commits separately."""
    return command.replace("=False", "=True") if AUTOCOMMIT.match(command) else None


def _schema_for_merges(session: Any, command: str) -> str | None:
    """ingestr logs in without a schema and uses qualified names; the emulator's MERGE needs a schema for its own
    table."""
    if WRITES.match(command) and not session.schema_set:
        session._schema, session.schema_set = "PUBLIC", True
    return None


def _dlt_paths(_: Any, command: str) -> str | None:
    """dlt quotes stages with their paths, parts of paths, and options."""
    if not DLT.match(command):
        return None
    text = re.sub(r"'(@[^']+)'", lambda m: re.sub(r'/"([^"/]+)"', r"/\1", m[1]), command)
    if text.lstrip().upper().startswith("PUT"):
        return text.replace(",", " ")
    text = re.sub(r"MATCH_BY_COLUMN_NAME\s*=\s*'(\w+)'", r"MATCH_BY_COLUMN_NAME=\1", text)
    if re.search(r"TYPE\s*=\s*'JSON'", text):
        _make_parquet(text)
    return re.sub(r"FILE_FORMAT\s*=\s*\([^)]*\)", "FILE_FORMAT=(TYPE=PARQUET)", text)


def _make_parquet(copy: str) -> None:
    """dlt's own small tables are JSON lines, which the emulator can load only into a single VARIANT."""
    found = re.search(r'FROM\s+@"(?P<schema>[^"]+)"\."(?P<stage>[^"]+)"/(?P<path>\S+)', copy)
    if found is None:
        return
    folder = Path(stage.LOCAL_BUCKET_PATH).glob(f"*/{found['schema']}/{found['stage']}/{found['path']}")
    for place in folder:
        for file in [place] if place.is_file() else [each for each in place.rglob("*") if each.is_file()]:
            query = f"SELECT * FROM read_json_auto('{file}', format='newline_delimited', compression='auto_detect')"
            duckdb.sql(f"COPY ({query}) TO '{file}.new' (FORMAT parquet)")
            Path(f"{file}.new").replace(file)


REWRITES: tuple[Rewrite, ...] = (
    _piped_description,
    _table_stage,
    _schema_for_merges,
    _autocommit,
    _dlt_paths,
)
