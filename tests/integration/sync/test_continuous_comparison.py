"""With verify_every, each run compares some ranges of a table with its target, until all of them were compared once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pgsnow.model.comparison.certificate import ComparisonMethod, Verification, seconds
from pgsnow.model.errors import TargetQueryFailed
from pgsnow.model.report import Status, TableReport
from pgsnow.sync.compare import ranges as first_level
from pgsnow.sync.table.comparison import rounds
from pgsnow.sync.table.deletes.first_level import later_snapshot
from tests.world import MemoryWorld

DAY = 86_400


@pytest.fixture
def users(memory_world: MemoryWorld, monkeypatch: pytest.MonkeyPatch) -> MemoryWorld:
    """Two hundred rows in ranges of about ten, compared within ten days."""
    monkeypatch.setattr(first_level, "FIRST_ROWS", 10)
    monkeypatch.setattr(first_level, "FIRST_ROWS_WITHOUT_INDEX", 10)
    memory_world.tables[0] |= {"verify_every": "10d"}
    memory_world.sql("insert into users (id, name) select g, 'n' || g from generate_series(1, 200) g")
    memory_world.sql("analyze users")
    return loaded(memory_world)


def loaded(world: MemoryWorld) -> MemoryWorld:
    """The first run loads the table, and compares nothing."""
    tick(world, change=False)
    assert verification(world) == Verification()
    return world


def tick(world: MemoryWorld, *, change: bool = True) -> TableReport:
    if change:
        world.sql("update users set balance = 1, updated_at = clock_timestamp() where id = 100")
    with world.engine() as engine:
        [report] = engine.tick().tables
    assert report.error is None
    return report


def verification(world: MemoryWorld) -> Verification:
    with world.engine() as engine:
        return engine.ledger.certificates.of("public.users")


def pass_time(world: MemoryWorld, days: float) -> None:
    """Let the round under way, or the last one, have begun earlier by so many days."""
    state = verification(world)

    def moved(moment: str) -> str:
        return rounds.moment_of(seconds(moment) - days * DAY)

    def earlier(certificate: Any) -> Any:
        return replace(certificate, began_at=moved(certificate.began_at))

    state = replace(
        state,
        certificates={method: earlier(one) for method, one in state.certificates.items()},
        round=state.round and replace(state.round, so_far=earlier(state.round.so_far)),
        differences=state.differences and replace(state.differences, since=moved(state.differences.since)),
    )
    world.source.execute("update sync_watermarks set verification = %s", [json.dumps(state.to_json())])


def test_a_table_is_compared_once_within_its_time_by_runs_that_load_rows_anyway(users: MemoryWorld) -> None:
    tick(users)
    first = verification(users).round
    assert first is not None
    assert (first.done, first.of > 10) == (1, True)
    tick(users)
    assert verification(users).round == first  # nothing more is due yet
    for _ in range(9):
        pass_time(users, 1)
        tick(users)
    state = verification(users)
    certificate = state.certificates[ComparisonMethod.CONTENT]
    assert (state.round, state.differences) == (None, None)
    assert (certificate.rows, certificate.ranges, certificate.differences) == (200, first.of, 0)
    assert certificate.without == ("profile",)
    assert certificate.snapshot is not None
    tick(users)
    assert verification(users).round is None  # the next round begins ten days after this one began
    pass_time(users, 1)
    tick(users)
    assert verification(users).round is not None


def test_an_idle_table_becomes_a_run_only_when_its_round_is_late(users: MemoryWorld) -> None:
    tick(users)
    pass_time(users, 0.5)
    assert tick(users, change=False).phases.get("verify") is None
    pass_time(users, 1)
    assert tick(users, change=False).phases.get("verify") is not None


def test_a_difference_is_an_event_and_a_state_until_it_is_repaired(users: MemoryWorld) -> None:
    tick(users)
    for row in users.target().rows:
        if row["ID"] == 150:
            row["NAME"] = "another"
    pass_time(users, 10)
    report = tick(users)
    assert any("1 row differs (1 changed): 150" in event for event in report.events)
    found = verification(users).differences
    assert found is not None
    assert (found.counts, found.keys) == ({"changed": 1}, ("150",))


def test_with_verify_repair_a_difference_is_repaired_in_the_same_run(users: MemoryWorld) -> None:
    users.tables[0]["verify_repair"] = True
    tick(users)
    rows = users.target().rows
    for row in rows:
        if row["ID"] == 150:
            row["NAME"] = "another"
    rows.append(next(dict(row) for row in rows if row["ID"] == 20))
    rows[:] = [row for row in rows if row["ID"] != 30]
    pass_time(users, 10)
    tick(users)
    state = verification(users)
    certificate = state.certificates[ComparisonMethod.CONTENT]
    assert (certificate.differences, certificate.repaired, state.differences) == (3, 3, None)
    users.assert_equal()
    assert tick(users, change=False).status is Status.IDLE


def test_rows_that_change_after_the_read_are_no_difference(
    users: MemoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison's snapshot is later than the read's, and sees them."""
    tick(users)
    pass_time(users, 10)

    def later(run: Any) -> Any:
        users.sql("update users set name = 'moved', updated_at = clock_timestamp() where id in (7, 150)")
        users.sql("insert into users (id, name) values (500, 'new') on conflict do nothing")
        users.sql("delete from users where id = 60")
        return later_snapshot(run)

    monkeypatch.setattr(rounds, "later_snapshot", later)
    report = tick(users)
    assert not [event for event in report.events if "differ" in event and "0 differences" not in event]
    monkeypatch.undo()
    for _ in range(3):
        tick(users)
    state = verification(users)
    assert (state.differences, state.certificates[ComparisonMethod.CONTENT].differences) == (None, 0)
    users.assert_equal()


