"""Statements about stages that the stock emulator does not support."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fakesnow.server
import fakesnow.transforms
from fakesnow.transforms import stage
from sqlglot import exp

from pgsnow.embedded.snowflake.hooks.cursor import Execute, rewrite_text, wrap_execute
from pgsnow.embedded.snowflake.hooks.errors import not_implemented
from pgsnow.embedded.snowflake.stages.storage import STAGES

NAME = r"(?:\"(?:[^\"]|\"\")*\"|[\w$%~])+(?:\.(?:\"(?:[^\"]|\"\")*\"|[\w$%])+){0,2}"
PLACE = rf"'?@(?P<stage>{NAME})(?P<path>/[^\s']*)?'?"
REMOVE = re.compile(
    rf"\s*(?:remove|rm)\s+{PLACE}\s*(?:pattern\s*=\s*'(?P<pattern>.*)')?\s*;?\s*\Z", re.IGNORECASE
)
LIST = re.compile(
    rf"\s*(?:list|ls)\s+{PLACE}\s*(?:pattern\s*=\s*'(?P<pattern>.*)')?\s*;?\s*\Z", re.IGNORECASE
)
CREATE = re.compile(
    r"\s*create\s+(?:or\s+replace\s+)?(?:temp(?:orary)?\s+)?(?:stage|file\s+format)\b", re.IGNORECASE
)
DROP = re.compile(rf"\s*drop\s+stage\s+(?P<exists>if\s+exists\s+)?(?P<stage>{NAME})\s*;?\s*\Z", re.IGNORECASE)
PUT = re.compile(
    rf"(?P<start>\s*put\s+(?:'[^']*'|\S+)\s+)'(?P<place>@{NAME}[^\s']*)'(?P<options>.*)\Z", re.IGNORECASE
)
USER_STAGE = "~"
STAGE_FIELDS = {
    "region": "us-central1",
    "storageAccount": None,
    "endPoint": None,
    "path": "",
    "isClientSideEncrypted": False,
    "useS3RegionalUrl": False,
    "useRegionalUrl": False,
    "useVirtualUrl": False,
}
NO_SECOND_PUT = {"GCS_ACCESS_TOKEN": "emulator"}
"""Token in the answer to PUT, as the real service sends it. Without one a client repeats the PUT to get a URL for the
file's last name."""
COMMAND_FIELDS = {
    "overwrite": True,
    "encryptionMaterial": None,
    "threshold": 209_715_200,
    "operation": "Node",
    "clientShowEncryptionParameter": False,
}


def describe_stages_fully() -> None:
    """Stock: leaves out fields of the answer to PUT that newer clients require."""
    stock = fakesnow.server.gcs_stage_info

    def stage_info(request: Any, expression: Any, data: dict[str, Any]) -> dict[str, Any]:
        data.update(COMMAND_FIELDS)
        info = {**stock(request, expression, data), **STAGE_FIELDS}
        return {**info, "creds": NO_SECOND_PUT} if _is_uploaded_as_it_is(request, data) else info

    fakesnow.server.gcs_stage_info = stage_info


def _is_uploaded_as_it_is(request: Any, data: dict[str, Any]) -> bool:
    """True for a PUT of one file under its own name, for which the client uses a URL whenever the answer has one."""
    by_python = str(request.headers.get("User-Agent", "")).startswith("PythonConnector/")
    pattern = any(character in data["src_locations"][0] for character in "*?[")
    return by_python and not data["autoCompress"] and not pattern


def put_with_a_known_compression() -> None:
    """Stock: tells the client to detect a file's compression, whatever SOURCE_COMPRESSION says."""
    stock = fakesnow.transforms.put_stage

    def put_stage(expression: Any, *arguments: Any) -> Any:
        found = stock(expression, *arguments)
        if isinstance(expression, exp.Put):
            options = stage.parse_options(expression.args.get("properties") or [])
            said = str(options.get("SOURCE_COMPRESSION", "auto_detect")).lower()
            found.args["put_stage_data"]["sourceCompression"] = said
        return found

    fakesnow.transforms.put_stage = put_stage


def put_to_quoted_places() -> None:
    """Stock: PUT does not accept the stage and its path in single quotes."""
    rewrite_text(lambda _, command: _unquoted(command))


def _unquoted(command: str) -> str | None:
    match = PUT.match(command)
    return match and f"{match['start']}{match['place']}{match['options']}"


def put_to_the_users_stage() -> None:
    """Stock: PUT does not know the stage `@~`, which every user has."""
    stock = stage.stage_lookup_sql

    def lookup(catalog: str, schema: str, stage_name: str, table_stages: Any) -> str:
        if stage_name != USER_STAGE:
            return str(stock(catalog, schema, stage_name, table_stages))
        return f"SELECT {_literal(f'{catalog}.{schema}.{USER_STAGE}')} AS storage_name"

    stage.stage_lookup_sql = lookup


def list_below_a_path() -> None:
    """Stock: LIST accepts only a whole stage, and no PATTERN."""
    rewrite_text(_list)


def remove_staged_files() -> None:
    """Stock: REMOVE is not supported."""
    rewrite_text(_remove)


