"""Statements that pgsnow sends do what Snowflake does. Each scenario deviates on the stock emulator: once it
does not, its repair can go."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import snowflake.connector

from pgsnow.embedded.snowflake import EmbeddedSnowflake
from tests.integration.embedded.clients import Scenario, attempt, connect, outcome, rows, run


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of two rows each: I, S."""
    folder = tmp_path_factory.mktemp("parquet")
    for part in (1, 2):
        pq.write_table(pa.table({"I": [part, part], "S": ["a", None]}), folder / f"part-{part}.parquet")
    return folder


def staged(connection: Any, folder: Path) -> str:
    """A stage with both files below b/1/, and an empty table T; the COPY that loads them all."""
    run(
        connection,
        "CREATE TABLE T (I NUMBER(38,0), S VARCHAR)",
        "CREATE STAGE ST",
        f"PUT file://{folder}/part-*.parquet @ST/b/1/ AUTO_COMPRESS=FALSE OVERWRITE=TRUE",
    )
    return "COPY INTO T FROM @ST/b/1/ FILE_FORMAT=(TYPE=PARQUET) MATCH_BY_COLUMN_NAME=CASE_INSENSITIVE"


def names(connection: Any, statement: str) -> list[str]:
    return [row[0] for row in rows(connection, statement)]


def copy_again_without_force(connection: Any, folder: Path) -> Any:
    copy = staged(connection, folder)
    return run(connection, f"{copy} FORCE=FALSE", f"{copy} FORCE=FALSE", "SELECT COUNT(*) FROM T")


def copy_without_purge(connection: Any, folder: Path) -> Any:
    run(connection, f"{staged(connection, folder)} PURGE=FALSE")
    return names(connection, "LIST @ST")


def copy_named_files(connection: Any, folder: Path) -> Any:
    copy = staged(connection, folder)
    return run(connection, f"{copy} FILES=('part-2.parquet')", "SELECT DISTINCT I FROM T")


def copy_into_a_quoted_table(connection: Any, folder: Path) -> Any:
    copy = staged(connection, folder)
    return run(
        connection,
        'CREATE TABLE "Order ""Details""" (I NUMBER(38,0), S VARCHAR)',
        copy.replace("INTO T", 'INTO "Order ""Details"""'),
        'SELECT COUNT(*) FROM "Order ""Details"""',
    )


def text_that_a_copy_takes_for_null(null_if: str = "") -> Any:
    """A file with the text backslash N and its own word for NULL, copied by column name."""

    def scenario(connection: Any, folder: Path) -> Any:
        rows_of_file = {"I": [1, 2, 3], "S": ["\\N", "none", "a"]}
        pq.write_table(pa.table(rows_of_file), folder.parent / "nulls.parquet")
        copy = staged(connection, folder).replace("b/1", "b/n").replace("PARQUET", f"PARQUET {null_if}")
        put = f"PUT file://{folder.parent}/nulls.parquet @ST/b/n/ AUTO_COMPRESS=FALSE OVERWRITE=TRUE"
        return run(connection, put, copy, "SELECT S FROM T ORDER BY I")

    return scenario


def copy_with_an_unknown_option(connection: Any, folder: Path) -> Any:
    copy = staged(connection, folder)
    return attempt(connection, copy.replace("PARQUET", "PARQUET NULLIF=()"))


def copy_into_a_column_in_another_script(connection: Any, folder: Path) -> Any:
    pq.write_table(pa.table({"gr\u00f6\u00dfe": [1], "\u0444": [2]}), folder.parent / "script.parquet")
    return run(
        connection,
        'CREATE TABLE N ("gr\u00f6\u00dfe" NUMBER(38,0), "\u0444" NUMBER(38,0))',
        "CREATE STAGE ST",
        f"PUT file://{folder.parent}/script.parquet @ST/s/ AUTO_COMPRESS=FALSE OVERWRITE=TRUE",
        "COPY INTO N FROM @ST/s/ FILE_FORMAT=(TYPE=PARQUET) MATCH_BY_COLUMN_NAME=CASE_INSENSITIVE",
        "SELECT * FROM N",
    )


