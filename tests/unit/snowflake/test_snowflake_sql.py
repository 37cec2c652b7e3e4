"""Each statement, word for word: what real Snowflake runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.errors import TargetQueryFailed
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.type_rules import mapping_named
from pgsnow.snowflake.names import is_staging_of, qualified, quote, stage_of, stage_path, staging_table, text
from pgsnow.snowflake.query import select_rows
from pgsnow.snowflake.session import LONGEST_SQL, Result, Session
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.stage.stage import INTERNAL

TARGET = TargetName("DB", "ANALYTICS", "USERS")
BATCH = "public.users/17-3"
ID = Field("id", "ID", mapping_named("bigint"), key=True)
TENANT = Field("tenant", "TENANT", mapping_named("text"), key=True)
PRICE = Field("price", "PRICE", mapping_named("numeric(12,2)"))
DOC = Field("doc", "DOC", mapping_named("jsonb"))
ODD = Field('Odd "x"', 'Odd "x"', mapping_named("timestamptz"))


def test_identifiers_are_quoted_by_doubling_and_keep_their_case() -> None:
    assert quote('a"B') == '"a""B"'
    assert qualified(TargetName("d", 'S"', "Ünï t")) == '"d"."S"""."Ünï t"'


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_what_no_identifier_can_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be an identifier"):
        quote(name)


def test_a_string_constant_cannot_be_ended_or_escaped_from_inside() -> None:
    assert text("it's \\' done") == "'it''s \\\\'' done'"


def test_staging_has_a_name_of_its_own_for_every_batch() -> None:
    assert staging_table(TARGET, BATCH) == TargetName("DB", "ANALYTICS", "USERS__PGSNOW_17_3")
    assert stage_path(TARGET, BATCH) == '@"DB"."ANALYTICS"."PGSNOW_STAGE"/public.users/17-3/'


@pytest.mark.parametrize(
    "batch", ["users", "users/17", "us ers/1-1", "a/b/1-1", "u/1-1; DROP", "u/1-1\n", "../1-1x"]
)
def test_a_batch_of_another_form_is_refused(batch: str) -> None:
    with pytest.raises(ValueError, match="not a batch's name"):
        stage_path(TARGET, batch)


def test_staging_of_a_table_with_a_very_long_name_fits_and_stays_unique() -> None:
    one, two = (TARGET.sibling("T" * 250 + end) for end in "AB")
    names = {staging_table(target, f"t/{10**19}-{10**9}").table for target in (one, two)}
    assert len(names) == 2
    assert all(len(name) <= 255 for name in names)
    assert all(is_staging_of(one, name) != is_staging_of(two, name) for name in names)


@pytest.mark.parametrize(
    "name",
    [
        "USERS",
        "USERS__PGSNOW_",
        "USERS__PGSNOW_1",
        "XUSERS__PGSNOW_1_2",
        "USERS__PGSNOW_1_2_OLD",
        "users__PGSNOW_1_2",
    ],
)
def test_other_tables_are_not_taken_for_staging(name: str) -> None:
    assert not is_staging_of(TARGET, name)
    assert is_staging_of(TARGET, "USERS__PGSNOW_1_2")


def test_the_target_is_created_with_the_key_not_null_and_the_fence_column() -> None:
    assert sql.create_schema(TARGET) == 'CREATE SCHEMA IF NOT EXISTS "DB"."ANALYTICS"'
    assert sql.create_table(TARGET, (TENANT, ID, PRICE, DOC, ODD), (ID, TENANT)) == (
        'CREATE TABLE "DB"."ANALYTICS"."USERS" ("TENANT" VARCHAR NOT NULL COLLATE \'\','
        ' "ID" NUMBER(38,0) NOT NULL,'
        ' "PRICE" NUMBER(12,2), "DOC" VARIANT, "Odd ""x""" TIMESTAMP_TZ(6), "_PGSNOW_FENCE" NUMBER(38,0),'
        ' PRIMARY KEY ("ID", "TENANT"))'
    )


def test_a_column_is_added_nullable_and_only_once() -> None:
    assert sql.add_column(TARGET, "DOC", "VARIANT") == (
        'ALTER TABLE "DB"."ANALYTICS"."USERS" ADD COLUMN IF NOT EXISTS "DOC" VARIANT'
    )


