# ruff: noqa: S608  (composing SQL is what this module is for; every value in it goes through names.py)
"""Queries about the account's own record of costs.

Snowflake docs, "QUERY_HISTORY view" (up to 45 minutes late), "WAREHOUSE_METERING_HISTORY view" (up to 3 hours late).
"""

from __future__ import annotations

from datetime import UTC, datetime

from pgsnow.snowflake.names import text

QUERY_HISTORY = "SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY"
METERING_HISTORY = "SNOWFLAKE.ACCOUNT_USAGE.WAREHOUSE_METERING_HISTORY"
TAGS = "pgsnow:%"
"""Query tags of pgsnow: `pgsnow:<table>:<run>`, and `pgsnow:<command>` for commands."""
RUN, WITHOUT_RUN = "^(pgsnow:.+):[^:]*$", r"\1"


def queries_by_tag(warehouse: str, since: datetime, until: datetime) -> str:
    """For each table or command of pgsnow: its tag without the run, statements, seconds in a warehouse, credits of
    cloud services. Statements of others in this warehouse are one row, whose tag is empty."""
    own = f"QUERY_TAG LIKE {text(TAGS)}"
    tag = f"REGEXP_REPLACE(QUERY_TAG, {text(RUN)}, {text(WITHOUT_RUN)})"
    columns = (
        f"IFF({own}, {tag}, '') AS TAG",
        "COUNT(*) AS STATEMENTS",
        "SUM(IFF(WAREHOUSE_SIZE IS NULL, 0, EXECUTION_TIME)) / 1000 AS SECONDS",
        "SUM(COALESCE(CREDITS_USED_CLOUD_SERVICES, 0)) AS SERVICES",
    )
    where = f"{_between(since, until)} AND ({own} OR WAREHOUSE_NAME = {text(warehouse)})"
    return f"SELECT {', '.join(columns)} FROM {QUERY_HISTORY} WHERE {where} GROUP BY 1 ORDER BY 1"


def metering(warehouse: str, since: datetime, until: datetime) -> str:
    """Credits of this warehouse: of its compute, and of the cloud services of its statements."""
    columns = (
        "COALESCE(SUM(CREDITS_USED_COMPUTE), 0) AS COMPUTE",
        "COALESCE(SUM(CREDITS_USED_CLOUD_SERVICES), 0) AS SERVICES",
    )
    where = f"{_between(since, until)} AND WAREHOUSE_NAME = {text(warehouse)}"
    return f"SELECT {', '.join(columns)} FROM {METERING_HISTORY} WHERE {where}"


def _between(since: datetime, until: datetime) -> str:
    return f"START_TIME >= {_moment(since)} AND START_TIME < {_moment(until)}"


def _moment(moment: datetime) -> str:
    return f"{text(moment.astimezone(UTC).isoformat(timespec='seconds'))}::TIMESTAMP_TZ"