def beyond_limits(connection: Any, _: Path) -> Any:
    """A long statement, a long name, a comment in a path, Time Travel of a transient table, unknown names."""
    run(connection, "CREATE STAGE ST", "CREATE TABLE T (N NUMBER(10,2), S VARCHAR(20))")
    statements = (
        f"SELECT '{'x' * (1 << 20)}'",
        f'CREATE TABLE "{"x" * 256}" (I NUMBER(38,0))',
        "LIST @ST/a--b/",
        "CREATE TRANSIENT TABLE U (I NUMBER(38,0)) DATA_RETENTION_TIME_IN_DAYS=90",
        "USE WAREHOUSE NO_SUCH_WAREHOUSE",
        "USE ROLE NO_SUCH_ROLE",
        "ALTER TABLE T ALTER COLUMN N SET DATA TYPE NUMBER(8,2)",
        "ALTER TABLE T ALTER COLUMN S SET DATA TYPE VARCHAR(10)",
    )
    return [attempt(connection, statement) is not None for statement in statements]


def up_to_limits(connection: Any, _: Path) -> Any:
    run(connection, "CREATE TABLE T (N NUMBER(10,2), S VARCHAR(20))")
    statements = (
        f'CREATE TABLE "{"x" * 255}" (I NUMBER(38,0))',
        "CREATE TRANSIENT TABLE U (I NUMBER(38,0)) DATA_RETENTION_TIME_IN_DAYS=1",
        "CREATE WAREHOUSE IF NOT EXISTS OTHER_WH",
        "USE WAREHOUSE OTHER_WH",
        "CREATE ROLE IF NOT EXISTS OTHER_ROLE",
        "USE ROLE OTHER_ROLE",
        "ALTER TABLE T ALTER COLUMN N SET DATA TYPE NUMBER(12,2)",
        "ALTER TABLE T ALTER COLUMN S SET DATA TYPE VARCHAR(30)",
        "ALTER TABLE T ALTER COLUMN S SET DATA TYPE VARCHAR",
    )
    return [attempt(connection, statement) for statement in statements]


def list_below_a_path(connection: Any, folder: Path) -> Any:
    staged(connection, folder)
    run(connection, f"PUT file://{folder}/part-1.parquet @ST/b/2/ AUTO_COMPRESS=FALSE")
    return names(connection, "LIST @ST/b/2/"), names(connection, "LIST @ST/nothing/")


def list_by_pattern(connection: Any, folder: Path) -> Any:
    staged(connection, folder)
    return names(connection, "LIST @ST PATTERN='.*part-2.*'")


def remove_below_a_path(connection: Any, folder: Path) -> Any:
    staged(connection, folder)
    run(connection, f"PUT file://{folder}/part-1.parquet @ST/b/2/ AUTO_COMPRESS=FALSE")
    return (
        names(connection, "REMOVE @ST/b/1/"),
        names(connection, "REMOVE @ST/b/1/"),
        names(connection, "LIST @ST"),
    )


def put_to_a_quoted_place(connection: Any, folder: Path) -> Any:
    run(connection, "CREATE STAGE ST")
    put = f"PUT 'file://{folder}/part-1.parquet' '@ST/b/1/' AUTO_COMPRESS=FALSE"
    found = [rows(connection, each)[0][4] for each in (put, f"{put} SOURCE_COMPRESSION=NONE OVERWRITE=TRUE")]
    return found, names(connection, "LIST @ST")


def drop_a_stage(connection: Any, folder: Path) -> Any:
    staged(connection, folder)
    run(connection, "DROP STAGE IF EXISTS ST", "DROP STAGE IF EXISTS ST", "CREATE STAGE ST")
    return names(connection, "LIST @ST"), attempt(connection, "DROP STAGE NO_SUCH_STAGE")


def settings_without_effect(connection: Any, _: Path) -> Any:
    statements = (
        "ALTER SESSION SET QUERY_TAG = 'x'",
        "ALTER WAREHOUSE DEV_WH RESUME",
        "USE WAREHOUSE DEV_WH",
    )
    return [attempt(connection, statement) for statement in statements]


def who_and_where(connection: Any, _: Path) -> Any:
    run(connection, "CREATE SCHEMA OTHER")
    return rows(connection, "SELECT CURRENT_WAREHOUSE(), CURRENT_ROLE(), CURRENT_USER(), CURRENT_SCHEMA()")


