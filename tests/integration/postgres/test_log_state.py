"""State of the log, the slot and the publication on a real server, and what is decided from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pgsnow.model.log.slot import KnownSlot, LogState, SlotAction, slot_verdict
from pgsnow.model.table import SourceName
from pgsnow.postgres.replication.fingerprint import inspect_log
from tests.integration.postgres.lab import Lab

T, PARTS = SourceName("public", "t"), SourceName("Odd", "Parts")
SLOT = "pgsnow_state"


def state_of(lab: Lab) -> LogState:
    with lab.source.connect() as conn:
        return inspect_log(conn, SLOT, "pub", [T, PARTS, SourceName("public", "gone")])


@pytest.fixture
def published(lab: Lab) -> Iterator[Lab]:
    lab.run(
        "create table t (id bigint primary key, v text)",
        'create schema "Odd"',
        'create table "Odd"."Parts" (id bigint primary key, v text) partition by range (id)',
        'create table "Odd".p1 partition of "Odd"."Parts" for values from (0) to (10)',
        'create publication pub for table t, "Odd"."Parts" with (publish_via_partition_root = true)',
        f"select pg_create_logical_replication_slot('{SLOT}', 'pgoutput')",
    )
    yield lab
    lab.run(f"select pg_drop_replication_slot('{SLOT}') from pg_replication_slots where slot_name = '{SLOT}'")


TAMPERING = {
    "alter publication pub drop table t; alter publication pub add table t": {"public.t"},
    "alter table t replica identity full": {"public.t"},
    "alter table \"Odd\".p1 replica identity full": {'"Odd"."Parts"'},
    "alter publication pub set (publish = 'insert'); alter publication pub set (publish = 'insert, update, delete,"
    " truncate')": {"public.t", '"Odd"."Parts"'},
    'create table "Odd".p2 partition of "Odd"."Parts" for values from (10) to (20)': {'"Odd"."Parts"'},
    "alter publication pub set table t where (id > 0), \"Odd\".\"Parts\"": {"public.t"},
    'drop publication pub; create publication pub for table t, "Odd"."Parts" with (publish_via_partition_root = true)':
        {"public.t", '"Odd"."Parts"'},
}  # fmt: skip


def test_every_change_of_a_publication_that_can_lose_changes_is_seen_even_if_it_was_undone(
    published: Lab,
) -> None:
    """Taken out and put back, options changed and changed back, dropped and made again, replica identities, row
    filters: the tables concerned are bridged; ordinary use of the tables changes nothing."""
    before = state_of(published)
    assert set(before.tables) == {"public.t", '"Odd"."Parts"'}
    assert all(table.shows([1]) for table in before.tables.values())
    assert not before.tables["public.t"].shows([1, 2])
    assert (
        published.one("select oid::bigint from pg_class where relname = 't'") == before.tables["public.t"].oid
    )
    known = KnownSlot(SLOT, "pub", 1, confirmed=before.end, fingerprint=before.fingerprint)
    published.run("insert into t values (1, 'a')", "analyze t", "vacuum t", "create index on t (v)")
    quiet = slot_verdict(state_of(published), known)
    assert (quiet.action, quiet.doubtful, quiet.unpublished) == (SlotAction.READ, {}, {})
    for statements, tables in TAMPERING.items():
        for statement in statements.split("; "):
            published.run(statement)
        after = state_of(published)
        verdict = slot_verdict(after, known)
        assert set(verdict.doubtful) == tables, statements
        known = replace(known, fingerprint=after.fingerprint)
    published.run("alter publication pub drop table t")
    assert slot_verdict(state_of(published), known).unpublished == {
        "public.t": "the publication does not have it"
    }


def test_a_slot_that_is_gone_made_again_moved_or_too_far_behind_is_a_new_generation(published: Lab) -> None:
    """Each is told by its own cause; a slot that lags behind what was staged is read on, as a server may have lost a
    confirmation in a crash."""
    state = state_of(published)
    assert state.slot is not None
    assert state.slot.confirmed is not None
    known = KnownSlot(SLOT, "pub", 1, confirmed=state.slot.confirmed)

    def decided(state: LogState, **ledger: object) -> str:
        verdict = slot_verdict(state, replace(known, **ledger))  # type: ignore[arg-type]
        return f"{verdict.action}, drop {verdict.drop}: {verdict.why}"

    assert decided(state) == "read, drop False: "
    assert decided(state, confirmed=state.end) == "read, drop False: "
    assert (
        decided(state, generation=0)
        == "create, drop True: the replication slot pgsnow_state was not made yet"
    )
    assert "moved to" in decided(state, confirmed=state.slot.confirmed - 1)
    assert "was read up to" in decided(state, confirmed=state.end + 1)
    published.run(f"select pg_drop_replication_slot('{SLOT}')")
    gone = decided(state_of(published))
    assert gone.startswith("create, drop False: the replication slot pgsnow_state is gone")
    published.run("insert into t values (1, 'a')")
    published.run(f"select pg_create_logical_replication_slot('{SLOT}', 'pgoutput')")
    assert "made again" in decided(state_of(published))
    published.run("insert into t select i, repeat('x', 1000) from generate_series(2, 2000) i")
    large = slot_verdict(
        state_of(published), replace(known, confirmed=state_of(published).end), most_retained=1 << 20
    )
    assert (large.action, large.drop) == (SlotAction.CREATE, True)
    assert "max_retained_wal" in large.why
