"""The statements that put a whole content in place, word for word."""

from __future__ import annotations

from pgsnow.model.metadata_columns import AUDIT, FENCE, IDENTITY
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.type_rules import mapping_named
from pgsnow.snowflake.sql import replace as whole_sql
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.stage.stage import INTERNAL

TARGET = TargetName("DB", "ANALYTICS", "LOG")
BATCH = "public.log/17-0"
N = Field("n", "N", mapping_named("bigint"))
DOC = Field("doc", "DOC", mapping_named("jsonb"))
FILLED = (("_PGSNOW_FENCE", "17"), *sql.audit("run'1"))
NOW = "CONVERT_TIMEZONE('UTC', CURRENT_TIMESTAMP())"


def test_all_rows_give_way_at_once_unless_a_later_run_has_been_there() -> None:
    """Then the target is written back as it is, with the columns that are not ours."""
    later = 'EXISTS (SELECT 1 FROM "DB"."ANALYTICS"."LOG" AS n WHERE n."_PGSNOW_FENCE" > 17)'
    assert whole_sql.overwrite(TARGET, BATCH, (N, DOC), (), FILLED, ["THEIRS"], 17) == (
        'INSERT OVERWRITE INTO "DB"."ANALYTICS"."LOG"'
        ' ("N", "DOC", "_PGSNOW_FENCE", "_PGSNOW_SYNCED_AT", "_PGSNOW_RUN_ID", "THEIRS")'
        f' SELECT r."N" AS "N", PARSE_JSON(r."DOC") AS "DOC", 17 AS "_PGSNOW_FENCE", {NOW} AS "_PGSNOW_SYNCED_AT",'
        " 'run''1' AS \"_PGSNOW_RUN_ID\", NULL AS \"THEIRS\""
        f' FROM "DB"."ANALYTICS"."LOG__PGSNOW_17_0" AS r WHERE NOT {later}'
        ' UNION ALL SELECT t."N", t."DOC", t."_PGSNOW_FENCE", t."_PGSNOW_SYNCED_AT", t."_PGSNOW_RUN_ID", t."THEIRS"'
        f' FROM "DB"."ANALYTICS"."LOG" AS t WHERE {later}'
    )


def test_a_content_is_read_from_its_files_unless_a_later_run_has_been_there() -> None:
    """Then the statement fails, and so it does unless all rows are read."""
    newest = '(SELECT MAX(t."_PGSNOW_FENCE") FROM "DB"."ANALYTICS"."LOG" AS t)'
    statement = whole_sql.overwrite_from(TARGET, "files AS r", (N, DOC), (N,), FILLED[:1], 17, "guard")
    assert statement == (
        'INSERT OVERWRITE INTO "DB"."ANALYTICS"."LOG" ("N", "DOC", "_PGSNOW_FENCE")'
        ' SELECT r."N" AS "N", PARSE_JSON(r."DOC") AS "DOC",'
        f" IFF({newest} > 17, TO_NUMBER('pgsnow found fence ' || {newest}), guard) AS \"_PGSNOW_FENCE\""
        ' FROM files AS r QUALIFY ROW_NUMBER() OVER (PARTITION BY r."N" ORDER BY r."_PGSNOW_ROW" DESC) = 1'
    )


def test_of_rows_with_one_key_the_last_takes_the_place() -> None:
    statement = whole_sql.overwrite(TARGET, BATCH, (N,), (N,), FILLED[:1], [], 17)
    assert (
        ') QUALIFY ROW_NUMBER() OVER (PARTITION BY r."N" ORDER BY r."_PGSNOW_ROW" DESC) = 1 UNION ALL SELECT'
        in statement
    )


