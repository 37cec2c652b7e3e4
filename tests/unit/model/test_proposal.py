"""Each table gets an entry that the configuration takes, or a reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.config.sync_config import parse_config
from pgsnow.model.discovery.proposal import Proposal, propose
from pgsnow.model.discovery.survey import ColumnFacts, RowSecurity
from pgsnow.model.table import TargetName
from pgsnow.model.table_key import choose_key
from tests.unit.model.surveyed import ID, UPDATED, column, surveyed


def one(*columns: Any, **more: Any) -> Proposal:
    [proposal] = propose([surveyed(*columns, **more)])
    return proposal


def entries(*names: str, **options: Any) -> list[Any]:
    return [p.entry and p.entry["target"] for p in propose([surveyed(name=n) for n in names], **options)]


def test_the_entry_has_what_the_configuration_needs_and_nothing_else() -> None:
    proposal = one(ID, UPDATED, facts={"updated_at": ColumnFacts(set_on_update=True)})
    assert proposal.mode == "watermark"
    assert "a trigger sets it at every update" in proposal.mode_reason
    assert proposal.entry == {
        "source": "public.t",
        "target": "t",
        "pk": "id",
        "watermark_column": "updated_at",
    }


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"may_use_schema": False}, "may not use the schema"),
        ({"may_select": False}, "may not read the table"),
        ({"row_security": RowSecurity.ON, "rows_hidden": True}, "row-level security may hide rows"),
        ({"row_security": RowSecurity.FORCED, "rows_hidden": True}, "forced"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason_and_a_fix(more: Any, reason: str) -> None:
    proposal = one(ID, UPDATED, **more)
    assert proposal.entry is None
    assert reason in proposal.refusal
    assert proposal.fix


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"relkind": "v"}, "a view"),
        ({"relkind": "m"}, "a materialized view"),
        ({"relkind": "f"}, "a foreign table"),
        ({"relkind": "p", "foreign_partitions": 1}, "foreign tables"),
        ({"keys": ()}, "no primary key"),
    ],
)
def test_rows_that_do_not_tell_what_is_needed_are_read_as_a_whole(more: Any, reason: str) -> None:
    proposal = one(ID, UPDATED, **more)
    assert proposal.entry == {"source": "public.t", "target": "t", "mode": "full", "every": "1h"}
    assert proposal.mode == "full"
    assert reason in proposal.mode_reason
    assert "transaction id" not in str(proposal.reasons + proposal.candidates)
    assert "read as a whole" in proposal.warnings[0]


def test_the_log_is_mentioned_where_it_is_worth_it() -> None:
    """For many deletes, and for a large table that would be scanned; not where a read is cheap, or there is no key."""
    often = one(ID, deletes=20_000, inserts=100_000)
    assert [reason for reason in often.reasons if "mode: log" in reason] == [
        "`mode: log` is worth considering after `ALTER SYSTEM SET wal_level = 'logical'` and a restart: its deletes"
        " (20,000 counted) would arrive with the other changes"
    ]
    assert "a restart" not in str(one(ID, deletes=20_000, logical=True).reasons)
    for rare in (one(ID, deletes=20_000, inserts=900_000), one(ID), one(ID, deletes=20_000, keys=())):
        assert "mode: log" not in str(rare.reasons)


@pytest.mark.parametrize("columns", [(ID,), (ID, column("version", "int8"))])
def test_rows_with_a_key_and_no_watermark_are_found_by_transaction_id(columns: Any) -> None:
    proposal = one(*columns)
    assert proposal.entry == {"source": "public.t", "target": "t", "pk": "id", "mode": "xmin"}
    assert "no column shows reliably" in proposal.reasons[1]


def test_a_table_without_columns_is_refused() -> None:
    [proposal] = propose([replace(one(ID).table, source=replace(one(ID).table.source, columns=()))])
    assert "no columns" in proposal.refusal
    assert proposal.fix


def test_a_policy_that_hides_nothing_from_this_role_is_no_obstacle() -> None:
    assert one(ID, UPDATED, row_security=RowSecurity.ON).entry


@pytest.mark.parametrize("names", [("Name", "name"), ("_PGSNOW_FENCE",), ("_pgsnow_row",)])
def test_columns_that_snowflake_cannot_tell_apart_are_refused(names: tuple[str, ...]) -> None:
    assert one(ID, UPDATED, *(column(name) for name in names)).entry is None


def test_names_that_a_configuration_cannot_hold_are_refused() -> None:
    assert one(ID, UPDATED, name='public."a\nb"').refusal
    spaced = {" updated": ColumnFacts(set_on_update=True)}
    assert one(ID, column(" updated", "timestamptz"), facts=spaced).entry


def test_the_key_is_the_primary_one_else_the_smallest_that_is_never_null() -> None:
    code = column("code", not_null=True)
    other = column("other", "int4", not_null=True)
    maybe = column("maybe", "int2")
    document = column("document", "jsonb", not_null=True)
    columns = (ID, code, other, maybe, document)
    assert choose_key(surveyed(*columns, keys=[("code",), ("id",)]).source) == ("code",)
    unique = [("id", "code"), ("code",), ("maybe",), ("other",), ("document",)]
    assert choose_key(surveyed(*columns, keys=unique, primary=False).source) == ("other",)
    assert choose_key(surveyed(*columns, keys=[("maybe",), ("document",)], primary=False).source) is None
    assert choose_key(surveyed(column("area", "geometry", not_null=True), keys=[("area",)]).source) is None


def test_targets_of_one_name_are_kept_apart_whatever_their_case() -> None:
    assert entries("a.t", "b.t", 'b."T"', target_schema="x") == ["x.t", "x.b_t", "x.b_t_2"]
    assert entries("public.t", taken=["T", "public_t"]) == ["public_t_2"]
    assert entries("public.t", "sales.t") == ["t", "sales.t"]
    assert entries("information_schema.tables") == ["postgres_information_schema.tables"]
    assert entries('public."Order Details"', 'public."Größe"') == ["order_details", '"Größe"']


def test_a_table_that_others_inherit_from_is_read_without_their_rows() -> None:
    proposal = one(ID, UPDATED, name='public."It\'s"', children=1)
    assert proposal.entry is not None
    assert proposal.entry["where"] == """tableoid = '"public"."It''s"'::regclass"""


def test_references_in_names_are_not_taken_for_variables() -> None:
    proposal = one(ID, UPDATED, name='public."${HOME}"')
    assert proposal.entry is not None
    config = parse_config({"tables": [dict(proposal.entry)]}, file="f", env={"HOME": "x"})
    assert config.tables[0].source == proposal.name


NAMES = st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text)


@given(st.lists(st.tuples(NAMES, NAMES), max_size=6, unique=True), st.none() | st.just("lake"))
def test_all_entries_together_make_a_configuration(names: list[tuple[str, str]], schema: str | None) -> None:
    """Whatever the tables are called: each source is found again, and no two targets are one."""
    quoted = ['"{}"."{}"'.format(*(part.replace('"', '""') for part in name)) for name in names]
    proposals = propose([surveyed(name=name) for name in quoted], target_schema=schema)
    entries = [dict(p.entry) for p in proposals if p.entry is not None]
    assert all(p.refusal for p in proposals if p.entry is None)
    if entries:
        config = parse_config({"tables": entries}, file="f", env={})
        assert [t.source for t in config.tables] == [p.name for p in proposals if p.entry is not None]
        targets = [TargetName.parse(t.target) for t in config.tables]
        assert len({str(target).upper() for target in targets}) == len(targets)
