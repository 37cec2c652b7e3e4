"""The statements about rows that the source no longer has, word for word."""

from __future__ import annotations

from pgsnow.model.metadata_columns import AUDIT, DELETED_AT, FENCE
from pgsnow.model.table import TargetName
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.type_rules import mapping_named
from pgsnow.snowflake.sql import direct_copy, replace, soft_deletes
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.sql.deletes import older
from pgsnow.snowflake.sql.soft_deletes import CLEARED, Gone, removal_of

TARGET = TargetName("DB", "ANALYTICS", "USERS")
BATCH = "public.users/17-0"
ID = Field("id", "ID", mapping_named("bigint"), key=True)
DOC = Field("doc", "DOC", mapping_named("jsonb"))
TABLE = '"DB"."ANALYTICS"."USERS"'
NOW = "CONVERT_TIMEZONE('UTC', CURRENT_TIMESTAMP())"
FILLED = (("_PGSNOW_FENCE", "17"), ("_PGSNOW_RUN_ID", "'run1'"), CLEARED)
LATER = f'EXISTS (SELECT 1 FROM {TABLE} AS n WHERE n."_PGSNOW_FENCE" > 17)'
GUARD = '("_PGSNOW_FENCE" IS NULL OR "_PGSNOW_FENCE" <= 17)'
OLDER = '("_PGSNOW_FENCE" IS NULL OR "_PGSNOW_FENCE" < 17)'


def test_rows_are_deleted_unless_a_later_run_wrote_them() -> None:
    """Hard deletes take marked rows with them: the target then has what the source has."""
    removal = removal_of(Gone.DELETED)
    assert removal.statement(TARGET, older(17), 17) == f"DELETE FROM {TABLE} WHERE {OLDER} AND {GUARD}"
    assert (removal.counted, removal.leaves_rows) == ("number of rows deleted", False)


def test_a_mark_has_a_time_and_the_fence_of_its_run_and_never_moves() -> None:
    """The fence keeps a stale worker from taking the mark off; a row that is marked already is left alone."""
    removal = removal_of(Gone.MARKED, (("_PGSNOW_RUN_ID", "'run1'"),))
    assert removal.statement(TARGET, '"ID" = 1', 17) == (
        f'UPDATE {TABLE} SET "_PGSNOW_DELETED_AT" = {NOW}, "_PGSNOW_FENCE" = 17, "_PGSNOW_RUN_ID" = \'run1\''
        f' WHERE "ID" = 1 AND "_PGSNOW_DELETED_AT" IS NULL AND {GUARD}'
    )
    assert (removal.counted, removal.leaves_rows) == ("number of rows updated", True)


def test_without_soft_deletes_marks_of_an_earlier_time_stay() -> None:
    """With `deletes: off`, nobody has asked for marked rows to be deleted."""
    removal = removal_of(Gone.KEPT)
    assert removal.statement(TARGET, '"ID" = 1', 17) == (
        f'DELETE FROM {TABLE} WHERE "ID" = 1 AND "_PGSNOW_DELETED_AT" IS NULL AND {GUARD}'
    )
    assert removal.counted == "number of rows deleted"


def test_marked_rows_are_deleted_on_request() -> None:
    """When `deletes: soft` becomes `deletes: hard`."""
    assert soft_deletes.delete_marked(TARGET) == (
        f'DELETE FROM {TABLE} WHERE "_PGSNOW_DELETED_AT" IS NOT NULL'
    )


def test_a_merge_takes_the_mark_off() -> None:
    """A key that comes back is a row like any other."""
    statement = sql.merge(TARGET, BATCH, (ID, DOC), (ID,), 17, (CLEARED,))
    assert 'NULL AS "_PGSNOW_DELETED_AT" FROM' in statement
    assert 't."_PGSNOW_DELETED_AT" = s."_PGSNOW_DELETED_AT" WHEN NOT MATCHED' in statement


def test_new_content_leaves_deleted_rows_in_place_and_marks_what_is_gone() -> None:
    """One statement: at no moment is a row missing, or there twice."""
    statement = replace.overwrite(TARGET, BATCH, (ID, DOC), (ID,), FILLED, ["THEIRS"], 17, Gone.MARKED)
    mark = 't."_PGSNOW_DELETED_AT"'
    assert statement.partition(f"AS t WHERE {LATER}")[2] == (
        f' UNION ALL SELECT t."ID", t."DOC", CASE WHEN {mark} IS NULL THEN 17 ELSE t."_PGSNOW_FENCE" END,'
        f" CASE WHEN {mark} IS NULL THEN 'run1' ELSE t.\"_PGSNOW_RUN_ID\" END,"
        f' CASE WHEN {mark} IS NULL THEN {NOW} ELSE {mark} END, t."THEIRS" FROM {TABLE} AS t WHERE NOT {LATER}'
        ' AND NOT EXISTS (SELECT 1 FROM "DB"."ANALYTICS"."USERS__PGSNOW_17_0" AS g WHERE g."ID" = t."ID")'
        ' QUALIFY ROW_NUMBER() OVER (PARTITION BY t."ID" ORDER BY t."_PGSNOW_FENCE" DESC NULLS LAST) = 1'
    )


def test_content_of_other_keys_leaves_only_rows_that_are_marked_already() -> None:
    """A row of the old key is not known to be deleted: the source may have it under its new key."""
    shadow = TARGET.sibling("USERS__PGSNOW_14_0")
    others = ["_PGSNOW_DELETED_AT"]
    statement = direct_copy.put_in_place(TARGET, shadow, (ID,), (ID,), FILLED[:1], others, 17, Gone.KEPT)
    assert statement.partition(f"AS t WHERE {LATER}")[2] == (
        f' UNION ALL SELECT t."ID", t."_PGSNOW_FENCE", t."_PGSNOW_DELETED_AT" FROM {TABLE} AS t WHERE NOT {LATER}'
        ' AND NOT EXISTS (SELECT 1 FROM "DB"."ANALYTICS"."USERS__PGSNOW_14_0" AS g WHERE g."ID" = t."ID")'
        ' AND t."_PGSNOW_DELETED_AT" IS NOT NULL'
    )


def test_of_two_rows_of_one_run_the_one_without_a_mark_stays() -> None:
    """A sweep marks it again if it is deleted; a row that exists must not be hidden."""
    columns = ["ID", "_PGSNOW_FENCE", "_PGSNOW_DELETED_AT"]
    assert (
        'ORDER BY t."_PGSNOW_FENCE" DESC NULLS LAST, t."_PGSNOW_DELETED_AT" DESC NULLS FIRST) = 1'
        in direct_copy.keep_one_of_each(TARGET, columns, ["ID"])
    )


def test_a_new_target_has_the_column_last() -> None:
    assert sql.create_table(TARGET, (ID,), (ID,), (FENCE, *AUDIT, DELETED_AT)) == (
        f'CREATE TABLE {TABLE} ("ID" NUMBER(38,0) NOT NULL, "_PGSNOW_FENCE" NUMBER(38,0),'
        ' "_PGSNOW_SYNCED_AT" TIMESTAMP_TZ, "_PGSNOW_RUN_ID" VARCHAR COLLATE \'\','
        ' "_PGSNOW_DELETED_AT" TIMESTAMP_TZ, PRIMARY KEY ("ID"))'
    )