def ambiguous_merge(connection: Any, _: Path) -> Any:
    """Two source rows match one target row."""
    run(
        connection,
        "CREATE TABLE T (I NUMBER(38,0), S VARCHAR)",
        "INSERT INTO T VALUES (1, 'old'), (2, 'old')",
    )
    merge = (
        "MERGE INTO T AS t USING (SELECT 1 AS I, 'a' AS S UNION ALL SELECT 1, 'b') AS s ON t.I = s.I"
        " WHEN MATCHED THEN UPDATE SET t.S = s.S"
    )
    return attempt(connection, merge), rows(connection, "SELECT * FROM T ORDER BY I")


def unknown_column(connection: Any, _: Path) -> Any:
    run(connection, "CREATE TABLE T (I NUMBER(38,0))")
    return attempt(connection, "SELECT NO_SUCH_COLUMN FROM T")


def violated_not_null(connection: Any, _: Path) -> Any:
    run(connection, "CREATE TABLE T (I NUMBER(38,0) NOT NULL)")
    return attempt(connection, "INSERT INTO T VALUES (NULL)")


def not_json(connection: Any, _: Path) -> Any:
    return attempt(connection, "SELECT PARSE_JSON(S) FROM (SELECT '{' AS S)") is not None


CASES: list[tuple[Any, Any]] = [
    (copy_again_without_force, [(4,)]),
    (copy_without_purge, ["st/b/1/part-1.parquet", "st/b/1/part-2.parquet"]),
    (copy_named_files, [(2,)]),
    (copy_into_a_quoted_table, [(4,)]),
    (text_that_a_copy_takes_for_null(), [(None,), ("none",), ("a",)]),
    (text_that_a_copy_takes_for_null("NULL_IF=('none')"), [("\\N",), (None,), ("a",)]),
    (copy_with_an_unknown_option, (1423, "42601")),
    (copy_into_a_column_in_another_script, [(1, 2)]),
    (beyond_limits, [True] * 8),
    (up_to_limits, [None] * 9),
    (list_below_a_path, (["st/b/2/part-1.parquet"], [])),
    (list_by_pattern, ["st/b/1/part-2.parquet"]),
    (
        remove_below_a_path,
        (["st/b/1/part-1.parquet", "st/b/1/part-2.parquet"], [], ["st/b/2/part-1.parquet"]),
    ),
    (put_to_a_quoted_place, (["PARQUET", "NONE"], ["st/b/1/part-1.parquet"])),
    (drop_a_stage, ([], (2003, "02000"))),
    (settings_without_effect, [None, None, None]),
    (who_and_where, [("DEV_WH", "PUBLIC", "PGSNOW", "OTHER")]),
    (ambiguous_merge, ((100090, "42P18"), [(1, "old"), (2, "old")])),
    (unknown_column, (904, "42000")),
    (violated_not_null, (100072, "22000")),
]
each = pytest.mark.parametrize(("scenario", "real"), CASES, ids=[case[0].__name__ for case in CASES])


@each
def test_as_on_snowflake(scenario: Any, real: Any, snowflake_env: Mapping[str, str], parquet: Path) -> None:
    assert outcome(lambda connection: scenario(connection, parquet), snowflake_env) == real


@pytest.mark.thorough
@each
def test_the_stock_emulator_deviates(
    scenario: Any, real: Any, stock_env: Mapping[str, str], parquet: Path
) -> None:
    assert outcome(lambda connection: scenario(connection, parquet), stock_env) != real


def copy_from_another_database(table: str) -> Scenario:
    def scenario(connection: Any) -> Any:
        return run(
            connection,
            f"COPY INTO {table} FROM @{table}_STAGE/b/ FILE_FORMAT=(TYPE=PARQUET) "
            "MATCH_BY_COLUMN_NAME=CASE_INSENSITIVE",
            f"SELECT COUNT(*) FROM {table}",
        )

    return scenario


def prepare(env: Mapping[str, str], folder: Path) -> str:
    table = f"{env['SNOWFLAKE_DATABASE']}.PUBLIC.T"
    with connect(env) as connection:
        run(
            connection,
            f"CREATE TABLE {table} (I NUMBER(38,0), S VARCHAR)",
            f"CREATE STAGE {table}_STAGE",
            f"PUT file://{folder}/part-1.parquet @{table}_STAGE/b/ AUTO_COMPRESS=FALSE",
        )
    return table