def drop_stages() -> None:
    """Stock: DROP STAGE is not supported."""
    rewrite_text(_drop)


def create_stages_one_at_a_time() -> None:
    """Stock: if two sessions CREATE STAGE IF NOT EXISTS at the same time, one of them fails."""
    one_at_a_time = threading.Lock()

    def wrap(stock: Execute) -> Execute:
        def execute(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
            with one_at_a_time if CREATE.match(command) else contextlib.nullcontext():
                return stock(self, command, *args, **kwargs)

        return execute

    wrap_execute(wrap)


def _list(cursor: Any, command: str) -> str | None:
    match = LIST.match(command)
    if match is None:
        return None
    files = [
        (shown, file.stat().st_size, _md5(file), _modified(file)) for shown, file in _found(cursor, match)
    ]
    return answer_of(("name", "size", "md5", "last_modified"), files)


def _remove(cursor: Any, command: str) -> str | None:
    match = REMOVE.match(command)
    if match is None:
        return None
    removed = []
    for shown, file in _found(cursor, match):
        file.unlink(missing_ok=True)
        removed.append((shown, "removed"))
    return answer_of(("name", "result"), removed)


def _found(cursor: Any, match: re.Match[str]) -> Iterator[tuple[str, Path]]:
    """The files below a path: each by the name that Snowflake shows (`<stage in lower case>/<path>`), and by its
    path on disk."""
    parts = existing_stage(cursor, match["stage"])
    for inside, file in files_below(parts, (match["path"] or "").lstrip("/")):
        shown = f"{parts[2].lower()}/{inside}"
        if matches(match["pattern"], inside, shown):
            yield shown, file


def matches(pattern: str | None, behind: str, whole: str) -> bool:
    """True if a file's path matches a PATTERN, or there is none. The real service applies it to the path behind the
    stage's location; of LIST and REMOVE its documentation does not say whether that is so. A pattern for which it would
    make a difference is an error here. whole: the path with the location."""
    if pattern is None:
        return True
    found, also = (re.fullmatch(pattern, path) is not None for path in (behind, whole))
    if found != also:
        raise not_implemented(f"a PATTERN that does not begin with .*, because of {behind!r} in {whole!r}")
    return found


def files_below(parts: tuple[str, str, str], prefix: str) -> Iterator[tuple[str, Path]]:
    """The files of an internal stage whose path in it begins with this prefix: path in the stage, path on disk."""
    root = Path(stage.internal_dir(".".join(parts)))
    folder = root / prefix.rpartition("/")[0]
    for file in sorted(folder.rglob("*")):
        inside = str(file.relative_to(root))
        if file.is_file() and inside.startswith(prefix):
            yield inside, file


def url_of(cursor: Any, parts: tuple[str, str, str]) -> str:
    """The URL of an external stage; empty for an internal one, and for one that does not exist."""
    found = cursor._duck_conn.execute(
        f"SELECT url FROM {STAGES} WHERE database_name = ? AND schema_name = ? AND name = ?",  # noqa: S608
        list(parts),
    ).fetchone()
    return str(found[0] or "") if found else ""


def existing_stage(cursor: Any, name: str) -> tuple[str, str, str]:
    """Database, schema and name of a stage, as Snowflake stores them. Raises 2003 if there is none."""
    parts: tuple[str, str, str] = stage.parts_from_var(name, cursor._conn.database, cursor._conn.schema)
    if stage.is_table_stage(parts[2]) or parts[2] == USER_STAGE:
        return parts
    known = cursor._duck_conn.execute(
        f"SELECT 1 FROM {STAGES} WHERE database_name = ? AND schema_name = ? AND name = ?",  # noqa: S608
        list(parts),
    ).fetchone()
    if known is None:
        raise stage.not_found_error(".".join(parts))
    return parts


def _drop(cursor: Any, command: str) -> str | None:
    match = DROP.match(command)
    if match is None:
        return None
    parts = stage.parts_from_var(match["stage"], cursor._conn.database, cursor._conn.schema)
    if not match["exists"]:
        existing_stage(cursor, match["stage"])
    cursor._duck_conn.execute(
        f"DELETE FROM {STAGES} WHERE database_name = ? AND schema_name = ? AND name = ?",  # noqa: S608
        list(parts),
    )
    shutil.rmtree(stage.internal_dir(".".join(parts)), ignore_errors=True)
    return answer_of(("status",), [(f"{parts[2]} successfully dropped.",)])


def answer_of(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """A SELECT that returns these rows; without rows it returns the columns alone."""
    columns = ", ".join(f'"{name}"' for name in names)
    empty = ", ".join("''" for _ in names)
    values = ", ".join("(" + ", ".join(_literal(value) for value in row) + ")" for row in rows)
    source = f"(VALUES {values})" if rows else f"(SELECT {empty} WHERE 1 = 0)"
    return f"SELECT * FROM {source} AS t({columns})"  # noqa: S608


def _literal(value: Any) -> str:
    return str(value) if isinstance(value, int) else "'{}'".format(str(value).replace("'", "''"))


def _md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


def _modified(file: Path) -> str:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