def test_the_stage_is_internal_and_one_a_schema() -> None:
    assert sql.create_stage(TARGET) == 'CREATE STAGE IF NOT EXISTS "DB"."ANALYTICS"."PGSNOW_STAGE"'
    assert sql.list_staged(TARGET) == 'LIST @"DB"."ANALYTICS"."PGSNOW_STAGE"'


def test_staging_starts_empty_keeps_json_as_text_and_has_no_time_travel() -> None:
    assert sql.create_staging(TARGET, BATCH, (ID, DOC)) == (
        'CREATE OR REPLACE TRANSIENT TABLE "DB"."ANALYTICS"."USERS__PGSNOW_17_3"'
        ' ("ID" NUMBER(38,0), "DOC" VARCHAR COLLATE \'\', "_PGSNOW_ROW" NUMBER(38,0)) DATA_RETENTION_TIME_IN_DAYS=0'
    )


def test_put_quotes_spaces_and_quotes_in_a_path() -> None:
    assert sql.put(Path("/tmp/a b/it's.parquet"), stage_path(TARGET, BATCH)) == (
        'PUT \'file:///tmp/a b/it\'\'s.parquet\' @"DB"."ANALYTICS"."PGSNOW_STAGE"/public.users/17-3/'
        " AUTO_COMPRESS=FALSE SOURCE_COMPRESSION=NONE OVERWRITE=TRUE PARALLEL=4"
    )