def test_a_session_without_a_database_can_load(
    snowflake_env: Mapping[str, str], stock_env: Mapping[str, str], parquet: Path
) -> None:
    """Every name is qualified, so the session's database must not matter."""
    table, stock_table = prepare(snowflake_env, parquet), prepare(stock_env, parquet)
    nowhere: dict[str, Any] = {"database": None, "schema": None}
    assert outcome(copy_from_another_database(table), snowflake_env, **nowhere) == [(2,)]
    assert outcome(copy_from_another_database(stock_table), stock_env, **nowhere) != [(2,)]


def test_a_session_without_a_schema_can_transform_what_it_loads(
    snowflake_env: Mapping[str, str], stock_env: Mapping[str, str], parquet: Path
) -> None:
    """A session whose schema does not exist yet has none; qualified names do not need one."""

    def scenario(table: str) -> Scenario:
        copy = f"COPY INTO {table} (I) FROM (SELECT $1:I::NUMBER(38,0) FROM @{table}_STAGE/b/)"
        return lambda connection: run(
            connection, f"{copy} FILE_FORMAT=(TYPE=PARQUET)", f"SELECT COUNT(*) FROM {table}"
        )

    table, stock_table = prepare(snowflake_env, parquet), prepare(stock_env, parquet)
    assert outcome(scenario(table), snowflake_env, schema="NO_SUCH_SCHEMA") == [(2,)]
    nowhere: dict[str, Any] = {"database": None, "schema": None}
    assert outcome(scenario(stock_table), stock_env, **nowhere) != [(2,)]


def test_a_login_names_a_role_that_exists_and_only_computing_needs_a_warehouse(
    snowflake_env: Mapping[str, str], stock_env: Mapping[str, str]
) -> None:
    def scenario(connection: Any) -> Any:
        run(connection, "CREATE TABLE T (I NUMBER(38,0))")
        return attempt(connection, "INSERT INTO T VALUES (1)")

    assert outcome(scenario, snowflake_env, warehouse="NO_SUCH_WAREHOUSE") == (606, "57P03")
    assert outcome(scenario, stock_env, warehouse="NO_SUCH_WAREHOUSE") is None
    with pytest.raises(snowflake.connector.errors.DatabaseError, match="Role specified"):
        connect(snowflake_env, role="NO_SUCH_ROLE")


def test_databases_come_with_public_and_go(
    snowflake_env: Mapping[str, str], stock_env: Mapping[str, str]
) -> None:
    def scenario(connection: Any) -> Any:
        own = connection.database
        where = run(
            connection,
            f'CREATE DATABASE "{own}_2"',
            "SELECT CURRENT_DATABASE() = '" + own + "_2', CURRENT_SCHEMA()",
        )
        back = run(connection, f"USE DATABASE {own}", "SELECT CURRENT_SCHEMA()")
        gone = attempt(connection, f"DROP DATABASE {own}_2"), attempt(connection, f"DROP DATABASE {own}_2")
        again = attempt(connection, f"DROP DATABASE IF EXISTS {own}_2")
        return where, back, gone, again

    real = ([(True, "PUBLIC")], [("PUBLIC",)], (None, (2003, "02000")), None)
    assert outcome(scenario, snowflake_env) == real
    assert outcome(scenario, stock_env) != real


def test_a_session_may_name_a_database_that_is_not_there(
    snowflake_env: Mapping[str, str], stock_env: Mapping[str, str]
) -> None:
    """The real service lets the client in and has the first statement fail; stock makes the database."""

    def scenario(connection: Any) -> Any:
        return attempt(connection, "CREATE TABLE T (I NUMBER(38,0))"), rows(
            connection, "SELECT CURRENT_DATABASE()"
        )

    real = ((90105, "22000"), [(None,)])
    assert outcome(scenario, snowflake_env, database="NO_SUCH_DATABASE") == real
    assert outcome(scenario, stock_env, database="NO_SUCH_DATABASE") != real


def test_the_answer_to_put_has_what_newer_clients_read(
    snowflake_env: Mapping[str, str], stock_env: Mapping[str, str], parquet: Path
) -> None:
    def fields(connection: Any) -> Any:
        run(connection, "CREATE STAGE ST")
        answer = connection.cursor()._execute_helper(
            f"PUT file://{parquet}/part-1.parquet @ST/", is_internal=True
        )
        wanted = {"region", "endPoint", "isClientSideEncrypted", "useS3RegionalUrl"}
        return wanted <= set(answer["data"]["stageInfo"]), {"encryptionMaterial", "threshold"} <= set(
            answer["data"]
        )

    assert outcome(fields, snowflake_env) == (True, True)
    assert outcome(fields, stock_env) != (True, True)


