"""A failure stays until a person fixes it.

Group: account
Danger: a table that cannot be loaded is read, uploaded and refused again with every tick, at full cost, for days.
Answer: the first retry comes with the next tick; after that the pause doubles each time, up to an hour, and nothing is
read or sent for the table. `status` shows the error with the time of the next attempt. A changed entry in the table
list, `pgsnow apply`, and any request for the table are tried at once. Errors that pass by themselves are tried in each
tick. A table with `mode: log` pauses for at most ten minutes, and not for a refused warehouse: its changes are staged
meanwhile.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.integrations.celery.distributed import NextStep, load_next_chunk
from pgsnow.ledger.slots.joins import PATIENCE
from pgsnow.model import errors
from pgsnow.model.report import Status, TableReport
from pgsnow.operations.plan.apply import apply
from pgsnow.operations.status.summary import status_of
from pgsnow.sync.engine import Engine
from pgsnow.sync.load.target import Target
from pgsnow.sync.runtime.events import Event
from pgsnow.sync.tick.outcomes import LOG_PAUSE, LONGEST_PAUSE, pause_after
from tests.world import MemoryWorld

IN_TIME = "update sync_watermarks set next_attempt_at = next_attempt_at - interval '1 day'"


@pytest.fixture
def broken(memory_world: MemoryWorld) -> MemoryWorld:
    """Users, whose configured key is not unique."""
    memory_world.sql("insert into users (id, name) select g, 'same' from generate_series(1, 10) g")
    memory_world.tables[0]["pk"] = "name"
    return memory_world


def large(world: MemoryWorld) -> None:
    """Repair the key, and let the table have several chunks."""
    world.tables[0] |= {"pk": "id", "max_mb_per_chunk": 1}
    world.sql("alter table users alter name set storage plain")
    world.sql("insert into users (id, name) select g, repeat('x', 2000) from generate_series(11, 2000) g")
    world.sql("analyze users")


def scheduled(engine: Engine) -> TableReport:
    return engine.tick(due_only=True).tables[0]


def test_scheduled_ticks_leave_the_table_alone_until_the_next_attempt_is_due(broken: MemoryWorld) -> None:
    """In the pause nothing is asked of Postgres, nothing is sent, and the failure still counts and is still shown; an
    unnamed `pgsnow run` keeps the pause too."""
    events: list[Event] = []
    with broken.engine(events.append) as engine:
        assert [scheduled(engine).retry_seconds for _ in range(2)] == [None, 240]
        events.clear()
        for report in (scheduled(engine), engine.tick().tables[0]):
            assert (report.status, report.error_type) == (Status.BACKING_OFF, "BackingOff")
            assert "name" in (report.error or ""), "the last error is shown again"
            assert "run --select public.users" in (report.advice or "")
            assert report.next_attempt is not None
        assert events == []
        assert engine.triage(due_only=True).report.metrics()["sync_failure_count"] == 1
        [shown] = status_of(broken.config, engine.ledger, datetime.now(UTC))["tables"]
        assert (shown["state"], shown["consecutive_failures"]) == ("failed", 2)
        assert "failed 2 times in a row: next attempt in 4 min" in shown["why"]
        assert shown["next_attempt"] is not None
        broken.sql(IN_TIME)
        assert scheduled(engine).retry_seconds == 480


def test_a_request_and_a_changed_entry_are_tried_at_once_and_a_success_ends_the_pause(
    broken: MemoryWorld,
) -> None:
    """A person who has fixed the cause does not have to wait."""
    with broken.engine() as engine:
        for _ in range(2):
            scheduled(engine)
        assert engine.tick(["public.users"]).tables[0].retry_seconds == 480
        assert engine.tick(full_refresh=True).tables[0].retry_seconds == 960
        assert engine.tick(["public.users"], requested=False).tables[0].status is Status.BACKING_OFF
    broken.tables[0]["batch_size"] = 77
    with broken.engine() as engine:
        report = scheduled(engine)
        assert (report.status, report.retry_seconds) == (Status.ERROR, None), "its count begins again"
    broken.tables[0]["pk"] = "id"
    with broken.engine() as engine:
        assert scheduled(engine).status is Status.OK
    assert broken.sql("select next_attempt_at, lasting_failures, failed_entry from sync_watermarks") == [
        (None, 0, None)
    ]


def test_no_worker_loads_a_chunk_in_the_pause(broken: MemoryWorld) -> None:
    """A large table's chunks belong to it: they wait like the table."""
    large(broken)
    with broken.engine() as engine:
        assert engine.tick(leave_chunks=True).tables[0].error_type == "BackfillUnderWay"
        broken.sql("update sync_watermarks set next_attempt_at = now() + interval '1 hour'")
        assert engine.take_chunk("public.users") is None
        broken.sql(IN_TIME)
        assert engine.take_chunk("public.users") is not None


def test_a_chunk_that_met_an_error_of_the_account_is_recorded_without_another_try(
    broken: MemoryWorld,
) -> None:
    """The table's own run would only send the same statement again."""
    large(broken)
    with broken.engine() as engine:
        assert engine.tick(leave_chunks=True).tables[0].error_type == "BackfillUnderWay"
        broken.warehouse.fail("copy", errors.StatementTimeout("timed out"))
        assert load_next_chunk(engine, "public.users") is NextStep.NONE
        assert len(broken.warehouse.done("copy")) == 0
        [row] = engine.ledger.run_log.watermarks()
        assert (row.last_status, row.last_error, row.consecutive_failures) == ("error", "timed out", 1)
        assert engine.tick().tables[0].status is Status.OK
    broken.assert_equal()


def test_the_next_tick_tries_a_table_whose_target_a_person_has_changed(
    broken: MemoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pgsnow apply` has sent what the target needed, so the pause ends."""
    with broken.engine() as engine:
        for _ in range(3):
            scheduled(engine)
        assert scheduled(engine).status is Status.BACKING_OFF
        monkeypatch.setattr(Target, "evolve", lambda *_: None)
        monkeypatch.setattr(Target, "make_fit", lambda *_, **__: False)
        broken.tables[0]["pk"] = "id"
        assert apply(broken.config, broken.settings, ["public.users"]).tables[0].status is Status.APPLIED
        assert scheduled(engine).status is Status.ERROR, "it was tried"


@given(failures=st.integers(1, 10_000), interval=st.floats(0.001, 1e6))
def test_the_pause_grows_and_never_exceeds_an_hour(failures: int, interval: float) -> None:
    """The first retry comes with the next tick, whatever the interval is. With `mode: log`, a table is tried again
    before the slot stops waiting for it."""
    now, then = pause_after(failures, interval), pause_after(failures + 1, interval)
    assert then is not None
    assert (now or 0) <= then <= LONGEST_PAUSE
    assert (pause_after(failures, interval, LOG_PAUSE) or 0) <= LOG_PAUSE < PATIENCE
    assert pause_after(1, interval) is None


def test_only_errors_that_pass_by_themselves_are_tried_in_each_tick() -> None:
    """Stated by each leaf of the tree of errors."""

    def leaves(kind: type[errors.PgsnowError]) -> set[type[errors.PgsnowError]]:
        return {kind} | {leaf for sub in kind.__subclasses__() for leaf in leaves(sub)}

    patient = {leaf.__name__ for leaf in leaves(errors.PgsnowError) if not leaf.backs_off}
    assert patient >= {"SourceUnavailable", "TargetUnavailable", "WriteConflict", "SchemaMoved"}
    assert not patient & {
        "StageUnreachable",
        "LoadMismatch",
        "TargetConflict",
        "CreditsUsedUp",
        "TargetMissing",
    }
