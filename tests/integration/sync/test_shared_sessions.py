"""Runs share one session in Snowflake for many ticks, and none of them notices the others in it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pgsnow.model.errors import TargetQueryFailed
from pgsnow.model.report import Status, SyncReport
from pgsnow.snowflake import session_pool
from pgsnow.snowflake.schema import looks
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.session_pool import SessionPool
from pgsnow.snowflake.sql.statements import cancel_statements
from pgsnow.sync.load.session import RunSession
from pgsnow.sync.runtime.recorder import Recorder
from tests.progress import wait_until
from tests.world import World

TABLES = ("users", "orders", "items", "events")
EXPIRED = {"errno": 390114, "sqlstate": "08001", "message": "Authentication token has expired."}


def tick(world: World) -> SyncReport:
    with world.engine() as engine:
        return engine.tick()


def sent_since(world: World, number: int) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = world.emulator.stats(after=number)["statements"]
    return statements


@pytest.fixture
def busy(world: World) -> World:
    """Four tables with rows that no run has loaded."""
    world.tables = [{**world.tables[0], "source": f"public.{t}", "target": f"analytics.{t}"} for t in TABLES]
    for name in TABLES[1:]:
        world.sql(f"create table {name} (like users including all)")
    for name in TABLES:
        world.sql(f"insert into {name} (id, name) select g, '{name}' from generate_series(1, 20) g")
    return world


def change(world: World) -> None:
    for name in TABLES:
        world.sql(f"update {name} set name = name || 'x', updated_at = clock_timestamp() where id <= 6")


def test_one_login_serves_all_tables_of_many_ticks(busy: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The login counts for the run that made it, and each statement for the run that sent it, whose query tag it
    carries. The session outlives its network connections, which are not used again after a pause."""
    monkeypatch.setattr(session_pool, "IDLE_SECONDS", 0)
    logins, noted = busy.emulator.connections(), busy.emulator.noted()
    reports = [tick(busy)]
    for _ in range(2):
        change(busy)
        reports.append(tick(busy))
    tables = [table for report in reports for table in report.tables]
    assert {table.status for table in tables} == {Status.OK}
    assert busy.emulator.connections() - logins == 1 == sum(table.logins for table in tables)
    sent = sent_since(busy, noted)
    assert len({statement["session"] for statement in sent}) == 1
    received = Counter(statement["tag"] for statement in sent)
    assert received == {f"pgsnow:{t.table}:{t.run_id}": len(t.statements) for t in tables if t.statements}
    busy.assert_equal()