def test_a_put_is_sent_once(
    emulator: EmbeddedSnowflake, snowflake_env: Mapping[str, str], parquet: Path, tmp_path: Path
) -> None:
    """Where the file keeps its name; under another name it arrives, too."""
    with contextlib.closing(connect(snowflake_env)) as connection:
        run(connection, "CREATE STAGE ST")
        before = emulator.noted()
        run(connection, f"PUT file://{parquet}/part-1.parquet @ST/b/ AUTO_COMPRESS=FALSE OVERWRITE=TRUE")
        sent = emulator.statements_since(before)
        (tmp_path / "rows.csv").write_text("1,a")
        run(connection, f"PUT file://{tmp_path}/rows.csv @ST/b/ AUTO_COMPRESS=TRUE")
        assert names(connection, "LIST @ST") == ["st/b/part-1.parquet", "st/b/rows.csv.gz"]
    assert [text.split()[0] for text in sent] == ["PUT"]


def test_a_list_of_a_thousand_keys_finds_exactly_these(snowflake_env: Mapping[str, str]) -> None:
    """Lists of any shape bypass the emulator's rewriting and come back complete, beside lists that do not."""
    numbers = ", ".join(f"({n})" for n in range(-500, 500))
    texts = ", ".join(f"'it''s {n}'" for n in range(1000))
    pairs = ", ".join(f"({n}, 'it''s {n}')" for n in range(0, 1000, 2))
    with connect(snowflake_env) as connection:
        run(
            connection,
            "CREATE TABLE T (I NUMBER(38,0), S VARCHAR)",
            "INSERT INTO T SELECT V, 'it''s ' || V FROM (SELECT SEQ4() AS V FROM TABLE(GENERATOR(ROWCOUNT => 1500)))",
        )
        for where, count in (
            (f"(I) IN ({numbers})", 500),
            (f"(S) IN ({texts}) AND I NOT IN ({numbers})", 500),
            (f"(I, S) IN ({pairs}) AND I IN (4, 5, 1498)", 1),
        ):
            assert rows(connection, f"SELECT COUNT(*) FROM T WHERE {where}") == [(count,)]
        run(
            connection,
            f"CREATE TABLE C AS SELECT * FROM T WHERE (I) IN ({numbers})",
            f"DELETE FROM T WHERE S IN ({texts})",
        )
        assert rows(connection, "SELECT (SELECT COUNT(*) FROM C), (SELECT COUNT(*) FROM T)") == [(500, 500)]


def test_overwriting_may_look_at_what_it_overwrites(
    snowflake_env: Mapping[str, str], stock_env: Mapping[str, str]
) -> None:
    def scenario(connection: Any) -> Any:
        return run(
            connection,
            "CREATE TABLE T (I NUMBER(38,0), S VARCHAR)",
            "INSERT INTO T VALUES (1, 'a'), (2, 'b')",
            "INSERT OVERWRITE INTO T (I, S) SELECT I + 10, S FROM T WHERE EXISTS (SELECT 1 FROM T WHERE I = 2)",
            "SELECT I, S FROM T ORDER BY I",
        )

    assert outcome(scenario, snowflake_env) == [(11, "a"), (12, "b")]
    assert outcome(scenario, stock_env) == []


def test_an_overwriting_that_fails_leaves_what_was_there(
    snowflake_env: Mapping[str, str], stock_env: Mapping[str, str]
) -> None:
    def scenario(connection: Any) -> Any:
        run(connection, "CREATE TABLE T (I NUMBER(38,0) NOT NULL)", "INSERT INTO T VALUES (1)")
        failed = attempt(connection, "INSERT OVERWRITE INTO T (I) SELECT NULL") is not None
        return failed, run(connection, "SELECT I FROM T")

    assert outcome(scenario, snowflake_env) == (True, [(1,)])
    assert outcome(scenario, stock_env) == (True, [])


