"""`live_view`: the exact statements of the view."""

from __future__ import annotations

from pgsnow.model.config.sync_config import LoadMethod
from pgsnow.model.metadata_columns import DELETED_AT, FENCE
from pgsnow.model.settings.settings import Settings
from pgsnow.model.table import TargetName
from pgsnow.snowflake.sql.live_view import LiveView
from pgsnow.snowflake.stage.stage import Stages
from tests.unit.snowflake.test_storage import plan_of

ACCOUNT = {"POSTGRES_DSN": "postgresql://nobody@127.0.0.1/none"} | {
    f"SNOWFLAKE_{name}": "none" for name in ("ACCOUNT", "USER", "PASSWORD", "WAREHOUSE", "DATABASE")
}
QUERY = (
    'WITH s AS (SELECT r."ID" AS "ID", r."Day" AS "Day", PARSE_JSON(r."DOC") AS "DOC",'
    ' r."_PGSNOW_FENCE" AS "_PGSNOW_FENCE", NULL::TIMESTAMP_TZ AS "_PGSNOW_DELETED_AT" FROM ('
    'SELECT $1:"ID"::NUMBER(38,0) AS "ID", $1:"Day"::DATE AS "Day", $1:"DOC"::VARCHAR AS "DOC",'
    ' $1:"_PGSNOW_ROW"::NUMBER(38,0) AS "_PGSNOW_ROW",'
    " TRY_TO_NUMBER(SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/', -2), '-', 1), 38, 0) AS \"_PGSNOW_FENCE\""
    ' FROM @"DB"."S"."PGSNOW_STAGE"/events/ (FILE_FORMAT => \'"DB"."S"."PGSNOW_PARQUET"\')) AS r'
    ' WHERE r."_PGSNOW_FENCE" > 41 QUALIFY ROW_NUMBER() OVER (PARTITION BY r."ID"'
    ' ORDER BY r."_PGSNOW_FENCE" DESC, r."_PGSNOW_ROW" DESC) = 1)'
    ' SELECT t."ID" AS "ID", t."Day" AS "Day", t."DOC" AS "DOC", t."_PGSNOW_FENCE" AS "_PGSNOW_FENCE",'
    ' t."_PGSNOW_DELETED_AT" AS "_PGSNOW_DELETED_AT" FROM "DB"."S"."EVENTS" AS t'
    ' WHERE NOT EXISTS (SELECT 1 FROM s WHERE t."ID" = s."ID"'
    ' AND (t."_PGSNOW_FENCE" IS NULL OR t."_PGSNOW_FENCE" < s."_PGSNOW_FENCE"))'
    ' UNION ALL SELECT s."ID" AS "ID", s."Day" AS "Day", s."DOC" AS "DOC", s."_PGSNOW_FENCE" AS "_PGSNOW_FENCE",'
    ' s."_PGSNOW_DELETED_AT" AS "_PGSNOW_DELETED_AT" FROM s'
    ' WHERE NOT EXISTS (SELECT 1 FROM "DB"."S"."EVENTS" AS t WHERE t."ID" = s."ID"'
    ' AND t."_PGSNOW_FENCE" >= s."_PGSNOW_FENCE")'
)


def test_the_text_of_a_live_view() -> None:
    """To the letter: it keeps the grants of the view that it replaces, and replaces none when it is created."""
    plan = plan_of()
    folder = '@"DB"."S"."PGSNOW_STAGE"/events/'
    view = LiveView(plan.target, plan.output, plan.target_key, (FENCE, DELETED_AT), folder, 41)
    assert view.query == QUERY
    comment = "'Live view by pgsnow: the rows of EVENTS, and staged ones that are not loaded yet'"
    name = 'VIEW "DB"."S"."EVENTS_LIVE"'
    assert view.create(replaces=False) == f"CREATE {name} COMMENT = {comment} AS {QUERY}"
    assert (
        view.create(replaces=True) == f"CREATE OR REPLACE {name} COPY GRANTS COMMENT = {comment} AS {QUERY}"
    )
    assert view.target == TargetName("DB", "S", "EVENTS")


def test_with_a_bucket_the_view_reads_its_external_stage() -> None:
    """The same text over the stage that S3_STAGE names, without an external table: the fence is the last folder but one
    of a path, whatever prefix the bucket has."""
    bucket = {"S3_BUCKET": "lake", "S3_PREFIX": "a/b", "S3_REGION": "eu-west-1", "S3_STAGE": "DB.S.LAKE"}
    stage = Stages.of(Settings.from_env(bucket | ACCOUNT)).serving(LoadMethod.S3)
    plan = plan_of()
    folder = (stage.origin(plan.target, "events/0-0") or "").removesuffix("0-0/")
    view = LiveView(plan.target, plan.output, plan.target_key, (FENCE, DELETED_AT), folder, 41)
    assert view.query == QUERY.replace('@"DB"."S"."PGSNOW_STAGE"', '@"DB"."S"."LAKE"')