@pytest.mark.parametrize("path", ["/tmp/*.parquet", "/tmp/a?b", "/tmp/[x]/p"])
def test_put_refuses_a_path_that_the_client_would_take_for_a_pattern(path: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        sql.put(Path(path), stage_path(TARGET, BATCH))


def test_copy_reads_logical_types_and_binaries_and_stops_at_the_first_bad_row() -> None:
    assert INTERNAL.copy(TARGET, BATCH, BATCH) == (
        'COPY INTO "DB"."ANALYTICS"."USERS__PGSNOW_17_3" FROM @"DB"."ANALYTICS"."PGSNOW_STAGE"/public.users/17-3/'
        " FILE_FORMAT=(TYPE=PARQUET NULL_IF=() USE_LOGICAL_TYPE=TRUE BINARY_AS_TEXT=FALSE USE_VECTORIZED_SCANNER=FALSE)"
        " MATCH_BY_COLUMN_NAME=CASE_INSENSITIVE ON_ERROR=ABORT_STATEMENT TRUNCATECOLUMNS=FALSE PURGE=FALSE"
    )


def test_insert_binds_every_value() -> None:
    assert sql.insert_into_staging(TARGET, BATCH, ["ID", "_PGSNOW_ROW"]) == (
        'INSERT INTO "DB"."ANALYTICS"."USERS__PGSNOW_17_3" ("ID", "_PGSNOW_ROW") VALUES (?, ?)'
    )


def test_merge_dedupes_parses_in_using_and_is_guarded_by_the_fence() -> None:
    assert sql.merge(TARGET, BATCH, (ID, DOC), (ID,), 17) == (
        'MERGE INTO "DB"."ANALYTICS"."USERS" AS t USING (SELECT r."ID" AS "ID", PARSE_JSON(r."DOC") AS "DOC",'
        ' 17 AS "_PGSNOW_FENCE" FROM "DB"."ANALYTICS"."USERS__PGSNOW_17_3" AS r'
        ' QUALIFY ROW_NUMBER() OVER (PARTITION BY r."ID" ORDER BY r."_PGSNOW_ROW" DESC) = 1) AS s'
        ' ON t."ID" = s."ID"'
        ' WHEN MATCHED AND (t."_PGSNOW_FENCE" IS NULL OR t."_PGSNOW_FENCE" <= s."_PGSNOW_FENCE") THEN UPDATE SET'
        ' t."DOC" = s."DOC", t."_PGSNOW_FENCE" = s."_PGSNOW_FENCE"'
        ' WHEN NOT MATCHED THEN INSERT ("ID", "DOC", "_PGSNOW_FENCE") VALUES (s."ID", s."DOC", s."_PGSNOW_FENCE")'
    )


def test_merge_of_a_table_that_is_all_key_still_moves_the_fence() -> None:
    statement = sql.merge(TARGET, BATCH, (TENANT, ID), (ID, TENANT), 17)
    assert 'PARTITION BY r."ID", r."TENANT" ORDER BY' in statement
    assert 'ON t."ID" = s."ID" AND t."TENANT" = s."TENANT" WHEN' in statement
    assert 'UPDATE SET t."_PGSNOW_FENCE" = s."_PGSNOW_FENCE" WHEN NOT MATCHED' in statement


def test_sweeping_names_one_batch_and_its_closing_slash() -> None:
    assert sql.drop_staging(TARGET, BATCH) == 'DROP TABLE IF EXISTS "DB"."ANALYTICS"."USERS__PGSNOW_17_3"'
    assert sql.remove_batch(TARGET, BATCH) == 'REMOVE @"DB"."ANALYTICS"."PGSNOW_STAGE"/public.users/17-3/'
    assert sql.show_staging_tables(TARGET) == (
        'SHOW TABLES LIKE \'USERS__PGSNOW_%\' IN SCHEMA "DB"."ANALYTICS"'
    )


@given(
    st.lists(st.from_regex(r"[a-z.-]{1,4}/[0-9]{1,2}-[0-9]{1,2}", fullmatch=True), min_size=2, max_size=4),
    st.from_regex(r"[a-z.-]{1,4}/[0-9]{1,2}-[0-9]{1,2}", fullmatch=True),
)
def test_many_folders_are_removed_and_no_others(batches: list[str], other: str) -> None:
    """The pattern matches the files of these batches, with or without the stage's name before them."""
    head = 'REMOVE @"DB"."ANALYTICS"."PGSNOW_STAGE"/ PATTERN='
    statement = sql.remove_batches(stage_of(TARGET), batches)
    assert statement.startswith(head)
    pattern = re.compile(statement.removeprefix(head).strip("'"))
    for batch in [*batches, other]:
        matches = bool(pattern.fullmatch(f"pgsnow_stage/{batch}/part-0000.parquet"))
        assert matches == bool(pattern.fullmatch(f"{batch}/part-0000.parquet")) == (batch in batches)
    longer = f"x{batches[0]}"
    assert bool(pattern.fullmatch(f"pgsnow_stage/{longer}/part-0000.parquet")) == (longer in batches)


def test_rows_are_looked_up_by_key() -> None:
    where = sql.key_is_one_of((ID, TENANT), [("1", "'a'"), ("2", "'b'")])
    assert sql.select(TARGET, (ID, DOC), where) == (
        'SELECT "ID", "DOC" FROM "DB"."ANALYTICS"."USERS" WHERE ("ID", "TENANT") IN ((1, \'a\'), (2, \'b\'))'
    )


def test_one_table_is_shown() -> None:
    """Wildcards in a name stand for themselves; a constant in SQL has its backslashes doubled."""
    assert sql.show_table(TARGET) == 'SHOW TABLES LIKE \'USERS\' IN SCHEMA "DB"."ANALYTICS"'
    assert sql.show_table(TARGET.sibling("a_b%c\\d'e")) == (
        "SHOW TABLES LIKE 'a\\\\_b\\\\%c\\\\\\\\d''e' IN SCHEMA \"DB\".\"ANALYTICS\""
    )


class Asked:
    """A session that only notes what it is asked."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def execute(self, text: str) -> Result:
        self.texts.append(text)
        return Result([], (), "")


def test_long_keys_are_looked_up_in_several_statements() -> None:
    """Snowflake takes at most 1 MB of text."""
    asked: Any = Asked()
    keys = [(f"{number:04}" + "\u00e4" * 3000,) for number in range(1000)]
    assert select_rows(asked, TARGET, (TENANT,), (TENANT,), keys) == []
    assert all(len(text.encode()) < LONGEST_SQL for text in asked.texts)
    named = [number for text in asked.texts for number in re.findall("[0-9]{4}(?=\u00e4)", text)]
    assert sorted(named) == [key[0][:4] for key in keys]
    assert select_rows(asked, TARGET, (TENANT,), (TENANT,), []) == []


def test_a_statement_longer_than_snowflake_takes_is_not_sent() -> None:
    """The error names the statement, its length and what to do."""
    with pytest.raises(
        TargetQueryFailed, match=r"SELECT 'xxx.*has \d+ bytes, and Snowflake takes 1048576"
    ) as long:
        Session(None).execute(f"SELECT '{'x' * LONGEST_SQL}'")
    assert "include" in long.value.advice
