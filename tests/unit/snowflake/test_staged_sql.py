"""The statements that read part files without a staging table, word for word."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pgsnow.model.deferred_batch import Layout, StagedBatch, in_loads
from pgsnow.snowflake.load.deferred import deferred_at_once
from pgsnow.snowflake.sql import staged
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.stage.stage import INTERNAL
from tests.unit.snowflake.test_straight_sql import BATCH, OUTPUT, TARGET

ID, DOC = OUTPUT[0], OUTPUT[2]


def test_a_merge_reads_the_files_and_proves_that_it_has_all_rows() -> None:
    """The guard is the value of the fence, which every row needs, and stands beside rows of no file, too."""
    source = staged.staged_source(TARGET, (ID, DOC), [INTERNAL.origin(TARGET, BATCH) or ""], counted=True)
    fence = staged.guarded("17", 500, staged.ExpectedTarget(1000, 16))
    assert sql.merge_from(TARGET, source, (ID, DOC), (ID,), fence) == (
        'MERGE INTO "DB"."ANALYTICS"."Us""ers" AS t USING (SELECT r."ID" AS "ID", PARSE_JSON(r."DOC") AS "DOC",'
        ' IFF(COUNT(r."_PGSNOW_ROW") OVER () = 500 AND n."_PGSNOW_ROWS" = 1000 AND n."_PGSNOW_NEWEST" >= 16, 17,'
        """ TO_NUMBER('pgsnow read ' || COUNT(r."_PGSNOW_ROW") OVER () || ' rows, target ' || n."_PGSNOW_ROWS"))"""
        ' AS "_PGSNOW_FENCE" FROM'
        ' (SELECT COUNT(*) AS "_PGSNOW_ROWS", MAX("_PGSNOW_FENCE") AS "_PGSNOW_NEWEST"'
        ' FROM "DB"."ANALYTICS"."Us""ers") AS n'
        ' LEFT JOIN (SELECT $1:"ID"::NUMBER(38,0) AS "ID", $1:"DOC"::VARCHAR AS "DOC",'
        ' $1:"_PGSNOW_ROW"::NUMBER(38,0) AS "_PGSNOW_ROW"'
        ' FROM @"DB"."ANALYTICS"."PGSNOW_STAGE"/public.users/17-0/'
        """ (FILE_FORMAT => '"DB"."ANALYTICS"."PGSNOW_PARQUET"')) AS r ON TRUE"""
        ' QUALIFY ROW_NUMBER() OVER (PARTITION BY r."ID" ORDER BY r."_PGSNOW_ROW" DESC) = 1) AS s'
        ' ON t."ID" = s."ID"'
        ' WHEN MATCHED AND (t."_PGSNOW_FENCE" IS NULL OR t."_PGSNOW_FENCE" <= s."_PGSNOW_FENCE")'
        ' THEN UPDATE SET t."DOC" = s."DOC", t."_PGSNOW_FENCE" = s."_PGSNOW_FENCE"'
        ' WHEN NOT MATCHED THEN INSERT ("ID", "DOC", "_PGSNOW_FENCE")'
        ' VALUES (s."ID", s."DOC", s."_PGSNOW_FENCE")'
    )


def test_several_folders_are_one_source() -> None:
    """Each folder keeps its closing slash, which separates batch 1 from batch 10."""
    folders = [INTERNAL.origin(TARGET, f"public.users/17-{number}") or "" for number in (1, 10)]
    rows = (
        'SELECT $1:"ID"::NUMBER(38,0) AS "ID", $1:"_PGSNOW_HASH"::VARCHAR AS "_PGSNOW_HASH",'
        ' $1:"_PGSNOW_ROW"::NUMBER(38,0) AS "_PGSNOW_ROW"'
        ' FROM @"DB"."ANALYTICS"."PGSNOW_STAGE"/public.users/17-{}/'
        """ (FILE_FORMAT => '"DB"."ANALYTICS"."PGSNOW_PARQUET"')"""
    )
    assert staged.staged_source(TARGET, (ID,), folders, hashed=True) == (
        f'(SELECT 0 AS "_PGSNOW_ROWS") AS n LEFT JOIN ({rows.format(1)} UNION ALL {rows.format(10)}) AS r ON TRUE'
    )
    assert "_NEWEST" not in staged.guarded("17", 500, staged.ExpectedTarget(1000))
    assert "n." not in staged.guarded("17", 500).split(", 17,")[0]


def test_a_few_rows_are_bound() -> None:
    assert staged.staged_source(TARGET, (ID, DOC), bound=2) == (
        '(SELECT 0 AS "_PGSNOW_ROWS") AS n LEFT JOIN (SELECT column1::NUMBER(38,0) AS "ID",'
        ' column2::VARCHAR AS "DOC", column3::NUMBER(38,0) AS "_PGSNOW_ROW"'
        " FROM VALUES (?, ?, ?), (?, ?, ?)) AS r ON TRUE"
    )


def test_the_file_format_states_every_option_of_a_copy() -> None:
    assert staged.create_file_format(TARGET) == (
        'CREATE FILE FORMAT "DB"."ANALYTICS"."PGSNOW_PARQUET" TYPE=PARQUET NULL_IF=()'
        " USE_LOGICAL_TYPE=TRUE BINARY_AS_TEXT=FALSE USE_VECTORIZED_SCANNER=FALSE"
    )


def test_the_guards_error_says_what_it_has_found() -> None:
    """Snowflake's message of error 100038 has the text that is no number; other such errors are not the guard's."""
    message = "Snowflake: 100038 (22018): Numeric value 'pgsnow read 499 rows, target 1000' is not recognized"
    assert staged.found_by_guard(message) == (499, 1000)
    assert staged.found_by_guard("Numeric value 'abc' is not recognized") is None


@given(st.integers(1, 400), st.integers(1, 60), st.integers(1, 1_500))
@settings(max_examples=12, deadline=None)
def test_no_statement_of_a_deferred_load_is_longer_than_snowflake_accepts(
    columns: int, length: int, count: int
) -> None:
    """However many batches wait, and however wide the table is: they are loaded by several statements of less than a
    megabyte, each over as many batches as fit."""
    names = [f"{number:0{length}}" for number in range(columns)]
    fields = tuple(replace(ID, source=name, target=name, key=at == 0) for at, name in enumerate(names))
    layout = Layout(TARGET.sibling("T"), fields)
    batches = [StagedBatch(f"public.t/17-{n}", 17, 1, 1, n, "stage", layout) for n in range(count)]
    loads = in_loads(batches, 1_000_000)
    assert [batch for part in loads for batch in part] == batches
    longest = max(loads, key=len)
    known = [(batch, INTERNAL.origin(TARGET, batch.batch) or "") for batch in longest]
    [step] = deferred_at_once(known, (), target=staged.ExpectedTarget(1, 1), not_after=17)
    assert len(str(step.text).encode()) < 1_000_000
    assert len(loads) <= 1 + count // 500 or len(str(step.text)) > 200_000
