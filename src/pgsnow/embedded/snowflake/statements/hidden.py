"""Objects that no session may see, as after REVOKE: the real service says of them that they do not exist or are not
authorized."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pgsnow.embedded.snowflake.hooks.cursor import Execute, wrap_execute
from pgsnow.embedded.snowflake.hooks.errors import snowflake_error
from pgsnow.embedded.snowflake.statements.gaps import IDENTIFIER

NOT_AUTHORIZED = (2003, "02000")
CANNOT_BE_SHOWN = (2043, "02000")
NO_PRIVILEGES_ON_IT = (3041, "42710")
TEXTS = re.compile(r"'(?:[^'\\]|\\.|'')*'")
NAMES = re.compile(rf"{IDENTIFIER}(?:\.{IDENTIFIER})+")
CREATED = re.compile(
    rf"\s*create\s+(?:or\s+replace\s+)?(?:transient\s+)?(?:table|schema|stage|file\s+format)\s+(?:if\s+not\s+exists\s+)?(?P<name>{NAMES.pattern})",
    re.IGNORECASE,
)
SHOWING = re.compile(r"\s*(?:show|use)\b", re.IGNORECASE)

hidden: set[str] = set()
"""Full names without quotes, such as DB.SCHEMA.TABLE, DB.SCHEMA or DB."""


def is_hidden(name: str) -> bool:
    """True for a hidden object, and for everything in it."""
    return any(name == each or name.startswith(f"{each}.") for each in hidden)


def refuse_hidden_objects() -> None:
    """Stock: every session may use everything."""
    wrap_execute(_refusing)


def _refusing(stock: Execute) -> Execute:
    def execute(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
        if hidden:
            _refuse(command, self._conn.database)
        return stock(self, command, *args, **kwargs)

    return execute


def _refuse(command: str, database: str | None) -> None:
    created = CREATED.match(command)
    if created and ".".join(_parts(created["name"])) in hidden:
        raise snowflake_error(
            NO_PRIVILEGES_ON_IT,
            f"{created['name']} already exists, but current role has no privileges on it.",
        )
    for name in _names(command, database):
        if is_hidden(name):
            numbers = CANNOT_BE_SHOWN if SHOWING.match(command) else NOT_AUTHORIZED
            raise snowflake_error(numbers, f"Object '{name}' does not exist or not authorized.")


def refuse_if_hidden(name: str) -> None:
    """Raise 2003 if the object with this full name, which no statement names outside of texts, is hidden."""
    if is_hidden(name):
        raise snowflake_error(NOT_AUTHORIZED, f"Object '{name}' does not exist or not authorized.")


def _names(command: str, database: str | None) -> Iterator[str]:
    """The objects that a statement names with their schema or database."""
    for match in NAMES.finditer(TEXTS.sub("''", command)):
        parts = _parts(match[0])
        yield ".".join(parts)
        yield ".".join([database or "", *parts])


def _parts(name: str) -> list[str]:
    parts = re.findall(IDENTIFIER, name)
    return [part[1:-1].replace('""', '"') if part[0] == '"' else part.upper() for part in parts]
