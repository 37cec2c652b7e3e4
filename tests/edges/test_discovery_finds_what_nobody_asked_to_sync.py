"""A database holds more than an analyst's tables.

Group: discovery
Danger: A proposed list contains pgsnow's own ledger, the bookkeeping of other tools, and every view beside its
    tables: each run then changes what the next run reads, and views are read as a whole again and again.
Answer: `pgsnow discover` never proposes a ledger of pgsnow, in whichever schema it is. Views are proposed with
    `--views`, and tables of migration tools if `--include` names them; otherwise both are counted and named.
"""

from __future__ import annotations

import pytest

from pgsnow.config.edit import Listed
from pgsnow.ledger.migrate import migrate
from pgsnow.operations.discover.discover import Choice, Discovery, survey_and_propose
from tests.world import MemoryWorld


@pytest.fixture
def crowded(memory_world: MemoryWorld) -> MemoryWorld:
    """Two more ledgers (one has lost its list of migrations), views, extensions and the tables of other tools."""
    for schema in ("Ledger of ours", "torn"):
        migrate(memory_world.settings.ledger, schema)
    memory_world.sql(
        """
        drop table torn.pgsnow_migrations;
        create table alembic_version (version_num varchar(32) primary key);
        create table "__EFMigrationsHistory" (id int primary key);
        create view names as select id, name from users;
        create materialized view counted as select count(*) as n from users;
        create schema app;
        create table app.sync_logs (id int primary key, mine text);
        create extension pg_stat_statements;
        create schema parts;
        create table parts.tree (id int, day date, primary key (id, day)) partition by range (day);
        create table app.tree_1 partition of parts.tree for values from ('2026-01-01') to ('2026-02-01');
        """
    )
    return memory_world


def names(found: Discovery) -> set[str]:
    return {str(proposal.name) for proposal in found.proposals}


def test_ledgers_are_never_proposed_in_any_schema(crowded: MemoryWorld) -> None:
    """Not even if they are asked for, or if their list of migrations is gone. A table of the same name is a table."""
    found = survey_and_propose(crowded.settings.source, Choice(), views=True)
    assert names(found) == {"public.users", "public.names", "public.counted", "app.sync_logs", "parts.tree"}
    asked = survey_and_propose(crowded.settings.source, Choice(include=("sync_*", "torn.*", "sync_chunks")))
    assert names(asked) == {"app.sync_logs"}


def test_views_and_bookkeeping_are_counted_and_named_until_they_are_asked_for(crowded: MemoryWorld) -> None:
    """Nothing is left out silently: each has its name and what it is, and can be had by name."""
    found = survey_and_propose(crowded.settings.source, Choice())
    assert names(found) == {"public.users", "app.sync_logs", "parts.tree"}
    assert {each.name.table: each.kind for each in found.left_out} == {
        "names": "view",
        "counted": "materialized view",
        "alembic_version": "bookkeeping of a migration tool",
        "__EFMigrationsHistory": "bookkeeping of a migration tool",
    }
    wanted = Choice(include=("public.names", "alembic_version"))
    assert names(survey_and_propose(crowded.settings.source, wanted)) == {
        "public.names",
        "public.alembic_version",
    }


def test_a_view_that_is_listed_already_stays_listed(crowded: MemoryWorld) -> None:
    """A list that was written before keeps working: its views are not reported as left out."""
    known = Listed(sources=frozenset({"public.names"}), targets=("names",))
    found = survey_and_propose(crowded.settings.source, Choice(), known=known)
    assert "public.names" in names(found)
    assert {each.name.table for each in found.left_out if each.is_view} == {"counted"}
