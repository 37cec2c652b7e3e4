"""Storage of databases and stages on disk."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
from fakesnow import info_schema, macros
from fakesnow.instance import GLOBAL_DATABASE_NAME, FakeSnow
from fakesnow.transforms import show, stage

SUFFIX = ".db"
OWN_DATABASES = ("memory", "system", "temp", GLOBAL_DATABASE_NAME)
STAGES = f"{GLOBAL_DATABASE_NAME}._fs_information_schema._fs_stages"
FORMATS = f"{GLOBAL_DATABASE_NAME}._fs_information_schema._fs_file_formats"


class StoredSnowflake(FakeSnow):  # type: ignore[misc]
    """Store in a directory: one file for each database, one for the emulator's own tables, and the stages'
    files.

    Stock: the list of stages is only in memory. Databases are not created at login: as on the real service, a login
    succeeds, and the first statement that needs the database fails.
    """

    def __init__(self, directory: Path, threads: int | None = None) -> None:
        """threads: DuckDB's, by default one for each core."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.create_database_on_connect = False
        self.create_schema_on_connect = False
        self.db_path = directory
        self.nop_regexes = None
        self.results_cache: dict[str, Any] = {}
        self.duck_conn = duckdb.connect(":memory:", config={"lambda_syntax": "ENABLE_SINGLE_ARROW"})
        if threads is not None:
            self.duck_conn.execute(f"SET GLOBAL threads = {threads}")
        self.duck_conn.execute(
            f"ATTACH '{_quoted(directory / GLOBAL_DATABASE_NAME)}' AS {GLOBAL_DATABASE_NAME}"
        )
        self.duck_conn.execute(info_schema.fs_global_creation_sql())
        self.duck_conn.execute(show.fs_global_creation_sql())
        self.duck_conn.execute("SET GLOBAL TimeZone = 'UTC'")
        stage.LOCAL_BUCKET_PATH = str(directory / "_stages")
        Path(stage.LOCAL_BUCKET_PATH).mkdir(exist_ok=True)
        for file in sorted(directory.glob(f"*{SUFFIX}")):
            self._attach(file.stem)

    def create_database(self, name: str) -> None:
        """Attaches the database, or creates it with the schema PUBLIC."""
        if not self.has_database(name):
            self._attach(name.upper())
        self.duck_conn.cursor().execute(f'CREATE SCHEMA IF NOT EXISTS "{name.upper()}"."PUBLIC"')

    def drop_database(self, name: str) -> None:
        """Removes the database and its stages, with their files."""
        if not self.has_database(name):
            return
        connection = self.duck_conn.cursor()
        connection.execute(f'DETACH "{name.upper()}"')
        for kept in (STAGES, FORMATS):
            connection.execute(f"DELETE FROM {kept} WHERE database_name = ?", [name.upper()])  # noqa: S608
        shutil.rmtree(Path(stage.LOCAL_BUCKET_PATH) / name.upper(), ignore_errors=True)
        for file in self._directory.glob(f"{name.upper()}{SUFFIX}*"):
            file.unlink()

    def has_database(self, name: str) -> bool:
        rows = self.duck_conn.cursor().execute("SELECT database_name FROM duckdb_databases()").fetchall()
        return name.upper() in {row[0].upper() for row in rows if row[0] not in OWN_DATABASES}

    def _attach(self, name: str) -> None:
        connection = self.duck_conn.cursor()
        connection.execute(f"ATTACH '{_quoted(self._directory / (name + SUFFIX))}' AS \"{name}\"")
        connection.execute(info_schema.per_db_creation_sql(name))
        connection.execute(macros.creation_sql(name))


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
