"""Statements for which a warehouse is resumed."""

from __future__ import annotations

import pytest

from pgsnow.model.table import TargetName
from pgsnow.snowflake.session import NEEDS_WAREHOUSE
from pgsnow.snowflake.sql import statements as sql

TARGET = TargetName("DB", 'odd "schema" of  blanks', "T")


@pytest.mark.parametrize(
    "text",
    [
        sql.count(TARGET, '"ID" > 1'),
        sql.newest_fence(TARGET),
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "  merge into t using s on true when matched then update set a = 1",
        "DELETE FROM T",
        "INSERT OVERWRITE INTO T SELECT * FROM S",
        'SELECT "CURRENT_ROLE" FROM T',
    ],
)
def test_what_reads_or_changes_rows_needs_a_warehouse(text: str) -> None:
    """A statement that computes is never taken for free."""
    assert NEEDS_WAREHOUSE.match(text)


@pytest.mark.parametrize(
    "text",
    [
        sql.count(TARGET),
        "SELECT CURRENT_ROLE()",
        sql.cancel_statements(17),
        sql.show_table(TARGET),
        sql.describe_table(TARGET),
        sql.list_staged(TARGET),
        sql.remove_batch(TARGET, "users/17-0"),
        sql.create_stage(TARGET),
        sql.drop_staging(TARGET, "users/17-0"),
        "USE WAREHOUSE W",
    ],
)
def test_metadata_and_files_need_none(text: str) -> None:
    """What the cloud services answer alone is not charged as warehouse time."""
    assert not NEEDS_WAREHOUSE.match(text)
