"""The texts of the statements that compare a target by ranges of its key."""

from __future__ import annotations

from pgsnow.model.key_range import KeyRange
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.type_rules import mapping_named
from pgsnow.snowflake.sql.compare import TargetRows, bounds, digests, rows_of, target_key
from pgsnow.sync.compare.ranges import between

T = TargetName("D", "S", "T")
ID = Field("id", "ID", mapping_named("bigint"), key=True)
NAME = Field("name", "NAME", mapping_named("text"), key=True)
AT = Field("at", "AT", mapping_named("timestamptz"), key=True)
BY_ID = TargetRows(T, target_key((ID,)))
MIXED = (
    'MOD(MOD("ID", 2147483647)::NUMBER(20,0) * (MOD("ID", 2147483647)::NUMBER(11,0) + 1013904223), 2147483629)'
    '::NUMBER(20,0) * MOD("ID", 1073741789)::NUMBER(11,0)'
)


def test_ranges_of_integers_are_told_apart_by_a_tree_of_comparisons() -> None:
    assert digests(BY_ID, between([("10",), ("20",)])) == (
        'SELECT N, COUNT(*), SUM(P0::NUMBER(38,0)), SUM(P1::NUMBER(38,0)) FROM (SELECT CASE WHEN "ID" < '
        "'10'::NUMBER(38,0) THEN 0 ELSE CASE WHEN \"ID\" < '20'::NUMBER(38,0) THEN 1 ELSE 2 END END AS N, "
        f'"ID" AS P0, {MIXED} AS P1 FROM "D"."S"."T" WHERE ("ID" IS NOT NULL)) AS KEYED'
        " WHERE N IS NOT NULL GROUP BY N"
    )


def test_only_the_ranges_that_are_asked_for_are_read() -> None:
    """Adjacent ones are one condition, so that Snowflake reads the micro-partitions that hold them alone."""
    first, second, third, fourth = between([("1",), ("2",), ("3",)])
    assert rows_of(BY_ID, [second, third]) == (
        'SELECT TO_VARCHAR("ID") FROM "D"."S"."T" WHERE (("ID" >= \'1\'::NUMBER(38,0) AND "ID" < '
        "'3'::NUMBER(38,0))) AND (\"ID\" IS NOT NULL)"
    )
    assert rows_of(BY_ID, [first, fourth]) == (
        'SELECT TO_VARCHAR("ID") FROM "D"."S"."T" WHERE (("ID" < \'1\'::NUMBER(38,0)) OR ("ID" >= '
        "'3'::NUMBER(38,0))) AND (\"ID\" IS NOT NULL)"
    )
    gap = digests(BY_ID, [first, fourth])
    assert (
        "CASE WHEN \"ID\" < '1'::NUMBER(38,0) THEN 0 ELSE CASE WHEN \"ID\" < '3'::NUMBER(38,0) THEN NULL ELSE 1"
        in gap
    )


def test_a_key_of_several_columns_is_compared_column_by_column_without_a_collation() -> None:
    rows = TargetRows(T, target_key((NAME, AT)), conditions=('"_PGSNOW_DELETED_AT" IS NULL',))
    noon = "2020-01-01 12:00:00+00"
    constant = f"('{noon}' || ':00')::TIMESTAMP_TZ(6)"
    name = "COLLATE(\"NAME\", '')"
    assert digests(rows, [KeyRange(None, ("it's", noon))]) == (
        "SELECT N, COUNT(*), SUM(P0::NUMBER(38,0)) FROM (SELECT 0 AS N, TO_NUMBER(SUBSTR(MD5(MD5(\"NAME\") || ','"
        " || RTRIM(RTRIM(TO_VARCHAR(CONVERT_TIMEZONE('UTC', \"AT\"), 'YYYY-MM-DD HH24:MI:SS.FF6'), '0'), '.')"
        ' || \'+00\'), 1, 15), \'XXXXXXXXXXXXXXX\') AS P0 FROM "D"."S"."T"'
        f" WHERE (((({name} < 'it''s') OR ({name} = 'it''s' AND \"AT\" < {constant}))))"
        ' AND ("NAME" IS NOT NULL) AND ("AT" IS NOT NULL) AND ("_PGSNOW_DELETED_AT" IS NULL)) AS KEYED'
        " WHERE N IS NOT NULL GROUP BY N"
    )


def test_a_table_without_a_key_is_compared_by_the_hash_of_its_rows() -> None:
    rows = TargetRows(T, target_key(()), row_hash='MD5("V")')
    half = "8" * 32
    assert digests(rows, between([(half,)])) == (
        f"SELECT N, COUNT(*), SUM(P0::NUMBER(38,0)) FROM (SELECT CASE WHEN \"__PGSNOW_ROW_HASH\" < '{half}' THEN 0"
        " ELSE 1 END AS N, TO_NUMBER(SUBSTR(\"__PGSNOW_ROW_HASH\", 1, 15), 'XXXXXXXXXXXXXXX') AS P0"
        ' FROM (SELECT *, MD5("V") AS "__PGSNOW_ROW_HASH" FROM "D"."S"."T") AS HASHED) AS KEYED'
        " WHERE N IS NOT NULL GROUP BY N"
    )


def test_keys_that_cut_a_range_are_found_by_their_place_in_it() -> None:
    assert bounds(BY_ID, [KeyRange(("1",), ("9",))], [4]) == (
        'SELECT N, PLACE, K0 FROM (SELECT 0 AS N, ROW_NUMBER() OVER (PARTITION BY 0 ORDER BY "ID") AS PLACE,'
        ' TO_VARCHAR("ID") AS K0 FROM "D"."S"."T" WHERE (("ID" >= \'1\'::NUMBER(38,0) AND "ID" < '
        "'9'::NUMBER(38,0))) AND (\"ID\" IS NOT NULL)) AS KEYED"
        " WHERE N IS NOT NULL AND PLACE > 1 AND MOD(PLACE - 1, CASE N WHEN 0 THEN 4 END) = 0"
    )
