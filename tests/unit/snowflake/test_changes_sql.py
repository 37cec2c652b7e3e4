"""The statements that merge changes from the log, word for word."""

from __future__ import annotations

import pytest

from pgsnow.model.batch import KeyBounds
from pgsnow.model.config.options import Deletes
from pgsnow.model.deferred_batch import Layout, StagedBatch, in_loads
from pgsnow.model.log.changes import ChangeKinds
from pgsnow.operations.plan.target import _tick
from pgsnow.snowflake.load.changes import ChangeLoad, ChangeSource
from pgsnow.snowflake.sql.soft_deletes import CLEARED
from pgsnow.snowflake.stage.stage import INTERNAL
from tests.unit.model.evolving import column, plan_of, table
from tests.unit.snowflake.test_straight_sql import OUTPUT, TARGET

ID, DOC = OUTPUT[0], OUTPUT[2]
FILES = ChangeSource("FILES AS r", proven=True)
NEWEST = """(SELECT MAX(t."_PGSNOW_FENCE") FROM "DB"."ANALYTICS"."Us""ers" AS t)"""


def load(how: Deletes = Deletes.HARD, *, follows: bool = False, **kinds: bool) -> ChangeLoad:
    audited = (CLEARED,) if how is Deletes.SOFT else ()
    return ChangeLoad(
        TARGET,
        (ID, DOC),
        (ID,),
        17,
        5,
        ChangeKinds(**kinds),
        how,
        audited,
        KeyBounds("ID", 1, 9),
        follows,
    )


def test_a_merge_deletes_and_keeps_what_did_not_change() -> None:
    """The mark of a deleted row is a number, as it carries the guard: every row and every clause needs it."""
    statement = load(deletes=True, unchanged=True).merge(FILES, not_after=17)
    assert statement.text == (
        'MERGE INTO "DB"."ANALYTICS"."Us""ers" AS t USING ('
        'SELECT r."ID" AS "ID", PARSE_JSON(r."DOC") AS "DOC", 17 AS "_PGSNOW_FENCE",'
        f" IFF({NEWEST} > 17, TO_NUMBER('pgsnow found fence ' || {NEWEST}),"
        """ IFF(r."_PGSNOW_OPERATION" = 'D', 1, 0)) AS "_PGSNOW_OPERATION","""
        ' r."_PGSNOW_UNCHANGED" AS "_PGSNOW_UNCHANGED" FROM FILES AS r'
        ' QUALIFY ROW_NUMBER() OVER (PARTITION BY r."ID" ORDER BY r."_PGSNOW_ROW" DESC) = 1) AS s'
        ' ON t."ID" = s."ID" AND t."ID" BETWEEN 1 AND 9'
        ' WHEN MATCHED AND (t."_PGSNOW_FENCE" IS NULL OR t."_PGSNOW_FENCE" <= s."_PGSNOW_FENCE")'
        ' AND s."_PGSNOW_OPERATION" = 1 THEN DELETE'
        ' WHEN MATCHED AND (t."_PGSNOW_FENCE" IS NULL OR t."_PGSNOW_FENCE" <= s."_PGSNOW_FENCE")'
        ' AND s."_PGSNOW_OPERATION" = 0 THEN UPDATE SET'
        """ t."DOC" = IFF(CONTAINS(NVL(s."_PGSNOW_UNCHANGED", ''), '.1.'), t."DOC", s."DOC"),"""
        ' t."_PGSNOW_FENCE" = s."_PGSNOW_FENCE"'
        ' WHEN NOT MATCHED AND s."_PGSNOW_OPERATION" = 0 AND s."_PGSNOW_UNCHANGED" IS NULL'
        ' THEN INSERT ("ID", "DOC", "_PGSNOW_FENCE") VALUES (s."ID", s."DOC", s."_PGSNOW_FENCE")'
    )


def test_a_merge_marks_deleted_rows_once() -> None:
    """A marked row keeps its values, and the time of its mark; a row that comes back loses the mark."""
    text = str(load(Deletes.SOFT, deletes=True).merge(FILES, not_after=17).text)
    assert (
        """IFF(r."_PGSNOW_OPERATION" = 'D', CONVERT_TIMEZONE('UTC', CURRENT_TIMESTAMP()), NULL)"""
        ' AS "_PGSNOW_DELETED_AT"'
    ) in text
    assert (
        ' WHEN MATCHED AND (t."_PGSNOW_FENCE" IS NULL OR t."_PGSNOW_FENCE" <= s."_PGSNOW_FENCE")'
        ' AND (s."_PGSNOW_OPERATION" = 0 OR t."_PGSNOW_DELETED_AT" IS NULL) THEN UPDATE SET'
        ' t."DOC" = IFF(s."_PGSNOW_OPERATION" = 1, t."DOC", s."DOC"),'
        ' t."_PGSNOW_FENCE" = s."_PGSNOW_FENCE", t."_PGSNOW_DELETED_AT" = s."_PGSNOW_DELETED_AT"'
        ' WHEN NOT MATCHED AND s."_PGSNOW_OPERATION" = 0 THEN INSERT'
    ) in text
    assert "THEN DELETE" not in text
    assert "THEN DELETE" not in str(load(Deletes.OFF, deletes=True).merge(FILES, not_after=17).text)


