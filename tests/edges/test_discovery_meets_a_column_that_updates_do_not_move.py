"""A watermark column stays as it is when a row is updated.

Group: watermarks
Danger: A serial id, or an `updated_at` that nothing maintains, shows new rows and no updates. Updates then
    arrive up to an hour late, while the status says that there are no changes.
Answer: `pgsnow discover` proposes such a column only with evidence that updates move it: a trigger, or values
    that are later than the insert. Otherwise it proposes `mode: xmin`, which finds every change. `pgsnow check`
    and `pgsnow plan` warn about a list written by hand, and `pgsnow status` says which changes its lag counts.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.discovery.advice import advice_for
from pgsnow.model.discovery.proposal import Proposal
from pgsnow.model.report import Status
from pgsnow.operations.check.result import Level
from pgsnow.operations.check.tables import check_table
from pgsnow.operations.discover.discover import Choice, discover
from pgsnow.operations.status.summary import status_of
from pgsnow.postgres.catalog.survey import survey_of
from tests.world import MemoryWorld

TOUCH = """
create function touch() returns trigger language plpgsql as
$$ begin new.updated_at := now(); return new; end $$;
create function keep() returns trigger language plpgsql as
$$ begin new.updated_at := old.updated_at; return new; end $$;
"""


def proposed(world: MemoryWorld, table: str, *, scan: bool = False) -> Proposal:
    [found] = discover(world.settings.source, Choice(include=(table,)), scan=scan)
    return found


def entry(world: MemoryWorld, table: str, *, scan: bool = False) -> Any:
    return proposed(world, table, scan=scan).entry


@pytest.fixture
def shop(memory_world: MemoryWorld) -> MemoryWorld:
    """Tables whose rows have been updated, or not, in all the ways that matter."""
    memory_world.sql(
        TOUCH
        + """
        create table serials (id int generated always as identity primary key, note text);
        insert into serials (note) select 'n' from generate_series(1, 50);
        create table unmaintained (id serial primary key, created_at timestamptz default now(),
                                   updated_at timestamptz not null default now());
        insert into unmaintained (created_at, updated_at)
            select t, t from generate_series(now() - interval '100 days', now(), '1 day') t;
        create table triggered (like unmaintained including all);
        create trigger t before update on triggered for each row execute function touch();
        create table kept (like unmaintained including all);
        create trigger t before update on kept for each row execute function keep();
        create table some_updates (like unmaintained including all);
        create trigger t before update on some_updates for each row when (new.id > 5) execute function touch();
        insert into triggered select * from unmaintained;
        insert into kept select * from unmaintained;
        insert into some_updates select * from unmaintained;
        create table maintained (like unmaintained including all);
        insert into maintained (created_at, updated_at)
            select t, t + (extract(day from t)::int % 3) * interval '5 days 1 hour'
            from generate_series(now() - interval '100 days', now(), '1 day') t;
        create table added_later (like unmaintained including all);
        insert into added_later (created_at, updated_at)
            select t, case when t < now() - interval '50 days' then now() - interval '50 days' else t end
            from generate_series(now() - interval '100 days', now(), '1 day') t;
        create table extreme (id int primary key, created_at timestamptz, updated_at timestamptz,
                              created_on date, updated_on date);
        insert into extreme
            select n, '294276-12-31 23:59:59+00'::timestamptz - n * interval '1 s', '-infinity',
                   '5874897-12-31'::date - n, '4713-01-01 BC'::date + n
            from generate_series(0, 30) n;
        analyze;
        """
    )
    return memory_world


def test_a_column_that_nothing_moves_is_not_proposed(shop: MemoryWorld) -> None:
    """A proposal never promises more than what the catalog or the data shows; the reason says so."""
    for table in ("serials", "unmaintained", "kept", "some_updates", "added_later"):
        for scan in (False, True):
            found = proposed(shop, table, scan=scan)
            assert found.entry is not None
            assert (table, found.mode, found.entry.get("watermark_column")) == (table, "xmin", None)
            assert "no column shows reliably" in found.mode_reason


def test_evidence_that_updates_move_it_is_enough(shop: MemoryWorld) -> None:
    """A trigger, or values that are later than those of the insert: in the statistics, or counted by a scan."""
    for table, reason in (("triggered", "a trigger sets it"), ("maintained", "updates move it")):
        for scan in (False, True):
            found = proposed(shop, table, scan=scan)
            assert found.entry is not None
            assert found.entry["watermark_column"] == "updated_at"
            assert found.mode == "watermark"
            assert reason in found.mode_reason


def test_times_at_the_end_of_their_range_stop_nothing(shop: MemoryWorld) -> None:
    """The comparison with the time of the insert leaves them out, in the statistics and in a scan."""
    assert proposed(shop, "extreme").mode == "xmin"
    scanned = proposed(shop, "extreme", scan=True)
    assert (scanned.mode, scanned.table.profiled) == ("xmin", True)


def test_restored_rows_have_no_history(shop: MemoryWorld) -> None:
    """One transaction has written all rows, and no update was counted since: that proves nothing."""
    shop.sql(
        """create table events (id bigserial primary key, at timestamptz not null default now());
           insert into events (at) select now() - n * interval '1 hour' from generate_series(1, 2000) n;
           analyze events"""
    )
    assert entry(shop, "events", scan=True)["mode"] == "xmin"


def test_an_update_arrives_at_the_next_tick_with_what_discovery_proposes(shop: MemoryWorld) -> None:
    """The proposals keep the first promise: each update is loaded by the next tick."""
    names = ("serials", "unmaintained", "triggered", "kept", "some_updates", "maintained")
    found = discover(shop.settings.source, Choice(include=names), target_schema="shop")
    shop.tables = [dict(each.entry or {}) for each in found]
    with shop.engine() as engine:
        assert {table.status for table in engine.tick().tables} == {Status.OK}
        for table in names[1:]:
            moved = ", updated_at = now()" if table == "maintained" else ""
            one = f"id = (select min(id) from {table})"
            shop.sql(f"update {table} set created_at = '2020-01-01'{moved} where {one}")
        shop.sql("update serials set note = 'changed' where id = 3")
        assert {table.rows_read for table in engine.tick().tables} == {1}
    shop.assert_equal()


WRITTEN_BY_HAND: list[tuple[str, str, dict[str, Any], str | None]] = [
    ("serials", "id", {}, "nothing shows that rows never change"),
    ("unmaintained", "updated_at", {}, "no trigger sets it"),
    ("kept", "updated_at", {}, "no trigger sets it"),
    ("some_updates", "updated_at", {"audit_every": 0}, "is never found"),
    ("unmaintained", "updated_at", {"late_rows": "off"}, "is never found"),
    ("triggered", "updated_at", {}, None),
    ("maintained", "updated_at", {}, None),
]
"""(table, watermark column, further keys, the doubt that is shown)."""


def test_a_list_written_by_hand_is_warned_about(shop: MemoryWorld) -> None:
    """`check` and `plan` say what such a watermark misses, when it is found, and what to write instead."""
    for table, column, more, doubt in WRITTEN_BY_HAND:
        shop.tables = [{"source": table, "target": f"shop.{table}", "watermark_column": column, **more}]
        config = shop.config.tables[0]
        surveyed = survey_of(shop.source, [config.source])[config.source]
        results, prepared = check_table(shop.source, config, shop.settings.snowflake, surveyed=surveyed)
        assert prepared is not None
        told = [result for result in results if result.detail.startswith(f"watermark_column {column}: ")]
        assert [f"{each.detail} → {each.fix}" for each in told] == [
            str(each) for each in advice_for(prepared.plan, surveyed)
        ]
        assert [(each.level, "mode: xmin" in each.fix) for each in told] == [(Level.WARNING, True)] * bool(
            doubt
        )
        assert all(str(doubt) in each.detail for each in told)


def test_the_lag_claims_no_more_than_the_watermark_shows(shop: MemoryWorld) -> None:
    """A serial shows no update: its lag counts from the last audit. For `updated_at` the status says what counts."""
    shop.tables = [
        {"source": "serials", "target": "shop.serials", "watermark_column": "id"},
        {"source": "maintained", "target": "shop.maintained", "watermark_column": "updated_at"},
        {"source": "triggered", "target": "shop.triggered", "mode": "xmin"},
    ]
    with shop.engine() as engine:
        engine.tick()
    shop.sql("""update sync_watermarks set checkpoint = jsonb_set(checkpoint, '{audited_at}',
                to_jsonb((now() - interval '40 minutes')::text))""")
    status = status_document(shop)
    serials, maintained, triggered = status["tables"]
    assert serials["lag_seconds"] >= 2400
    assert "updates do not move id" in serials["why"]
    assert status["worst_lag_seconds"] == serials["lag_seconds"]
    assert maintained["lag_seconds"] < 2400
    assert maintained["lag_covers"] == "changes that move updated_at; others are found by the audit within 1h"
    assert triggered["lag_seconds"] < 2400
    assert triggered["lag_covers"] is None


def test_without_an_audit_the_lag_of_a_serial_is_not_known(shop: MemoryWorld) -> None:
    """Nothing looks for updates, so no number is shown, and the status says what to write."""
    shop.tables = [
        {"source": "serials", "target": "shop.serials", "watermark_column": "id", "audit_every": 0}
    ]
    with shop.engine() as engine:
        engine.tick()
    [serials] = status_document(shop)["tables"]
    assert serials["lag_seconds"] is None
    assert "no audit looks for them: write `mode: xmin`" in serials["why"]


def status_document(shop: MemoryWorld) -> dict[str, Any]:
    ledger = Ledger(shop.settings.ledger, "public")
    try:
        return status_of(shop.config, ledger, datetime.now(UTC))
    finally:
        ledger.close()
