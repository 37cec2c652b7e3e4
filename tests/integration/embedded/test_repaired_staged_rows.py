"""SELECT from staged files, as Snowflake does it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.integration.embedded.clients import attempt, connect, outcome, rows, run

OPTIONS = "NULL_IF=() USE_LOGICAL_TYPE=TRUE BINARY_AS_TEXT=FALSE USE_VECTORIZED_SCANNER=FALSE"
BATCH = '@"ST"/b/1/ (FILE_FORMAT => \'"F"\')'
VALUES = '$1:"ID"::NUMBER(38,0) AS "ID", $1:"S"::VARCHAR AS "S"'


def prepare(connection: Any, folder: Path) -> None:
    """Two files of two rows each below b/1/: ID, S and "x y"; an empty table T; the format F."""
    for part in (1, 2):
        table = pa.table({"ID": [part, part + 10], "S": ["a", None], "x y": [1.5, 2.5]})
        pq.write_table(table, folder / f"part-{part}.parquet")
    run(
        connection,
        f"CREATE FILE FORMAT IF NOT EXISTS F TYPE=PARQUET {OPTIONS}",
        "CREATE STAGE ST",
        f"PUT file://{folder}/part-*.parquet @ST/b/1/ AUTO_COMPRESS=FALSE OVERWRITE=TRUE",
        "CREATE TABLE T (ID NUMBER(38,0), S VARCHAR)",
    )


@pytest.fixture
def staged(snowflake_env: Mapping[str, str], tmp_path: Path) -> Iterator[Any]:
    """A session with what `prepare` makes."""
    with contextlib.closing(connect(snowflake_env)) as connection:
        prepare(connection, tmp_path)
        yield connection


def test_a_select_reads_the_columns_of_staged_files(staged: Any) -> None:
    """Values are cast as in a COPY of a SELECT; a column that no file has is NULL, and so is one of another case; the
    metadata columns name the file and the row."""
    columns = f'{VALUES}, $1:"x y"::FLOAT, $1:"id"::VARCHAR, $1, METADATA$FILENAME, METADATA$FILE_ROW_NUMBER'
    found = rows(staged, f"SELECT {columns} FROM {BATCH} ORDER BY 1 DESC")
    assert found[0] == (12, None, 2.5, None, '{"ID":12,"S":null,"x y":2.5}', "b/1/part-2.parquet", 2)
    assert [row[0] for row in found] == [12, 11, 2, 1]


def test_a_path_is_a_prefix_and_a_pattern_selects_files(staged: Any) -> None:
    """As in a COPY; where no file matches there are no rows, and a LEFT JOIN keeps its row."""
    count = "SELECT COUNT(*) FROM @ST/{} (FILE_FORMAT => F{}) AS r"
    counts = [("b/1/part-2", ""), ("b/", ", PATTERN => '.*[/]part-1[.].*'"), ("b/2/", ""), ("", "")]
    assert [rows(staged, count.format(*each)) for each in counts] == [[(2,)], [(2,)], [(0,)], [(4,)]]
    joined = (
        "SELECT COUNT(r.$1), COUNT(*) FROM (SELECT 1) AS one LEFT JOIN @ST/{} (FILE_FORMAT => F) AS r ON TRUE"
    )
    assert [rows(staged, joined.format(path)) for path in ("b/1/", "b/2/")] == [[(4, 4)], [(0, 1)]]


def test_staged_files_may_stand_wherever_a_table_may(staged: Any) -> None:
    """In a subquery that is joined, a UNION ALL, an INSERT, an INSERT OVERWRITE and a CREATE TABLE AS."""
    one, two = (f"SELECT {VALUES} FROM @ST/b/1/part-{part} (FILE_FORMAT => 'F') AS r" for part in (1, 2))
    run(staged, f"INSERT INTO T (ID, S) {one}", f"INSERT OVERWRITE INTO T (ID, S) {one} UNION ALL {two}")
    assert rows(staged, "SELECT ID FROM T ORDER BY 1") == [(1,), (2,), (11,), (12,)]
    run(staged, f"CREATE TABLE U AS {two}")
    joined = 'SELECT u."ID" FROM U AS u JOIN ({}) AS s ON s."ID" = u."ID" ORDER BY 1'
    assert rows(staged, joined.format(f"{one} UNION ALL {two}")) == [(2,), (12,)]


def test_a_merge_reads_staged_files(staged: Any) -> None:
    """One statement applies a batch, once for each key."""
    newest = (
        f'SELECT {VALUES} FROM {BATCH} QUALIFY ROW_NUMBER() OVER (PARTITION BY $1:"S" ORDER BY $1:"ID") = 1'
    )
    merge = (
        f'MERGE INTO T AS t USING ({newest}) AS s ON t."ID" = s."ID" '
        'WHEN MATCHED THEN UPDATE SET t."S" = s."S" '
        'WHEN NOT MATCHED THEN INSERT ("ID", "S") VALUES (s."ID", s."S")'
    )
    assert [run(staged, merge) for _ in range(2)] == [[(2, 0)], [(0, 2)]]
    assert rows(staged, "SELECT * FROM T ORDER BY 1") == [(1, "a"), (11, None)]


GUARDED = (
    'SELECT r."ID", r."S", IFF(COUNT(r."ID") OVER () = {rows} AND (SELECT COUNT(*) FROM T) = {there}, 1, {failing})'
    ' AS "G"'
    " FROM (SELECT 1 AS ONE) AS o LEFT JOIN ("
    + f"SELECT {VALUES} FROM"
    + " @ST/{path} (FILE_FORMAT => 'F')) AS r ON TRUE"
)
APPLIED = (
    'MERGE INTO T AS t USING ({}) AS s ON t."ID" = s."ID" '
    'WHEN MATCHED AND s."G" = 1 AND t."ID" > 0 THEN UPDATE SET t."S" = s."S" '
    'WHEN NOT MATCHED AND s."G" = 1 THEN INSERT ("ID", "S") VALUES (s."ID", s."S")',
    'INSERT INTO T ("ID", "S") SELECT s."ID", s."S" FROM ({}) AS s WHERE s."G" = 1',
    'INSERT OVERWRITE INTO T ("ID", "S") SELECT s."ID", s."S" FROM ({}) AS s WHERE s."G" = 1',
)


def test_a_statement_whose_guard_fails_changes_nothing(staged: Any) -> None:
    """A guard computes something that fails unless the numbers of rows in the files and in the target are as expected,
    also if no file matches: the whole MERGE, INSERT or INSERT OVERWRITE fails then."""
    not_a_number, division = (
        "TO_NUMBER('read ' || COUNT(r.\"ID\") OVER ())",
        '1 / (COUNT(r."ID") OVER () * 0)',
    )
    run(staged, "INSERT INTO T VALUES (1, 'old')")
    wrong = [
        ({"rows": 3, "there": 1, "path": "b/1/"}, not_a_number, (100038, "22018")),
        ({"rows": 4, "there": 2, "path": "b/1/"}, division, (100051, "22012")),
        ({"rows": 4, "there": 1, "path": "b/2/"}, not_a_number, (100038, "22018")),
    ]
    for statement in APPLIED:
        for expected, failing, error in wrong:
            guarded = GUARDED.format(**expected, failing=failing)
            assert attempt(staged, statement.format(guarded)) == error
        assert rows(staged, "SELECT * FROM T") == [(1, "old")]
    right = GUARDED.format(rows=4, there=1, path="b/1/", failing=not_a_number)
    assert run(staged, APPLIED[0].format(right)) == [(3, 1)]


def test_only_a_named_format_is_accepted(staged: Any) -> None:
    """An inline format and FILES are syntax errors; a missing stage or format is 2003."""
    count = "SELECT COUNT(*) FROM @{}/ (FILE_FORMAT => {})"
    given = [("ST", "(TYPE=PARQUET)"), ("ST", "F, FILES => ('a')"), ("NO", "F"), ("ST", "NO_F")]
    errors = [attempt(staged, count.format(*each)) for each in given]
    assert errors == [(1003, "42000"), (1003, "42000"), (2003, "02000"), (2003, "02000")]


def test_a_pattern_is_a_regular_expression_over_the_whole_path(staged: Any) -> None:
    """REMOVE and LIST apply it to the path behind the stage's location. A pattern that would match only with the
    stage's name before it, or only without, is refused."""
    assert attempt(staged, "REMOVE @ST PATTERN='b/1/part-1[.]parquet'") == (2, "0A000")
    assert rows(staged, "REMOVE @ST PATTERN='.*part-1'") == []
    assert rows(staged, "REMOVE @ST PATTERN='(.*/)?(b/1|c)/part-1[.].*'") == [
        ("st/b/1/part-1.parquet", "removed")
    ]
    assert [row[0] for row in rows(staged, "LIST @ST")] == ["st/b/1/part-2.parquet"]


