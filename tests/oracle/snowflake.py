"""The rows that a target holds, by one SELECT through the plain Snowflake connector."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PREFIX = "SNOWFLAKE_"
NOT_FOUND = 2003


@dataclass(frozen=True)
class TargetRows:
    """All rows of a table; `types` has the connector's name of each column's type, `scales` its decimals."""

    types: Mapping[str, str]
    scales: Mapping[str, int]
    rows: Sequence[tuple[Any, ...]]

    def at(self, column: str) -> int:
        return list(self.types).index(column)


class Reader:
    """Reads targets of all databases through one connection, which is made at the first use: a login costs more than
    a target of a test."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = {k: v for k, v in env.items() if k not in ("SNOWFLAKE_DATABASE", "SNOWFLAKE_SCHEMA")}
        self._connection: Any = None

    def read(self, database: str, target: str) -> TargetRows | None:
        """target: as in the configuration; one of two parts is in this database. None if there is no such table."""
        if self._connection is None:
            self._connection = connect(self._env)
        parts = re.findall(r'"(?:[^"]|"")*"|[^."]+', target)
        return read(self._connection, f'"{database}".{target}' if len(parts) == 2 else target)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def connect(env: Mapping[str, str]) -> Any:
    """A connection by SNOWFLAKE_*, whose names are the connector's arguments in capitals."""
    import snowflake.connector

    arguments: dict[str, Any] = {
        name.removeprefix(PREFIX).lower(): value for name, value in env.items() if name.startswith(PREFIX)
    }
    return snowflake.connector.connect(**arguments, session_parameters={"QUERY_TAG": "oracle"})


def read(connection: Any, target: str) -> TargetRows | None:
    """None if there is no such table."""
    from snowflake.connector.constants import FIELD_ID_TO_NAME
    from snowflake.connector.errors import ProgrammingError

    with connection.cursor() as cursor:
        try:
            cursor.execute(f"SELECT * FROM {target}")
        except ProgrammingError as error:
            if error.errno != NOT_FOUND:
                raise
            return None
        types = {column.name: FIELD_ID_TO_NAME[column.type_code] for column in cursor.description}
        scales = {column.name: column.scale or 0 for column in cursor.description}
        return TargetRows(types, scales, cursor.fetchall())
