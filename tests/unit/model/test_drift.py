"""What each change of a source's definition means: what is said, what is read, what the target needs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pgsnow.model.errors import TypeChanged
from pgsnow.model.evolution.drift import (
    AddColumn,
    DropColumn,
    RenameColumn,
    SourceDefinition,
    WidenColumn,
    drift_of,
)
from pgsnow.model.table import Column, Leaf
from tests.unit.model.evolving import column, drift, known_after, plan_of, table

A, B = column(3, "a"), column(4, "b", "text")
REWRITTEN: dict[str, Any] = {"filenode": "f2"}
ONE, TWO = Leaf(1, "public.p1", "1:1"), Leaf(2, "public.p2", "2:2")
PARTED: dict[str, Any] = {"relkind": "p", "filenode": "x"}


def test_an_unchanged_table_has_no_drift_and_remembers_the_same() -> None:
    found = drift(table(A, B), table(A, B))
    assert not found.has_work
    assert found.after == known_after(table(A, B))


def test_nothing_known_is_no_drift() -> None:
    assert not drift_of(None, plan_of(table(A, B))).has_work


@pytest.mark.parametrize(
    ("added", "facts", "is_read"),
    [
        (column(5, "n"), {}, False),
        (column(5, "n", has_default=True), {}, True),
        (column(5, "n", has_missing=True), {}, True),
        (column(5, "n", generation="g"), {}, True),
        (column(5, "n"), REWRITTEN, True),
    ],
)
def test_an_added_column_is_read_where_old_rows_may_have_values(
    added: Column, facts: dict[str, Any], is_read: bool
) -> None:
    found = drift(table(A), table(A, added, **facts))
    assert found.actions == (AddColumn("N", "NUMBER(38,0)"),)
    assert (found.full_read is not None) is is_read
    assert found.sentences[0] == "column n integer was added"


def test_a_column_left_out_by_the_configuration_is_told_of_and_no_more() -> None:
    found = drift(table(A), table(A, B), columns={"include": ["a", "at"]})
    assert found.sentences == ("column b text was added; the configuration leaves it out",)
    assert (found.actions, found.full_read) == ((), None)


def test_a_renamed_column_is_renamed_in_the_target_and_nothing_is_read() -> None:
    found = drift(table(A), table(replace(A, name="z")))
    assert found.actions == (RenameColumn("A", "Z", "NUMBER(38,0)"),)
    assert (found.pre_actions, found.full_read) == ((), None)


def test_swapped_names_are_parted_before_either_is_taken() -> None:
    found = drift(table(A, B), table(replace(A, name="b"), replace(B, name="a")))
    assert {action.new for action in found.pre_actions if isinstance(action, RenameColumn)} == {
        "_PGSNOW_MOVED_2", "_PGSNOW_MOVED_3",
    }  # fmt: skip
    assert found.actions == (
        RenameColumn("_PGSNOW_MOVED_2", "B", "NUMBER(38,0)"),
        RenameColumn("_PGSNOW_MOVED_3", "A", "VARCHAR"),
    )
    assert found.full_read is None


def test_a_dropped_column_is_left_with_its_values_unless_it_is_to_be_dropped() -> None:
    kept = drift(table(A, B), table(B))
    assert (kept.actions, kept.full_read, kept.after.orphan_columns) == ((), None, (("A", "NUMBER(38,0)"),))
    assert drift(table(A, B), table(B), on_drop="drop").actions == (DropColumn("A"),)


def test_a_name_that_is_left_in_the_target_is_taken_up_by_a_full_read() -> None:
    left = drift(table(A, B), table(B)).after
    again = drift_of(left, plan_of(table(B, column(7, "a", "bigint"))))
    assert (again.actions, again.full_read) == ((), "column A was in the target already")
    other = drift_of(left, plan_of(table(B, column(7, "a", "text"))))
    assert other.actions == (AddColumn("A__VARCHAR", "VARCHAR"),)


@pytest.mark.parametrize(
    ("before", "now", "needed"),
    [
        ("integer", "bigint", ()),
        ("varchar(10)", "varchar(50)", ()),
        ("varchar(50)", "text", ()),
        ("numeric(14,2)", "numeric(10,2)", ()),
        ("numeric(10,2)", "numeric(14,2)", (WidenColumn("A", "NUMBER(14,2)"),)),
        ("numeric(10,2)", "integer", (WidenColumn("A", "NUMBER(12,2)"),)),
        ("numeric(10,2)", "numeric(12,4)", (AddColumn("A__NUMBER_12_4", "NUMBER(12,4)"),)),
        ("integer", "text", (AddColumn("A__VARCHAR", "VARCHAR"),)),
        ("timestamp", "timestamptz", (AddColumn("A__TIMESTAMP_TZ_6", "TIMESTAMP_TZ(6)"),)),
    ],
)
def test_a_type_is_taken_as_it_is_or_widened_or_kept_beside_the_old_one(
    before: str, now: str, needed: tuple[Any, ...]
) -> None:
    found = drift(table(column(3, "a", before)), table(column(3, "a", now)))
    assert found.actions == needed
    assert (found.full_read is not None) is any(isinstance(action, AddColumn) for action in needed)
    assert drift(table(column(3, "a", before)), table(column(3, "a", now), **REWRITTEN)).full_read


def test_the_old_type_goes_back_into_the_old_column() -> None:
    before, now = table(column(3, "a")), table(column(3, "a", "text"), filenode="f2")
    shadowed = drift(before, now).after
    back = drift_of(shadowed, plan_of(table(column(3, "a"), filenode="f3")))
    assert back.actions == ()
    assert back.full_read == "column a was text and is integer"
    assert [f.target for f in back.plan.output] == ["ID", "AT", "A"]


def test_a_shorter_text_of_the_targets_own_is_widened_with_the_source() -> None:
    known = known_after(table(column(3, "a", "varchar(10)"))).with_target_columns(
        {"A": "VARCHAR(10)"}, frozenset()
    )
    found = drift_of(known, plan_of(table(column(3, "a", "varchar(50)"))))
    assert found.actions == (WidenColumn("A", "VARCHAR(50)"),)


def test_an_incompatible_type_fails_where_that_is_asked_for_and_for_a_key() -> None:
    with pytest.raises(TypeChanged, match="column a is text now"):
        drift(table(A), table(column(3, "a", "text")), on_type_change="fail")
    text = column(1, "id", "text", not_null=True)
    now = table(A)
    with pytest.raises(TypeChanged, match="key column id is text now"):
        drift(table(A), replace(now, columns=(text, *now.columns[1:])))


def test_keeping_a_column_as_text_from_now_on_is_a_change_of_type() -> None:
    source = table(column(3, "a", "numeric(10,2)"))
    found = drift_of(known_after(source), plan_of(source, columns={"on_overflow": {"a": "text"}}))
    assert found.actions == (AddColumn("A__VARCHAR", "VARCHAR"),)


@pytest.mark.parametrize(
    ("before", "now", "is_read"),
    [
        (("x", "y"), ("x", "new", "y"), False),
        (("x", "y"), ("x", "z"), True),
        (("x", "y"), ("y", "x"), True),
        (("x", "y"), ("x",), True),
    ],
)
def test_labels_that_only_came_need_no_read(
    before: tuple[str, ...], now: tuple[str, ...], is_read: bool
) -> None:
    found = drift(table(replace(A, labels=before)), table(replace(A, labels=now)))
    assert found.has_work
    assert (found.full_read is not None) is is_read


def test_a_computed_column_is_read_when_its_expression_changes_and_not_when_that_goes() -> None:
    assert drift(table(replace(A, generation="1")), table(replace(A, generation="2"))).full_read
    gone = drift(table(replace(A, generation="1")), table(A))
    assert gone.has_work
    assert gone.full_read is None


def test_not_null_is_told_of_and_no_more() -> None:
    found = drift(table(A), table(replace(A, not_null=True)))
    assert found.sentences == ("column a may not be NULL any more",)
    assert (found.actions, found.full_read) == ((), None)


def test_a_rewrite_alone_is_read_by_transaction_id_where_a_watermark_would_hide_it() -> None:
    assert drift(table(A), table(A, **REWRITTEN)).by_xid
    assert not drift(table(A), table(A, **REWRITTEN), late_rows="off").has_work


def test_attached_leaves_are_read_whole_and_are_no_rewrite() -> None:
    found = drift(table(A, leaves=(ONE,), **PARTED), table(A, leaves=(ONE, TWO), relkind="p", filenode="y"))
    assert (found.whole_leaves, found.full_read, found.by_xid, found.prune) == ((2,), None, False, False)
    moved = replace(ONE, filenode="1:9")
    assert drift(
        table(A, leaves=(ONE,), **PARTED), table(A, leaves=(moved, TWO), relkind="p", filenode="y")
    ).by_xid


def test_rows_of_detached_leaves_are_deleted_unless_they_are_to_be_kept() -> None:
    before, now = table(A, leaves=(ONE, TWO), **PARTED), table(A, leaves=(ONE,), **PARTED)
    found = drift(before, now)
    assert (found.full_read, found.prune) == ("public.p2 was detached or dropped", True)
    kept = drift(before, now, on_detach="keep")
    assert (kept.full_read, kept.prune, kept.sentences) == (
        None,
        False,
        ("public.p2 was detached or dropped",),
    )


def test_another_table_of_the_name_is_read_in_full_its_columns_known_by_name() -> None:
    found = drift(table(A, B), table(column(3, "b", "text"), column(4, "c"), oid=2000))
    assert (found.prune, found.replace) == (True, False)
    assert "another table now" in str(found.full_read)
    assert found.actions == (AddColumn("C", "NUMBER(38,0)"),)


def test_another_key_replaces_the_content_and_a_renamed_one_does_not() -> None:
    source = table(A, unique_keys=(("id",), ("a",)))
    found = drift_of(known_after(source), plan_of(source, pk="a"))
    assert (found.replace, found.prune) == (True, False)
    assert found.sentences == ("the key was [id] and is [a]",)
    now = replace(source, columns=(replace(source.columns[0], name="no"), *source.columns[1:]))
    renamed = drift_of(known_after(source), plan_of(replace(now, unique_keys=(("no",),)), pk="no"))
    assert (renamed.replace, renamed.full_read) == (False, None)
    assert renamed.actions == (RenameColumn("ID", "NO", "NUMBER(38,0)"),)


def test_another_target_is_begun_with_the_names_of_the_configuration() -> None:
    found = drift_of(known_after(table(A)), plan_of(table(column(3, "a", "text")), target="db.s.fresh"))
    assert found.all_actions == ()
    assert [f.target for f in found.plan.output] == ["ID", "AT", "A"]


def test_what_is_known_goes_through_json() -> None:
    known = drift(table(A, B), table(column(3, "a", "text"), leaves=(ONE,), **PARTED), on_drop="keep").after
    assert SourceDefinition.from_json(known.to_json()) == known
    assert known.present_name("a", table(replace(A, name="z"))) == "z"
    assert known.present_name("a", table(replace(A, name="z"), oid=2)) is None