def test_file_formats_are_created_shown_and_dropped(staged: Any) -> None:
    """A second CREATE fails without IF NOT EXISTS; unknown options and missing schemas are errors."""
    assert attempt(staged, "CREATE FILE FORMAT F TYPE=PARQUET") == (2002, "42710")
    assert attempt(staged, f"CREATE FILE FORMAT IF NOT EXISTS F TYPE=PARQUET {OPTIONS}") is None
    assert attempt(staged, "CREATE FILE FORMAT G TYPE=PARQUET NO_SUCH=1") == (1423, "42601")
    assert attempt(staged, "CREATE FILE FORMAT NO_S.G TYPE=PARQUET") == (2003, "02000")
    assert [row[1] for row in rows(staged, "SHOW FILE FORMATS LIKE 'f' IN SCHEMA PUBLIC")] == ["F"]
    assert attempt(staged, "DROP FILE FORMAT F") is None
    assert attempt(staged, "DROP FILE FORMAT F") == (2003, "02000")
    assert rows(staged, "SHOW FILE FORMATS") == []


@pytest.mark.thorough
def test_the_stock_emulator_takes_a_stage_for_a_table(stock_env: Mapping[str, str], tmp_path: Path) -> None:
    """When this is no longer so, `select_from_stages` can go."""

    def scenario(connection: Any) -> Any:
        prepare(connection, tmp_path)
        return rows(connection, f"SELECT COUNT(*) FROM {BATCH}")

    assert outcome(scenario, stock_env) != [(4,)]