def test_with_deletes_off_rows_that_only_the_target_has_are_counted(users: MemoryWorld) -> None:
    users.tables[0]["deletes"] = "off"
    tick(users)
    users.sql("delete from users where id = 60")
    pass_time(users, 10)
    tick(users)
    certificate = verification(users).certificates[ComparisonMethod.CONTENT]
    assert (certificate.kept, certificate.differences) == (1, 0)


def test_a_table_that_grows_during_its_round_is_covered(users: MemoryWorld) -> None:
    """New keys belong to the last range, which is cut again when the round has come to it."""
    tick(users)
    before = verification(users).round
    assert before is not None
    users.sql("insert into users (id, name) select g, 'n' || g from generate_series(201, 400) g")
    users.sql("analyze users")
    for _ in range(12):
        pass_time(users, 1)
        tick(users)
    certificate = verification(users).certificates[ComparisonMethod.CONTENT]
    assert certificate.rows == 400
    assert certificate.ranges > before.of


def test_the_budget_of_a_tick_ends_a_comparison_after_its_ranges(users: MemoryWorld) -> None:
    users.tables[0]["verify_budget_seconds"] = 1e-9
    tick(users)
    pass_time(users, 10)
    done = []
    for _ in range(3):
        tick(users)
        state = verification(users).round
        done.append(state.done if state else 0)
    assert done == [2, 3, 4]


def test_a_damaged_or_changed_round_begins_again(users: MemoryWorld) -> None:
    tick(users)
    pass_time(users, 5)
    tick(users)
    assert (verification(users).round or 0) != 0
    users.sql("update sync_watermarks set verification_bounds = '7'")
    pass_time(users, 1)
    tick(users)
    state = verification(users).round
    assert state is not None
    assert state.done == 1


def test_while_rows_are_staged_nothing_is_compared(users: MemoryWorld) -> None:
    users.tables[0] |= {"load_every": "1h", "load": "stage"}
    tick(users)
    before = verification(users)
    pass_time(users, 10)
    assert tick(users).phases.get("verify") is None
    with users.engine() as engine:
        engine.tick(load=True)
    assert verification(users) != before


def test_a_comparison_that_fails_is_an_event_of_a_run_that_is_ok(users: MemoryWorld) -> None:
    """The rows of the run are loaded; a table must not be synced less often because it cannot be compared."""
    tick(users)
    pass_time(users, 1)
    users.warehouse.fail("compare", TargetQueryFailed("no such function"))
    report = tick(users)
    assert (report.status, report.rows_updated) == (Status.OK, 1)
    assert "verify_every: not compared: no such function" in report.events
    tick(users)
    state = verification(users).round
    assert state is not None
    assert state.done > 1


def test_a_key_that_a_search_for_deleted_rows_leaves_is_a_difference(
    users: MemoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been deleted after the read, so at first it is none."""
    tick(users)
    moved = next(row for row in users.target().rows if row["ID"] == 150)
    moved["ID"] = 1000
    pass_time(users, 10)
    report = tick(users)
    assert any("1 row differs (1 missing)" in event for event in report.events)
    state = verification(users).round
    assert state is not None
    assert state.suspects == (("1000",),)
    monkeypatch.setattr("pgsnow.sync.table.deletes.sweep.sweep", lambda _run: None)
    users.sql("update sync_watermarks set sweep = sweep || jsonb_build_object('swept_at', 4e9::float8)")
    report = tick(users)
    assert any("1 row differs (1 ghost): 1000" in event for event in report.events)
    found = verification(users).differences
    assert found is not None
    assert found.counts == {"missing": 1, "ghost": 1}


def test_a_full_refresh_ends_the_differences(users: MemoryWorld) -> None:
    users.target().rows[0]["NAME"] = "another"
    pass_time(users, 10)
    tick(users)
    pass_time(users, 10)
    tick(users)
    assert verification(users).differences is not None
    with users.engine() as engine:
        engine.tick(full_refresh=True)
    assert verification(users).differences is None
    users.assert_equal()


def test_a_table_whose_ranges_are_late_is_handed_out_to_other_workers(users: MemoryWorld) -> None:
    """The tick of `execution: distributed` sends a task for it, though it has no changes."""
    tick(users)
    with users.engine() as engine:
        assert engine.triage().busy == ()
    pass_time(users, 5)
    with users.engine() as engine:
        assert engine.triage().busy == ("public.users",)
