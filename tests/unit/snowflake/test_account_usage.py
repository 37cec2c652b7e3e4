"""The queries about the account's own record of costs, to the letter: they run in real accounts only."""

from __future__ import annotations

from datetime import UTC, datetime

from pgsnow.snowflake.sql.account_usage import metering, queries_by_tag

SINCE, UNTIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 8, 9, tzinfo=UTC)


def test_queries_are_grouped_by_the_table_in_their_tag() -> None:
    """Statements of others in the same warehouse are one row, so that their share of the bill is known."""
    assert queries_by_tag("PGSNOW_WH", SINCE, UNTIL) == (
        "SELECT IFF(QUERY_TAG LIKE 'pgsnow:%', REGEXP_REPLACE(QUERY_TAG, '^(pgsnow:.+):[^:]*$', '\\\\1'), '') AS TAG, "
        "COUNT(*) AS STATEMENTS, SUM(IFF(WAREHOUSE_SIZE IS NULL, 0, EXECUTION_TIME)) / 1000 AS SECONDS, "
        "SUM(COALESCE(CREDITS_USED_CLOUD_SERVICES, 0)) AS SERVICES FROM SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY "
        "WHERE START_TIME >= '2026-03-01T00:00:00+00:00'::TIMESTAMP_TZ "
        "AND START_TIME < '2026-03-08T09:00:00+00:00'::TIMESTAMP_TZ "
        "AND (QUERY_TAG LIKE 'pgsnow:%' OR WAREHOUSE_NAME = 'PGSNOW_WH') GROUP BY 1 ORDER BY 1"
    )


def test_the_bill_of_one_warehouse_is_asked_for() -> None:
    """Its name is a value, quoted like one."""
    assert metering("It's", SINCE, UNTIL) == (
        "SELECT COALESCE(SUM(CREDITS_USED_COMPUTE), 0) AS COMPUTE, "
        "COALESCE(SUM(CREDITS_USED_CLOUD_SERVICES), 0) AS SERVICES "
        "FROM SNOWFLAKE.ACCOUNT_USAGE.WAREHOUSE_METERING_HISTORY "
        "WHERE START_TIME >= '2026-03-01T00:00:00+00:00'::TIMESTAMP_TZ "
        "AND START_TIME < '2026-03-08T09:00:00+00:00'::TIMESTAMP_TZ AND WAREHOUSE_NAME = 'It''s'"
    )