def test_a_moved_row_takes_columns_from_the_row_with_its_former_key() -> None:
    """The join is to the target as it was before, so rows may exchange keys. The join may multiply rows, so that the
    guard counts different ones."""
    moved = load(unchanged=True, moved=True)
    text = str(moved.merge(moved.from_files(["@S/b/"], counted=False), not_after=17).text)
    assert (
        """IFF(CONTAINS(NVL(r."_PGSNOW_UNCHANGED", ''), '.1.') AND o."ID" IS NOT NULL, o."DOC","""
        ' PARSE_JSON(r."DOC")) AS "DOC"'
    ) in text
    assert 'IFF(o."ID" IS NOT NULL, NULL, r."_PGSNOW_UNCHANGED") AS "_PGSNOW_UNCHANGED"' in text
    assert (
        ' AS r ON TRUE LEFT JOIN "DB"."ANALYTICS"."Us""ers" AS o ON o."ID" = r."_PGSNOW_FROM_ID" QUALIFY'
    ) in text
    assert 'COUNT(DISTINCT r."_PGSNOW_ROW") OVER () = 5' in text
    assert (
        '$1:"_PGSNOW_UNCHANGED"::VARCHAR AS "_PGSNOW_UNCHANGED",'
        ' $1:"_PGSNOW_FROM_ID"::NUMBER(38,0) AS "_PGSNOW_FROM_ID",'
        ' $1:"_PGSNOW_ROW"::NUMBER(38,0) AS "_PGSNOW_ROW"'
    ) in text


@pytest.mark.parametrize(
    ("follows", "deletes", "statements"),
    [
        (
            False, Deletes.HARD,
            [
                'DELETE FROM "DB"."ANALYTICS"."Us""ers" WHERE ("_PGSNOW_FENCE" IS NULL OR "_PGSNOW_FENCE" < 17)'
                ' AND ("_PGSNOW_FENCE" IS NULL OR "_PGSNOW_FENCE" <= 17)'
            ],
        ),
        (
            True, Deletes.SOFT,
            [
                'UPDATE "DB"."ANALYTICS"."Us""ers" SET "_PGSNOW_DELETED_AT" = CONVERT_TIMEZONE(\'UTC\','
                ' CURRENT_TIMESTAMP()), "_PGSNOW_FENCE" = 17'
                ' WHERE ("_PGSNOW_FENCE" IS NULL OR "_PGSNOW_FENCE" <= 17) AND "_PGSNOW_DELETED_AT" IS NULL'
                ' AND ("_PGSNOW_FENCE" IS NULL OR "_PGSNOW_FENCE" <= 17)'
            ],
        ),
        (False, Deletes.OFF, []),
    ],
)  # fmt: skip
def test_a_truncate_removes_what_was_loaded_before(
    follows: bool, deletes: Deletes, statements: list[str]
) -> None:
    """Rows of the same run are removed only if an earlier batch may have loaded them; never those of a later run."""
    change = load(deletes, follows=follows, truncates=True)
    assert [step.text for step in change.truncation()] == statements


def test_batches_that_build_on_the_target_are_merged_one_after_the_other() -> None:
    """Of several staged batches, only the first of one MERGE may leave columns out, or truncate."""
    kinds = [
        ChangeKinds(unchanged=True), ChangeKinds(deletes=True), None, ChangeKinds(truncates=True),
        ChangeKinds(), ChangeKinds(unchanged=True, moved=True),
    ]  # fmt: skip
    layout = Layout(TARGET, (ID,))
    batches = [
        StagedBatch(str(at), 1, 1, 1, at, "stage", layout, changes=one) for at, one in enumerate(kinds)
    ]
    assert [[batch.batch for batch in each] for each in in_loads(batches, 99)] == [
        ["0", "1", "2"],
        ["3", "4"],
        ["5"],
    ]
    assert [StagedBatch.from_json(batch.to_json()).changes for batch in batches] == kinds


def test_a_plan_shows_the_merge_of_changes() -> None:
    """`pgsnow plan` composes the statements of a table with `mode: log` as a run does."""
    plan = plan_of(table(column(3, "name", "text")), target="db.s.things", mode="log", watermark_column=None)
    put, merge, *_ = _tick(plan, INTERNAL, marks=False)
    assert put.startswith("PUT ")
    assert "THEN DELETE" in merge
    assert "CONTAINS(NVL(s.\"_PGSNOW_UNCHANGED\", ''), '.2.')" in merge