def test_only_rows_whose_digest_and_number_are_not_there_are_added() -> None:
    assert whole_sql.append(TARGET, BATCH, (N,), (*FILLED[:1], *whole_sql.identity())) == (
        'MERGE INTO "DB"."ANALYTICS"."LOG" AS t USING (SELECT r."N" AS "N", 17 AS "_PGSNOW_FENCE",'
        ' r."_PGSNOW_HASH" AS "_PGSNOW_HASH", ROW_NUMBER() OVER (PARTITION BY r."_PGSNOW_HASH"'
        ' ORDER BY r."_PGSNOW_ROW") AS "_PGSNOW_OCCURRENCE" FROM "DB"."ANALYTICS"."LOG__PGSNOW_17_0" AS r) AS s'
        ' ON t."_PGSNOW_HASH" = s."_PGSNOW_HASH" AND t."_PGSNOW_OCCURRENCE" = s."_PGSNOW_OCCURRENCE"'
        ' WHEN NOT MATCHED THEN INSERT ("N", "_PGSNOW_FENCE", "_PGSNOW_HASH", "_PGSNOW_OCCURRENCE")'
        ' VALUES (s."N", s."_PGSNOW_FENCE", s."_PGSNOW_HASH", s."_PGSNOW_OCCURRENCE")'
    )


def test_a_unit_that_is_tried_again_begins_where_the_one_before_it_ended() -> None:
    assert whole_sql.forget_rows(TARGET, BATCH, 2000) == (
        'DELETE FROM "DB"."ANALYTICS"."LOG__PGSNOW_17_0" WHERE "_PGSNOW_ROW" >= 2000'
    )
    assert str(INTERNAL.copy(TARGET, "public.log/17-3", BATCH, force=True)).startswith(
        'COPY INTO "DB"."ANALYTICS"."LOG__PGSNOW_17_0" FROM @"DB"."ANALYTICS"."PGSNOW_STAGE"/public.log/17-3/'
    )
    assert str(INTERNAL.copy(TARGET, BATCH, BATCH, force=True)).endswith(
        " ON_ERROR=ABORT_STATEMENT TRUNCATECOLUMNS=FALSE PURGE=FALSE FORCE=TRUE"
    )


def test_a_target_has_our_columns_last_and_without_a_key_no_primary_key() -> None:
    assert sql.create_table(TARGET, (N,), (), (FENCE, *AUDIT, *IDENTITY)) == (
        'CREATE TABLE "DB"."ANALYTICS"."LOG" ("N" NUMBER(38,0), "_PGSNOW_FENCE" NUMBER(38,0),'
        ' "_PGSNOW_SYNCED_AT" TIMESTAMP_TZ, "_PGSNOW_RUN_ID" VARCHAR COLLATE \'\', "_PGSNOW_HASH" VARCHAR COLLATE \'\','
        ' "_PGSNOW_OCCURRENCE" NUMBER(38,0))'
    )
    assert sql.create_staging(TARGET, BATCH, (N,), hashed=True) == (
        'CREATE OR REPLACE TRANSIENT TABLE "DB"."ANALYTICS"."LOG__PGSNOW_17_0"'
        ' ("N" NUMBER(38,0), "_PGSNOW_HASH" VARCHAR COLLATE \'\', "_PGSNOW_ROW" NUMBER(38,0))'
        " DATA_RETENTION_TIME_IN_DAYS=0"
    )


def test_a_merge_tells_when_and_by_which_run() -> None:
    statement = sql.merge(TARGET, BATCH, (N, DOC), (N,), 17, sql.audit("run1"))
    assert (
        f'17 AS "_PGSNOW_FENCE", {NOW} AS "_PGSNOW_SYNCED_AT", \'run1\' AS "_PGSNOW_RUN_ID" FROM' in statement
    )
    assert (
        't."_PGSNOW_SYNCED_AT" = s."_PGSNOW_SYNCED_AT", t."_PGSNOW_RUN_ID" = s."_PGSNOW_RUN_ID" WHEN'
        in statement
    )


def test_a_column_that_left_the_key_may_be_null() -> None:
    assert sql.drop_primary_key(TARGET) == 'ALTER TABLE "DB"."ANALYTICS"."LOG" DROP PRIMARY KEY'
    assert sql.drop_not_null(TARGET, "N") == (
        'ALTER TABLE "DB"."ANALYTICS"."LOG" ALTER COLUMN "N" DROP NOT NULL'
    )