def test_copy_and_list_find_the_objects_of_a_bucket(
    snowflake_env: Mapping[str, str], stock_env: Mapping[str, str], s3_env: Mapping[str, str], parquet: Path
) -> None:
    """By keys, by an integration and through a stage. A path that was loaded is not loaded again. A SELECT reads
    through the stage, too, and REMOVE removes by pattern."""
    bucket = s3_env["S3_BUCKET"]
    client = boto3.client(
        "s3",
        endpoint_url=s3_env["S3_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    for file in parquet.iterdir():
        client.upload_file(str(file), bucket, f"a/b/{file.name}")
        client.upload_file(str(file), bucket, f"a/b2/{file.name}")

    def scenario(connection: Any) -> Any:
        run(
            connection,
            "CREATE TABLE T (I NUMBER(38,0), S VARCHAR)",
            f"CREATE STAGE LAKE URL='s3://{bucket}/a/'",
        )
        how = "FILE_FORMAT=(TYPE=PARQUET) MATCH_BY_COLUMN_NAME=CASE_INSENSITIVE"
        place = f"'s3://{bucket}/a/b/'"
        counts = [
            sum(int(row[3]) for row in rows(connection, f"COPY INTO T FROM {source} {how}{force}"))
            for source, force in (
                (f"{place} CREDENTIALS=(AWS_KEY_ID='k' AWS_SECRET_KEY='s')", ""),
                (f"{place} STORAGE_INTEGRATION=I", " FORCE=TRUE"),
                ("@LAKE/b/", " FORCE=TRUE"),
                (f"{place} STORAGE_INTEGRATION=I", ""),
            )
        ]
        run(connection, "CREATE FILE FORMAT F TYPE=PARQUET")
        select = "SELECT METADATA$FILENAME, COUNT($1:I::NUMBER) FROM @LAKE/b/ (FILE_FORMAT => F) GROUP BY 1 ORDER BY 1"
        return counts, names(connection, "LIST @LAKE/b/"), rows(connection, select)

    listed = [f"s3://{bucket}/a/b/part-{n}.parquet" for n in (1, 2)]
    expected = ([4, 4, 4, 0], listed, [("a/b/part-1.parquet", 2), ("a/b/part-2.parquet", 2)])
    assert outcome(scenario, stock_env) != expected
    assert outcome(scenario, snowflake_env) == expected
    with contextlib.closing(connect(snowflake_env)) as connection:
        external_table_of(connection, [f"a/b/part-{n}.parquet" for n in (1, 2)])
        assert names(connection, "REMOVE @LAKE PATTERN='(.*/)?b/part-1[.].*'") == listed[:1]
        assert names(connection, "LIST @LAKE/b/") == listed[1:]
        assert attempt(connection, "SELECT I FROM EXT") == (91016, "22000")
        assert rows(connection, "ALTER EXTERNAL TABLE EXT REFRESH")[0][:2] == (
            "a/b/part-1.parquet",
            "UNREGISTERED",
        )
        assert rows(connection, "SELECT DISTINCT I FROM EXT") == [(2,)]
        run(connection, "DROP EXTERNAL TABLE EXT")
        assert attempt(connection, "SELECT I FROM EXT") == (2003, "42S02")


def external_table_of(connection: Any, keys: list[str]) -> None:
    """An external table EXT of these files, which it shows once they are registered."""
    create = (
        'CREATE EXTERNAL TABLE EXT (I NUMBER(38,0) AS (VALUE:"I"::NUMBER(38,0)), "s" VARCHAR AS (VALUE:S::VARCHAR))'
        " WITH LOCATION = @LAKE/b/ REFRESH_ON_CREATE = FALSE AUTO_REFRESH = FALSE FILE_FORMAT = (TYPE = PARQUET)"
    )
    run(connection, create)
    assert rows(connection, "SELECT COUNT(*) FROM EXT") == [(0,)]
    assert names(connection, "ALTER EXTERNAL TABLE EXT REFRESH") == keys
    found = rows(connection, 'SELECT I, "s", METADATA$FILENAME FROM EXT ORDER BY I, "s" NULLS LAST')
    assert found == [(n, text, keys[n - 1]) for n in (1, 2) for text in ("a", None)]
    assert rows(connection, "ALTER EXTERNAL TABLE EXT REFRESH") == []


def test_a_bucket_that_is_not_there_is_a_failure_of_the_stage(
    snowflake_env: Mapping[str, str], s3_store: str
) -> None:
    with contextlib.closing(connect(snowflake_env)) as connection:
        run(connection, "CREATE TABLE T (I NUMBER(38,0))")
        copy = "COPY INTO T FROM 's3://no-such-bucket/a/' STORAGE_INTEGRATION=I FILE_FORMAT=(TYPE=PARQUET)"
        assert attempt(connection, copy) == (91003, "55000")