def test_tables_of_a_tick_look_at_their_targets_together(
    busy: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One SHOW a schema, however many tables: of new targets, and later in a worker that has not looked at them. What a
    person has done to one of them is noticed, and a list that is too long is not used."""
    assert shown(busy, tick) == ["SHOW TABLES IN SCHEMA"]
    busy.snowflake("DELETE FROM ANALYTICS.ORDERS WHERE ID = 5")
    change(busy)
    busy.close_engine()
    assert shown(busy, tick) == ["SHOW TABLES IN SCHEMA"]
    busy.assert_equal()
    monkeypatch.setattr(looks, "LONGEST_LIST", 3)
    change(busy)
    busy.close_engine()
    assert Counter(shown(busy, tick)) == {"SHOW TABLES IN SCHEMA": 1, "SHOW TABLES LIKE": 4}
    busy.assert_equal()


def test_what_all_tables_of_a_schema_share_is_created_once(busy: World) -> None:
    """By one thread, while the others wait for it; a schema that was dropped later, and all that was in it, is created
    once more. A first load of many tables sends five statements for each of them, and four for their schema."""
    for_each = {"CREATE TABLE": 4, "PUT": 4, "COPY": 4, "SHOW TABLES LIKE": 4}
    for_all = {"CREATE SCHEMA": 1, "CREATE STAGE": 1, "CREATE FILE": 1}
    assert kinds_sent(busy) == {**for_each, **for_all, "SHOW TABLES IN": 1}
    busy.snowflake("DROP SCHEMA ANALYTICS CASCADE")
    change(busy)
    again = kinds_sent(busy)
    assert {kind: again[kind] for kind in for_all} == for_all
    busy.assert_equal()


def kinds_sent(world: World) -> Counter[str]:
    """How many statements of each kind a tick sends: their first word, two of CREATE, three of SHOW."""
    before = world.emulator.noted()
    report = tick(world)
    assert {table.status for table in report.tables} == {Status.OK}
    words = {"CREATE": 2, "SHOW": 3}
    sent = [text.split() for text in world.emulator.statements_since(before)]
    return Counter(" ".join(text[: words.get(text[0], 1)]) for text in sent)


def shown(world: World, act: Callable[[World], SyncReport]) -> list[str]:
    """The beginnings of the SHOW statements that the tick sends to look at targets, without those after a CREATE."""
    before = world.emulator.noted()
    report = act(world)
    assert {table.status for table in report.tables} == {Status.OK}
    sent = [text for text in world.emulator.statements_since(before) if text.startswith(("SHOW", "CREATE"))]
    created = any(text.startswith("CREATE TABLE") for text in sent)
    found = [" ".join(text.split()[: 4 if "IN SCHEMA" in text[:21] else 3]) for text in sent]
    return [look for look in found if look.startswith("SHOW TABLES") and not (created and "LIKE" in look)]


@pytest.mark.parametrize(
    ("what", "logins"), [("token", 0), ("login", 1), pytest.param("session", 1, marks=pytest.mark.thorough)]
)
def test_an_expired_session_is_renewed_or_replaced_by_all_tables_together(
    busy: World, what: str, logins: int
) -> None:
    """After an hour the connector renews the token; after four, or if an administrator has ended the session, one of
    the tables logs in for all."""
    assert tick(busy).tables[0].ok
    change(busy)
    before = busy.emulator.connections()
    assert busy.emulator.expire(busy.settings.snowflake.database, what) > 0
    report = tick(busy)
    assert {table.status for table in report.tables} == {Status.OK}
    assert busy.emulator.connections() - before == logins == sum(table.logins for table in report.tables)
    busy.assert_equal()


@pytest.mark.parametrize("expired", ["MERGE", "PUT"])
def test_a_session_that_ends_in_the_middle_of_a_load_is_replaced(world: World, expired: str) -> None:
    """The run goes on with the statement that was not executed, and everything is counted once."""
    world.sql("insert into users (id, name) select g, 'n' from generate_series(1, 20) g")
    assert tick(world).tables[0].ok
    world.sql("update users set name = 'x', updated_at = clock_timestamp() where id <= 6")
    logins, database = world.emulator.connections(), world.settings.snowflake.database
    world.emulator.answer_with({"containing": expired, "database": database, "times": 1, **EXPIRED})
    [report] = tick(world).tables
    world.emulator.answer_with()
    failed = [sent.kind for sent in report.statements if sent.failed]
    assert (report.status, report.rows_updated) == (Status.OK, 6)
    assert world.emulator.connections() - logins == len(failed) == report.logins <= 1
    assert tick(world).tables[0].full_read is None
    world.assert_equal()


@pytest.fixture
def pool(world: World) -> Iterator[SessionPool]:
    pool = SessionPool(world.settings.snowflake)
    yield pool
    pool.close()


def run_of(pool: SessionPool, table: str = "t") -> RunSession:
    return RunSession(pool, Recorder(table, "T", "run"), threading.Event())


def number_of(session: Session) -> int:
    return session.number


def test_a_session_is_replaced_after_some_hours(pool: SessionPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that changed credentials are used, and wrong ones are noticed, by a worker that runs for months."""
    run = run_of(pool)
    first = run.do(number_of)
    assert run.do(number_of) == first
    monkeypatch.setattr(session_pool, "LONGEST_USE", 0)
    assert run.do(number_of) != first
    assert run.recorder.logins == 2


def test_a_transaction_has_a_session_of_its_own(world: World, pool: SessionPool) -> None:
    """Statements of other threads are no part of it; its session is used again for the next transaction, and is closed
    if one fails, which rolls back what it did."""
    run, other = run_of(pool), run_of(pool)
    other.do(lambda session: session.execute("CREATE TABLE PUBLIC.T (I INT)"))

    def insert_and(end: str, session: Session) -> int:
        session.execute("BEGIN")
        session.execute("INSERT INTO PUBLIC.T VALUES (1)")
        other.do(lambda shared: shared.execute("INSERT INTO PUBLIC.T VALUES (2)"))
        session.execute(end)
        return session.number

    first, second = (run.alone(lambda session: insert_and("ROLLBACK", session)) for _ in range(2))
    assert first == second != other.do(number_of)
    with pytest.raises(TargetQueryFailed):
        run.alone(lambda session: insert_and("NONSENSE", session))
    assert run.alone(number_of) not in (first, other.do(number_of))
    assert (run.recorder.logins, other.recorder.logins) == (2, 1)
    assert other.do(lambda session: session.execute("SELECT I FROM PUBLIC.T")).rows == [(2,)] * 3


def test_a_statement_that_is_cancelled_with_others_of_its_session_is_sent_again(
    world: World, pool: SessionPool
) -> None:
    """A run that takes over a table cancels what runs in the session of the run before, which other tables may use."""
    world.emulator.hold("PUBLIC.NEIGHBOUR")
    neighbour, found = run_of(pool, "neighbour"), list[int]()

    def work() -> None:
        create = "CREATE TABLE PUBLIC.NEIGHBOUR AS SELECT 1 AS I"
        found.append(neighbour.do(lambda session: (session.execute(create), session.number)[1]))

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: world.emulator.asked_for_held() == 1, "the statement is not held")
    other = SessionPool(world.settings.snowflake)
    run_of(other).do(lambda session: session.execute(cancel_statements(run_of(pool).do(number_of))))
    other.close()
    thread.join(20)
    assert found == [run_of(pool).do(number_of)], "the session itself is fine"
    assert [sent.failed for sent in neighbour.recorder.statements] == [True, False]
