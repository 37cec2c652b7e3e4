"""Bad rows step aside with their reason, good ones go on, and replay brings the bad ones back once mended."""

from __future__ import annotations

from typing import Any

import pytest

from pgsnow.model.report import Status
from pgsnow.testing.faults import AtPhase
from tests.world import MemoryWorld, World

BROKEN = True


def fussy(row: dict[str, Any]) -> dict[str, Any]:
    """A transform that cannot stand one row."""
    if BROKEN and row["id"] == 500:
        raise ValueError("cannot parse this one")
    return row


def test_a_transform_that_raises_on_one_row_of_a_thousand_stops_only_that_row(
    memory_world: MemoryWorld,
) -> None:
    memory_world.tables[0] |= {"transform": f"{__name__}:fussy"}
    memory_world.sql("insert into users select g, 'n' || g from generate_series(1, 1000) g")
    with memory_world.engine() as engine:
        report = engine.tick().tables[0]
        assert (report.status, report.rows_inserted, report.rows_rejected) == (Status.PARTIAL, 999, 1)
        (error,) = engine.ledger.rejected_rows.listed()
    assert error.key == {"id": "500"}
    assert "cannot parse this one" in error.reason
    assert error.payload is not None
    assert error.payload["name"] == "n500"


def test_replay_loads_the_row_once_the_transform_is_mended(world: World, monkeypatch: Any) -> None:
    world.tables[0] |= {"transform": f"{__name__}:fussy"}
    world.sql("insert into users select g, 'n' || g from generate_series(499, 501) g")
    with world.engine() as engine:
        engine.tick()
        (error,) = engine.ledger.rejected_rows.listed()
        still = engine.replay([error.id]).tables[0]
        assert still.rows_rejected == 1
        assert engine.ledger.rejected_rows.listed()[0].occurrences == 2
        monkeypatch.setattr(f"{__name__}.BROKEN", False)
        assert engine.replay([error.id]).tables[0].rows_inserted == 1
        assert engine.ledger.rejected_rows.listed() == []
        assert [row.state for row in engine.ledger.rejected_rows.listed(state=None)] == ["replayed"]
    assert world.snowflake("SELECT COUNT(*) FROM ANALYTICS.USERS") == [(3,)]


def test_a_newer_good_version_of_a_row_closes_its_error(memory_world: MemoryWorld) -> None:
    memory_world.sql("alter table users add column seen timestamp")
    memory_world.sql("insert into users (id, name, seen) values (1, 'a', now()), (2, 'b', 'infinity')")
    with memory_world.engine() as engine:
        report = engine.tick().tables[0]
        assert (report.rows_inserted, report.rows_rejected) == (1, 1)
        (error,) = engine.ledger.rejected_rows.listed()
        assert error.column == "seen"
        assert error.payload is not None
        assert error.payload["seen"] == "infinity"
        memory_world.sql("update users set seen = now(), updated_at = now() where id = 2")
        assert engine.tick().tables[0].status is Status.OK
        assert engine.ledger.rejected_rows.listed() == []
    memory_world.assert_equal()


def test_too_many_bad_rows_stop_the_table_and_lose_nothing(memory_world: MemoryWorld) -> None:
    memory_world.tables[0] |= {"max_rejected_rows": 10}
    memory_world.sql("alter table users add column seen timestamp")
    memory_world.sql("insert into users (id, seen) select g, 'infinity' from generate_series(1, 50) g")
    with memory_world.engine() as engine:
        report = engine.tick().tables[0]
        assert (report.status, report.error_type) == (Status.ERROR, "TooManyRejected")
        memory_world.sql("update users set seen = null")
        assert engine.tick().tables[0].rows_inserted == 50
    memory_world.assert_equal()


def test_a_deprecated_default_still_holds_and_is_logged(
    memory_world: MemoryWorld, caplog: pytest.LogCaptureFixture
) -> None:
    memory_world.options["max_rejected_rows"] = 10
    memory_world.sql("alter table users add column seen timestamp")
    memory_world.sql("insert into users (id, seen) select g, 'infinity' from generate_series(1, 50) g")
    with memory_world.engine() as engine:
        assert engine.tick().tables[0].error_type == "TooManyRejected"
    assert "max_rejected_rows: is deprecated at the top level" in caplog.text


