"""Statements that the stock emulator does not know."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fakesnow.cursor
from fakesnow.transforms import stage

STATUS = "SELECT 'Statement executed successfully.' AS \"status\""
WITHOUT_EFFECT = re.compile(
    r"""\s*(?:
        alter\s+session\s+(?:set|unset)\s+(?!autocommit)
      | alter\s+warehouse\b
      | use\s+(?:secondary|warehouse|role)\b
      | grant\b
      | revoke\b
      | create\s+(?:or\s+replace\s+)?(?:warehouse|role)\b
      | alter\s+table\s+\S+\s+set\s+(?:data_retention|change_tracking|enable_schema)
    )""",
    re.IGNORECASE | re.VERBOSE,
)
STAGE_PATH = r"@((?:\"[^\"]*\"|[\w$%~.])+)(/\S*)?"
REMOVE = re.compile(
    rf"\s*(?:remove|rm)\s+'?{STAGE_PATH}?'?\s*(?:pattern\s*=\s*'(.*)')?\s*;?\s*\Z", re.IGNORECASE
)
LIST = re.compile(rf"\s*(?:list|ls)\s+'?{STAGE_PATH}/'?\s*;?\s*\Z", re.IGNORECASE)
DROP_STAGE = re.compile(r"\s*drop\s+stage\s+(?:if\s+exists\s+)?(\S+?)\s*;?\s*\Z", re.IGNORECASE)

Rewrite = Callable[[Any, str], str | None]


def _rewriting(rewrite: Rewrite) -> None:
    """Lets `rewrite(cursor, statement)` replace a statement's text before the emulator reads it."""
    stock = fakesnow.cursor.FakeSnowflakeCursor.execute

    def execute(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
        return stock(self, rewrite(self, command) or command, *args, **kwargs)

    fakesnow.cursor.FakeSnowflakeCursor.execute = execute


def accept_settings_without_effect() -> None:
    """Stock: ALTER SESSION, ALTER WAREHOUSE, GRANT and their like are syntax errors."""
    _rewriting(lambda _, command: STATUS if WITHOUT_EFFECT.match(command) else None)


def remove_staged_files() -> None:
    """Stock: REMOVE is not known."""
    _rewriting(_remove)


def drop_stages() -> None:
    """Stock: DROP STAGE is not known."""
    _rewriting(_drop_stage)


def _remove(cursor: Any, command: str) -> str | None:
    match = REMOVE.match(command)
    if match is None:
        return None
    name, path, pattern = match[1], (match[2] or "").lstrip("/"), match[3]
    removed = []
    for shown, file in _staged(cursor, name):
        inside = shown.partition("/")[2]
        if inside.startswith(path) and (pattern is None or re.fullmatch(pattern, shown)):
            file.unlink(missing_ok=True)
            removed.append(shown)
    return _listing(removed)


def _staged(cursor: Any, name: str) -> Iterator[tuple[str, Path]]:
    """The files of a stage: as Snowflake shows them (`<stage in lower case>/<path>`), and where they are."""
    parts = stage.parts_from_var(name, cursor._conn.database, cursor._conn.schema)
    root = Path(stage.internal_dir(".".join(parts)))
    for file in sorted(root.rglob("*")):
        if file.is_file():
            yield f"{parts[2].lower()}/{file.relative_to(root)}", file


def _listing(names: list[str]) -> str:
    rows = ", ".join("('{}', 'removed')".format(name.replace("'", "''")) for name in names)
    source = f"(VALUES {rows})" if names else "(SELECT '' AS a, '' AS b WHERE 1 = 0)"
    return f'SELECT * FROM {source} AS t("name", "result")'  # noqa: S608  (no name from outside the stage)


def _drop_stage(cursor: Any, command: str) -> str | None:
    match = DROP_STAGE.match(command)
    if match is None:
        return None
    parts = stage.parts_from_var(match[1], cursor._conn.database, cursor._conn.schema)
    cursor._duck_conn.execute(
        "DELETE FROM _fs_global._fs_information_schema._fs_stages"
        " WHERE database_name = ? AND schema_name = ? AND name = ?",
        list(parts),
    )
    shutil.rmtree(stage.internal_dir(".".join(parts)), ignore_errors=True)
    return f"SELECT '{parts[2]} successfully dropped.' AS \"status\""  # noqa: S608
