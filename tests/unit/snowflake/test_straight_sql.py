"""The statements of a load without a staging table, word for word."""

from __future__ import annotations

from pgsnow.model.config.sync_config import LoadMethod
from pgsnow.model.metadata_columns import AUDIT, FENCE
from pgsnow.model.settings.settings import Settings
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.type_rules import mapping_named
from pgsnow.snowflake.load.shadow_table import shadow_table
from pgsnow.snowflake.sql import direct_copy as straight_sql
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.stage.stage import INTERNAL, Stages
from tests.unit.snowflake.test_s3_sql import SERVERS

TARGET = TargetName("DB", "ANALYTICS", 'Us"ers')
BATCH = "public.users/17-0"
OUTPUT = tuple(
    Field(name.lower(), name, mapping_named(kind))
    for name, kind in (
        ("ID", "bigint"),
        ("na me", "text"),
        ("DOC", "jsonb"),
        ("RAW", "json"),
        ("BYTES", "bytea"),
        ("AT", "timestamptz"),
        ("PRICE", "numeric(12,2)"),
    )
)
FILLED = (("_PGSNOW_FENCE", "17"), *sql.audit("run'1"))


def test_a_copy_selects_what_a_merge_would_and_the_attempts_fence() -> None:
    origin = INTERNAL.origin(TARGET, BATCH)
    assert origin is not None
    assert straight_sql.copy_into_target(TARGET, OUTPUT, FILLED, origin) == (
        'COPY INTO "DB"."ANALYTICS"."Us""ers" ("ID", "na me", "DOC", "RAW", "BYTES", "AT", "PRICE",'
        ' "_PGSNOW_FENCE", "_PGSNOW_SYNCED_AT", "_PGSNOW_RUN_ID")'
        ' FROM (SELECT $1:"ID"::NUMBER(38,0), $1:"na me"::VARCHAR, PARSE_JSON($1:"DOC"::VARCHAR),'
        ' PARSE_JSON($1:"RAW"::VARCHAR), $1:"BYTES"::BINARY, $1:"AT"::TIMESTAMP_TZ(6),'
        " $1:\"PRICE\"::NUMBER(12,2), 17, CONVERT_TIMEZONE('UTC', METADATA$START_SCAN_TIME), 'run''1'"
        ' FROM @"DB"."ANALYTICS"."PGSNOW_STAGE"/public.users/17-0/)'
        " FILE_FORMAT=(TYPE=PARQUET NULL_IF=() USE_LOGICAL_TYPE=TRUE BINARY_AS_TEXT=FALSE USE_VECTORIZED_SCANNER=FALSE)"
        " ON_ERROR=ABORT_STATEMENT TRUNCATECOLUMNS=FALSE PURGE=FALSE FORCE=TRUE"
    )


def test_a_bucket_is_read_through_its_stage_and_never_by_its_url() -> None:
    """COPY takes a SELECT from a stage only (Snowflake docs, "COPY INTO <table>", syntax with transformation)."""
    settings = Settings.from_env({**SERVERS, "S3_BUCKET": "lake", "S3_STORAGE_INTEGRATION": "LAKE"})
    by_url = Stages.of(settings).serving(LoadMethod.S3)
    assert by_url.origin(TARGET, BATCH) is None
    settings = Settings.from_env({**SERVERS, "S3_BUCKET": "lake", "S3_STAGE": "DB.ANALYTICS.LAKE"})
    staged = Stages.of(settings).serving(LoadMethod.S3)
    assert staged.origin(TARGET, BATCH) == '@"DB"."ANALYTICS"."LAKE"/public.users/17-0/'


def test_what_attempts_have_left_is_found_and_deleted_by_their_fences() -> None:
    table = '"DB"."ANALYTICS"."Us""ers"'
    assert straight_sql.count_of(TARGET, 17) == f'SELECT COUNT(*) FROM {table} WHERE "_PGSNOW_FENCE" = 17'
    assert straight_sql.delete_attempts(TARGET, [15, 16]) == (
        f'DELETE FROM {table} WHERE "_PGSNOW_FENCE" IN (15, 16)'
    )
    assert straight_sql.any_row(TARGET, not_after=None) == f"SELECT 1 FROM {table} LIMIT 1"
    assert straight_sql.any_row(TARGET, not_after=14) == (
        f'SELECT 1 FROM {table} WHERE "_PGSNOW_FENCE" IS NULL OR "_PGSNOW_FENCE" <= 14 LIMIT 1'
    )