def test_payloads_do_not_show_what_a_transform_hides(memory_world: MemoryWorld) -> None:
    memory_world.tables[0] |= {"transform": {"set_null": ["name"]}}
    memory_world.sql("alter table users add column seen timestamp")
    memory_world.sql("insert into users (id, name, seen) values (1, 'secret name', 'infinity')")
    with memory_world.engine() as engine:
        engine.tick()
        (error,) = engine.ledger.rejected_rows.listed()
    assert "secret name" not in str(error)


def test_a_value_too_long_for_the_targets_own_column_is_rejected_before_it_is_staged(world: World) -> None:
    world.snowflake("CREATE SCHEMA IF NOT EXISTS ANALYTICS")
    world.snowflake(
        "CREATE TABLE ANALYTICS.USERS (ID NUMBER(38,0) NOT NULL, NAME VARCHAR(5), BALANCE NUMBER(12,2), "
        "PROFILE VARIANT, UPDATED_AT TIMESTAMP_TZ(6), PRIMARY KEY (ID))"
    )
    world.sql("insert into users (id, name) values (1, 'short'), (2, 'too long')")
    with world.engine() as engine:
        report = engine.tick().tables[0]
        assert (report.rows_inserted, report.rows_rejected) == (1, 1)
        (error,) = engine.ledger.rejected_rows.listed()
    assert (error.key, error.column) == ({"id": "2"}, "name")
    assert "takes 5" in error.reason


def test_a_target_created_again_has_none_of_the_limits_of_the_one_before(world: World) -> None:
    world.tables[0] |= {"load": "stage", "batch_size": 2, "max_rows_per_load": 2}
    world.snowflake("CREATE SCHEMA IF NOT EXISTS ANALYTICS")
    world.snowflake(
        "CREATE TABLE ANALYTICS.USERS (ID NUMBER(38,0) NOT NULL, NAME VARCHAR(5), BALANCE NUMBER(12,2), "
        "PROFILE VARIANT, UPDATED_AT TIMESTAMP_TZ(6), PRIMARY KEY (ID))"
    )
    world.sql(
        "insert into users (id, name) values (1, 'too long'), (2, 'short'), (3, 'short'), (4, 'too long')"
    )
    drop = AtPhase("written", lambda: world.snowflake("DROP TABLE ANALYTICS.USERS"))
    with world.engine(drop) as engine:
        assert engine.tick().tables[0].error is None
        assert engine.ledger.rejected_rows.listed() == []
    assert drop.fired
    world.assert_equal()


def test_an_error_stays_open_if_the_row_is_rejected_again_before_its_good_version_is_loaded(
    memory_world: MemoryWorld,
) -> None:
    memory_world.tables[0] |= {"late_rows": "off", "batch_size": 1}
    memory_world.sql("alter table users add column seen timestamp")
    memory_world.sql("insert into users (id, name, seen) values (1, 'a', 'infinity')")
    with memory_world.engine() as engine:
        assert engine.tick().tables[0].rows_rejected == 1
    memory_world.sql("update users set seen = now(), updated_at = now()")
    memory_world.sql(
        "insert into users (id, name, updated_at) "
        "select g, 'n', now() + g * interval '1 ms' from generate_series(2, 30) g"
    )
    worse = "update users set seen = 'infinity', updated_at = now() + interval '1 hour' where id = 1"
    with memory_world.engine(AtPhase("page", lambda: memory_world.sql(worse))) as engine:
        assert engine.tick().tables[0].rows_rejected == 1
        assert [error.key for error in engine.ledger.rejected_rows.listed()] == [{"id": "1"}]


def shout(row: dict[str, Any]) -> dict[str, Any] | None:
    """A transform that changes rows and leaves some out."""
    return None if row["id"] % 10 == 0 else {**row, "name": row["name"].upper()}


def test_a_transformed_table_is_compared_with_what_its_transform_makes_of_the_source(world: World) -> None:
    world.tables[0] |= {"transform": {"function": f"{__name__}:shout", "hash": ["id"], "salt": "pepper"}}
    world.sql("insert into users select g, 'n' || g, g from generate_series(1, 100) g")
    with world.engine() as engine:
        report = engine.tick().tables[0]
        assert (report.rows_inserted, report.rows_dropped) == (90, 10)
    assert world.verdicts()[0].equal
    world.snowflake("UPDATE ANALYTICS.USERS SET NAME = 'wrong' WHERE BALANCE = 7")
    (verdict,) = world.verdicts()
    assert [(d.kind, d.column, d.target) for d in verdict.differences] == [("value", "NAME", "wrong")]
