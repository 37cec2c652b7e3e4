"""The answer to a statement is lost, and the statement commits late.

Group: account
Danger: the network fails while a first load's COPY runs. Snowflake completes the statement although its client is gone.
If the client copies the same files again in the meantime, every row is in the table twice, and later MERGEs update
both.
Answer: pgsnow asks for the outcome of the statement under the id of the lost request, which also waits for a statement
that still runs. If that gets no answer either, the next session cancels what the lost one has left running before
anything is loaded again; a later run does the same for a run that has ended. Snowflake itself ends statements whose
client has been gone for five minutes (`ABORT_DETACHED_QUERY`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from pgsnow.model.report import Status, TableReport
from pgsnow.snowflake import session as patience
from pgsnow.sync.load.session import RunSession
from pgsnow.testing.faults import AtPhase
from tests.progress import wait_until
from tests.world import World

COPY = "COPY INTO"
CANCEL = "SYSTEM$CANCEL_ALL_QUERIES"


@pytest.fixture
def users(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A hundred users, and a client that waits two seconds for an answer."""
    monkeypatch.setattr(patience, "ANSWER_SECONDS", 2)
    monkeypatch.setattr(patience, "RETRY_SECONDS", 1)
    world.sql("insert into users select g, 'user ' || g from generate_series(1, 100) g")
    world.emulator.hold(f'COPY INTO "{world.settings.snowflake.database}"')
    return world


def tick(users: World) -> TableReport:
    with users.engine() as engine:
        return engine.tick().tables[0]


def sent(users: World, text: str, since: int) -> int:
    mine = f'"{users.settings.snowflake.database}"'
    found = [statement for statement in users.emulator.statements_since(since) if text in statement]
    return sum(mine in statement or text == CANCEL for statement in found)


def meanwhile(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_the_outcome_is_asked_for_under_the_same_id(users: World) -> None:
    """A COPY that takes longer than the client waits for one answer is sent once, and its own answer counts."""

    def release() -> None:
        wait_until(lambda: users.emulator.asked_for_held() > 1, "the client has not asked again")
        assert users.emulator.release() == 1

    before, releasing = users.emulator.noted(), meanwhile(release)
    report = tick(users)
    releasing.join()
    assert (report.status, report.rows_inserted) == (Status.OK, 100)
    assert (sent(users, COPY, before), sent(users, CANCEL, before)) == (1, 0)
    users.assert_equal()


def test_a_statement_without_an_answer_is_cancelled_before_it_is_repeated(users: World) -> None:
    """What still runs in the lost session never commits: no row is there twice, now or later."""
    before = users.emulator.noted()
    report = tick(users)
    assert report.status is Status.OK
    assert (sent(users, COPY, before), sent(users, CANCEL, before)) == (2, 1)
    assert users.emulator.release() == 0
    users.assert_equal()


def test_the_next_run_cancels_what_a_run_that_has_ended_left(
    users: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session is in the ledger before the COPY is sent, so any process can end what runs in it."""
    with monkeypatch.context() as without_retries:
        without_retries.setattr(RunSession, "do", RunSession.once)
        assert tick(users).error_type == "TargetUnavailable"
    before = users.emulator.noted()
    report = tick(users)
    assert report.status is Status.OK
    assert sent(users, CANCEL, before) >= 1
    assert users.emulator.release() == 0
    users.assert_equal()
    assert users.sql("select open_batches from sync_watermarks") == [([],)]


def test_rows_that_a_late_copy_has_staged_twice_are_not_appended(world: World) -> None:
    """Equal rows of a table without a key are counted, so one row too many would stay forever."""
    world.sql("create table log (line text); insert into log select 'line' from generate_series(1, 20)")
    world.tables = [{"source": "public.log", "target": "analytics.log", "mode": "append", "load": "stage"}]

    def stage_again() -> None:
        [name] = [row[1] for row in world.snowflake("SHOW TABLES LIKE 'LOG__PGSNOW%' IN SCHEMA ANALYTICS")]
        world.snowflake(f"INSERT INTO ANALYTICS.{name} SELECT * FROM ANALYTICS.{name}")

    with world.engine(AtPhase("copied", stage_again)) as engine:
        assert engine.tick().tables[0].error_type == "LoadMismatch"
        assert engine.tick().tables[0].status is Status.OK
    world.assert_equal()