def test_of_rows_with_one_key_that_of_the_newest_attempt_stays() -> None:
    table = '"DB"."ANALYTICS"."Us""ers"'
    assert straight_sql.any_twice(TARGET, OUTPUT[:2]) == (
        f'SELECT 1 FROM {table} GROUP BY "ID", "na me" HAVING COUNT(*) > 1 LIMIT 1'
    )
    assert straight_sql.keep_one_of_each(TARGET, ["ID", "THEIRS", "_PGSNOW_FENCE"], ["ID"]) == (
        f'INSERT OVERWRITE INTO {table} ("ID", "THEIRS", "_PGSNOW_FENCE")'
        f' SELECT t."ID", t."THEIRS", t."_PGSNOW_FENCE" FROM {table} AS t QUALIFY ROW_NUMBER() OVER'
        ' (PARTITION BY t."ID" ORDER BY t."_PGSNOW_FENCE" DESC NULLS LAST) = 1 OR t."ID" IS NULL'
    )
    assert straight_sql.count_surplus(TARGET, ["ID", "na me"]) == (
        'SELECT COALESCE(SUM("_PGSNOW_COUNT" - 1), 0) FROM (SELECT COUNT(*) AS "_PGSNOW_COUNT"'
        f' FROM {table} WHERE "ID" IS NOT NULL AND "na me" IS NOT NULL GROUP BY "ID", "na me"'
        " HAVING COUNT(*) > 1) AS d"
    )


def test_rows_that_came_late_give_way_to_newer_ones_of_their_key() -> None:
    table = '"DB"."ANALYTICS"."Us""ers"'
    assert straight_sql.delete_overtaken(TARGET, OUTPUT[:2], 17) == (
        f'DELETE FROM {table} USING (SELECT "ID", "na me", MAX("_PGSNOW_FENCE") AS "_PGSNOW_FENCE"'
        f' FROM {table} WHERE "_PGSNOW_FENCE" >= 17 GROUP BY "ID", "na me") AS "_PGSNOW_NEWER"'
        ' WHERE "Us""ers"."ID" = "_PGSNOW_NEWER"."ID" AND "Us""ers"."na me" = "_PGSNOW_NEWER"."na me"'
        ' AND "Us""ers"."_PGSNOW_FENCE" < "_PGSNOW_NEWER"."_PGSNOW_FENCE"'
    )


def test_what_was_gathered_beside_takes_the_place_of_all_rows_unless_a_later_run_has_been_there() -> None:
    beside = shadow_table(TARGET, "public.users/14-0")
    assert straight_sql.create_shadow(beside, OUTPUT[:3:2], (FENCE, *AUDIT)) == (
        'CREATE TRANSIENT TABLE IF NOT EXISTS "DB"."ANALYTICS"."Us""ers__PGSNOW_14_0" ("ID" NUMBER(38,0),'
        ' "DOC" VARIANT, "_PGSNOW_FENCE" NUMBER(38,0), "_PGSNOW_SYNCED_AT" TIMESTAMP_TZ,'
        " \"_PGSNOW_RUN_ID\" VARCHAR COLLATE '')"
        " DATA_RETENTION_TIME_IN_DAYS=0"
    )
    table = '"DB"."ANALYTICS"."Us""ers"'
    later = f'EXISTS (SELECT 1 FROM {table} AS n WHERE n."_PGSNOW_FENCE" > 17)'
    assert straight_sql.put_in_place(
        TARGET, beside, OUTPUT[:3:2], OUTPUT[:1], FILLED[:1], ["THEIRS"], 17
    ) == (
        f'INSERT OVERWRITE INTO {table} ("ID", "DOC", "_PGSNOW_FENCE", "THEIRS")'
        ' SELECT b."ID" AS "ID", b."DOC" AS "DOC", 17 AS "_PGSNOW_FENCE", NULL AS "THEIRS"'
        f' FROM "DB"."ANALYTICS"."Us""ers__PGSNOW_14_0" AS b WHERE NOT {later}'
        ' QUALIFY ROW_NUMBER() OVER (PARTITION BY b."ID" ORDER BY b."_PGSNOW_FENCE" DESC) = 1'
        f' UNION ALL SELECT t."ID", t."DOC", t."_PGSNOW_FENCE", t."THEIRS" FROM {table} AS t WHERE {later}'
    )
