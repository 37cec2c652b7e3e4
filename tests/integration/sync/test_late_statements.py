"""A worker that is paused right before its last statement, and goes on after another one has loaded its table: the
statement changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pgsnow.model.report import TableReport
from pgsnow.snowflake.session import Session
from tests.world import World


@pytest.fixture
def paused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, Callable[[], object]], TableReport]:
    """Runs a tick that does `act` right before it sends the first statement that begins so."""

    def tick(word: str, act: Callable[[], object]) -> TableReport:
        send, waits = Session.execute, [act]

        def execute(self: Session, text: Any, *rest: Any) -> Any:
            if str(text).startswith(word) and waits:
                waits.pop()()
            return send(self, text, *rest)

        with monkeypatch.context() as patch, world.engine() as engine:
            patch.setattr(Session, "execute", execute)
            [report] = engine.tick().tables
        assert not waits
        return report

    return tick


def take_over(world: World) -> TableReport:
    """Another worker runs the table, whose lease has expired."""
    world.sql("update sync_watermarks set lease_expires = now() - interval '1 minute'")
    with world.new_engine() as successor:
        [report] = successor.tick().tables
    assert report.ok, report
    return report


@pytest.mark.parametrize("rows", [3, 900], ids=["bound values", "files"])
def test_a_late_merge_changes_nothing(world: World, paused: Any, rows: int) -> None:
    """Its rows are older than those of the successor, and one of them was deleted since: neither is an old value
    written, nor is the deleted row inserted again."""
    world.sql("insert into users (id, name) select g, 'old' from generate_series(1, 1000) g")
    with world.engine() as engine:
        assert engine.tick().tables[0].ok
    world.sql(f"update users set name = 'stale', updated_at = clock_timestamp() where id < {rows}")
    world.sql("insert into users (id, name) values (1001, 'is deleted')")

    def successor() -> None:
        world.sql("delete from users where id = 1001")
        world.sql("update users set name = 'new', updated_at = clock_timestamp() where id <= 1")
        take_over(world)
        world.assert_equal()

    report = paused("MERGE", successor)
    assert (report.status, report.error_type) == ("locked", "LeaseLost"), report
    world.assert_equal()


@pytest.mark.parametrize("then", ["update users set name = 'new'", "truncate users"], ids=["rows", "none"])
def test_a_late_replacement_changes_nothing(world: World, paused: Any, then: str) -> None:
    """The content of the successor stays: its fence is higher, and if it has no rows, the files of the late statement
    are gone. The session of a statement that replaces a content is recorded, so that one that runs is cancelled."""
    world.tables = [{"source": "public.users", "target": "analytics.users", "mode": "full"}]
    world.sql("insert into users (id, name) select g, 'old' from generate_series(1, 50) g")
    with world.engine() as engine:
        assert engine.tick().tables[0].ok
    world.sql("update users set name = 'stale'")
    recorded: list[str] = []

    def successor() -> None:
        [(batches,)] = world.sql("select open_batches from sync_watermarks")
        recorded.extend(batches)
        world.sql(then)
        take_over(world)
        world.assert_equal()

    report = paused("INSERT OVERWRITE", successor)
    assert report.error_type == ("LoadMismatch" if "truncate" in then else "LeaseLost"), report
    assert any(name.startswith("session:") for name in recorded)
    world.assert_equal()
