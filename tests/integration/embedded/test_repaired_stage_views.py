"""Views over stages: what they show is what the stage and the tables have when they are queried."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pgsnow.embedded.snowflake import EmbeddedSnowflake
from tests.integration.embedded.clients import attempt, connect, rows, run, settings_of
from tests.integration.embedded.test_repaired_staged_rows import prepare

LIVE = (
    'CREATE VIEW "LIVE" AS SELECT "ID", "S" FROM (SELECT "ID", "S", 0 AS "ORDER" FROM T UNION ALL'
    ' SELECT $1:"ID"::NUMBER(38,0), $1:"S"::VARCHAR, 1 FROM @ST/b/ (FILE_FORMAT => \'F\')) AS r'
    ' QUALIFY ROW_NUMBER() OVER (PARTITION BY r."ID" ORDER BY r."ORDER" DESC) = 1'
)


def ids(connection: Any, view: str = "LIVE") -> list[int]:
    return [row[0] for row in rows(connection, f"SELECT v.* FROM {view} AS v ORDER BY 1")]


def test_a_view_shows_the_newest_of_a_table_and_of_staged_files(tmp_path: Path) -> None:
    """Files that come later are seen, files that are removed are not, and a view of the view and a restart change
    nothing. The columns are described without any file."""
    with EmbeddedSnowflake(tmp_path / "snowflake") as server:
        env = settings_of(server.port, "D")
        server.create_database("D")
        with contextlib.closing(connect(env)) as connection:
            prepare(connection, tmp_path)
            run(connection, "INSERT INTO T VALUES (1, 'old'), (99, 'x')", "REMOVE @ST", LIVE)
            assert ids(connection) == [1, 99]
            run(connection, f"PUT file://{tmp_path}/part-*.parquet @ST/b/2/ AUTO_COMPRESS=FALSE")
            assert rows(connection, "SELECT S FROM LIVE WHERE ID = 1") == [("a",)]
            run(connection, "CREATE VIEW OUTER_VIEW (A) AS SELECT ID FROM LIVE", "REMOVE @ST/b/2/part-2")
            assert ids(connection, "OUTER_VIEW") == ids(connection) == [1, 11, 99]
            described = rows(connection, "DESCRIBE VIEW LIVE")
            assert [row[:2] for row in described] == [("ID", "NUMBER(38,0)"), ("S", "VARCHAR(16777216)")]
        server.stop()
        server.start()
        with contextlib.closing(connect(settings_of(server.port, "D"))) as connection:
            assert ids(connection) == [1, 11, 99]


def test_a_name_that_is_no_view_any_more_is_none(snowflake_env: Mapping[str, str], tmp_path: Path) -> None:
    """After DROP VIEW, OR REPLACE, and DROP SCHEMA."""
    with contextlib.closing(connect(snowflake_env)) as connection:
        prepare(connection, tmp_path)
        run(connection, LIVE, "CREATE OR REPLACE VIEW LIVE AS SELECT 5 AS A")
        assert ids(connection) == [5]
        run(connection, LIVE.replace("CREATE", "CREATE OR REPLACE"), "DROP VIEW LIVE")
        assert attempt(connection, "SELECT * FROM LIVE") == (2003, "42S02")
        run(connection, LIVE, "CREATE SCHEMA KEPT", "DROP SCHEMA PUBLIC", "CREATE SCHEMA PUBLIC")
        run(connection, "CREATE TABLE LIVE (I NUMBER(38,0))")
        assert ids(connection) == []
