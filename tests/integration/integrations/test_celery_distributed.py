"""`execution: distributed`: a tick settles what is idle and sends a message a busy table; whoever takes it
runs it."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from celery import Celery
from kombu import Message

from pgsnow.integrations.celery.install import TASK_NAME, install
from pgsnow.model.config.sync_config import SyncConfig, parse_config
from pgsnow.model.settings.settings import Settings
from tests.world import World

NAMES = ("users", "orders", "notes")
_HOSTS = itertools.count()


def config_of(*tables: dict[str, Any], **top: Any) -> SyncConfig:
    found = tables or tuple({"source": f"public.{name}"} for name in NAMES)
    full = [
        {**table, "target": table["source"].replace("public", "analytics"), "watermark_column": "updated_at"}
        for table in found
    ]
    return parse_config({"execution": "distributed", **top, "tables": full}, file="sync_config.yaml", env={})


def host(config: SyncConfig, settings: Settings | None = None, **options: Any) -> Celery:
    """An application with a broker of its own in this process's memory, and no worker."""
    app = Celery("host", broker="memory://")
    app.conf.task_default_queue = f"default-{next(_HOSTS)}"
    install(app, config, settings=settings, **options)
    app.finalize()
    return app


def taken(app: Celery, queue: str | None = None) -> list[Message]:
    """The messages that wait in a queue, the first sent first."""
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        channel.queue_declare(queue or app.conf.task_default_queue)
        found = iter(lambda: channel.basic_get(queue or app.conf.task_default_queue, no_ack=True), None)
        return list(found)


def tables_of(messages: list[Message]) -> list[str]:
    return [message.payload[1]["table"] for message in messages]


@pytest.fixture
def source(database: str) -> Any:
    """Three tables: users is the largest, notes is empty."""
    with psycopg.connect(database, autocommit=True) as conn:
        for name in NAMES:
            conn.execute(
                f"create table {name} (id int primary key, updated_at timestamptz default now(), t text)"
            )
        conn.execute("insert into users select n, now(), repeat('x', 500) from generate_series(1, 2000) n")
        conn.execute("insert into orders select n from generate_series(1, 10) n")
        yield conn


def tick(app: Celery) -> dict[str, Any]:
    ended = app.tasks[TASK_NAME].apply()
    assert ended.successful(), ended.result
    return dict(ended.result)


def run(app: Celery, table: str) -> dict[str, Any]:
    """Run a table's message as a worker does."""
    ended = app.tasks[f"{TASK_NAME}.table"].apply(kwargs={"table": table})
    assert ended.successful(), ended.result
    return dict(ended.result)


def test_a_tick_sends_a_message_a_busy_table_the_smallest_first_and_holds_none(
    source: Any, settings: Settings
) -> None:
    app = host(config_of(sync_interval_seconds=45), settings)
    tick(app)
    messages = taken(app)
    assert tables_of(messages) == ["public.notes", "public.orders", "public.users"]
    assert {message.headers["task"] for message in messages} == {f"{TASK_NAME}.table"}
    assert all(message.properties["expiration"] for message in messages), "the next tick asks again"
    assert source.execute(
        "select count(*) from sync_watermarks where lease_holder is not null"
    ).fetchone() == (0,)
    assert source.execute("select count(*) from sync_logs").fetchone() == (0,), "nothing was run yet"


def test_tables_without_changes_are_settled_by_the_tick_and_cost_no_message(
    source: Any, settings: Settings
) -> None:
    app = host(config_of(sync_interval_seconds=0.001), settings)
    tick(app)
    for message in taken(app):
        run(app, *tables_of([message]))
    assert tick(app)["sync_success_count"] == 3
    assert taken(app) == []
    source.execute("insert into notes values (1)")
    assert tick(app)["sync_success_count"] == 2
    assert tables_of(taken(app)) == ["public.notes"]


def test_a_table_with_deleted_rows_alone_is_sent_and_its_worker_deletes_them(
    source: Any, settings: Settings
) -> None:
    """Nothing changed but that rows are gone: the tick finds that by the counters, and a worker's run deletes them."""
    names = {"source": "public.orders", "sweep_share": 1}
    app = host(config_of(names, sync_interval_seconds=0.001), settings)
    tick(app)
    run(app, *tables_of(taken(app)))
    source.execute("delete from orders where id <= 4")
    source.execute("select pg_stat_force_next_flush()")
    tick(app)
    assert tables_of(taken(app)) == ["public.orders"]
    run(app, "public.orders")
    deleted = source.execute("select rows_deleted from sync_logs order by started_at desc limit 1")
    assert deleted.fetchone() == (4,)
    assert tick(app)["sync_success_count"] == 1
    assert taken(app) == []


def test_a_message_that_comes_twice_runs_its_table_once(source: Any, settings: Settings) -> None:
    app = host(config_of(), settings)
    tick(app)
    assert run(app, "public.orders")["rows_processed"] == {"public.orders": 10}
    source.execute("insert into orders values (11)")
    assert run(app, "public.orders")["sync_success_count"] == 0
    assert source.execute("select count(*) from sync_logs").fetchone() == (1,)


def test_a_table_that_needs_a_fix_is_recorded_and_the_others_are_sent(
    source: Any, settings: Settings
) -> None:
    source.execute("alter table orders drop column updated_at")
    app = host(config_of(), settings)
    assert tick(app)["sync_failure_count"] == 1
    assert tables_of(taken(app)) == ["public.notes", "public.users"]
    row = source.execute("select last_status from sync_watermarks where source_table = 'public.orders'")
    assert row.fetchone() == ("error",)


@pytest.mark.parametrize(
    ("options", "queues"),
    [
        ({}, {None: ["public.notes", "public.users"], "slow": ["public.orders"]}),
        ({"queue": "sync"}, {"sync": ["public.notes", "public.users"], "slow": ["public.orders"]}),
        (
            {"queue": "sync", "table_queue": "tables"},
            {"tables": ["public.notes", "public.users"], "sync": []},
        ),
    ],
)
def test_a_tables_own_queue_comes_first_and_then_those_of_install(
    source: Any, settings: Settings, options: dict[str, Any], queues: dict[str | None, list[str]]
) -> None:
    tables = [{"source": f"public.{name}"} for name in NAMES]
    tables[1]["queue"] = "slow"
    app = host(config_of(*tables), settings, **options)
    tick(app)
    assert {queue: tables_of(taken(app, queue)) for queue in queues} == queues


def test_celerys_own_routes_lead_what_names_no_queue(source: Any, settings: Settings) -> None:
    """By the task's name, or by a function that looks at the table."""
    app = Celery("host", broker="memory://")
    app.conf.task_routes = (
        lambda name, args, kwargs, options, task=None, **_: (
            {"queue": "big"} if (kwargs or {}).get("table") == "public.users" else None
        ),
        {"worker.sync.*": {"queue": "small"}},
    )
    install(app, config_of(), settings=settings)
    app.finalize()
    tick(app)
    assert tables_of(taken(app, "big")) == ["public.users"]
    assert tables_of(taken(app, "small")) == ["public.notes", "public.orders"]


@pytest.fixture
def large(source: Any, settings: Settings) -> Celery:
    """An application whose users are read in many chunks, two at once."""
    config = config_of(
        {"source": "public.users", "max_mb_per_chunk": 0.3, "max_parallel_chunks": 2},
        {"source": "public.notes"},
        sync_interval_seconds=45,
    )
    return host(config, settings)


def chunks(source: Any) -> list[tuple[str, int]]:
    return list(source.execute("select state, attempts from sync_chunks order by number").fetchall())


def load(app: Celery, message: Message | None = None) -> None:
    """Run a chunk's message as a worker does."""
    expires = message.headers["expires"] if message else None
    task = app.tasks[f"{TASK_NAME}.chunk"]
    task.push_request(args=(), kwargs={}, expires=expires, called_directly=False, retries=0, hostname="here")
    try:
        task.run(table="public.users")
    finally:
        task.pop_request()


def names_of(messages: list[Message]) -> list[str]:
    return [message.headers["task"].rpartition(".")[2] for message in messages]


def test_a_large_table_is_loaded_by_any_worker_that_takes_its_messages_and_ended_by_a_run_of_its_own(
    large: Celery, source: Any
) -> None:
    """No more messages wait than chunks may be loaded at once: other tables' come in between."""
    tick(large)
    taken(large)
    run(large, "public.users")
    messages = taken(large)
    assert names_of(messages) == ["chunk", "chunk"]
    assert source.execute(
        "select count(*) from sync_watermarks where lease_holder is not null"
    ).fetchone() == (0,)
    source.execute("insert into users values (5000), (5001)")
    while messages and names_of(messages[:1]) == ["chunk"]:
        load(large, messages.pop(0))
        follow = taken(large)
        assert len(follow) <= 1
        messages += follow
    assert names_of(messages) == ["table"], "the worker of the last chunk sends the message for the end"
    assert len(chunks(source)) >= 4
    assert set(chunks(source)) == {("done", 1)}
    run(large, "public.users")
    assert taken(large) == []
    row = source.execute(
        "select last_status, backfill from sync_watermarks where source_table = 'public.users'"
    )
    assert row.fetchone() == ("ok", None)


def test_the_next_chunks_message_ends_with_the_tick_unless_that_has_passed(large: Celery) -> None:
    """So what waits when a tick counts who is at work is gone soon, and who is at work goes on."""
    run(large, "public.users")
    first, _ = taken(large)
    load(large, first)
    (second,) = taken(large)
    assert abs(moment(second) - moment(first)).total_seconds() < 1
    first.headers["expires"] = "2020-01-01T00:00:00+00:00"
    load(large, first)
    (third,) = taken(large)
    assert 40 < (moment(third) - datetime.now(UTC)).total_seconds() <= 45


def test_a_tick_sends_what_lost_messages_asked_for(large: Celery, source: Any) -> None:
    run(large, "public.users")
    taken(large)
    load(large)
    taken(large)  # and nobody does anything with them
    tick(large)
    assert tables_of(taken(large)) == ["public.notes", "public.users"]
    run(large, "public.users")
    assert names_of(taken(large)) == ["chunk", "chunk"]
    assert [state for state, _ in chunks(source)].count("done") == 1


def test_a_message_too_many_ends_without_a_next_one(large: Celery, source: Any) -> None:
    run(large, "public.users")
    count = len(chunks(source))
    for _ in range(count):
        load(large)
    messages = taken(large)
    load(large)
    assert taken(large) == []
    assert names_of(messages).count("table") == 1


def test_a_table_that_is_altered_while_its_chunks_are_loaded_is_run_again(large: Celery, source: Any) -> None:
    run(large, "public.users")
    taken(large)
    source.execute("alter table users add column more int")
    load(large)
    assert names_of(taken(large)) == ["table"]
    run(large, "public.users")
    assert names_of(taken(large)) == ["chunk", "chunk"]
    assert set(chunks(source)) == {("open", 0)}


def test_a_chunk_that_needs_a_fix_leaves_its_error_with_the_table(large: Celery, source: Any) -> None:
    run(large, "public.users")
    taken(large)
    source.execute("alter table users rename column updated_at to changed_at")
    load(large)
    assert taken(large) == []
    row = source.execute(
        "select last_status, last_error from sync_watermarks where source_table = 'public.users'"
    )
    status, error = row.fetchone()
    assert status == "error"
    assert "changed_at" in error


def moment(message: Message) -> datetime:
    return datetime.fromisoformat(message.headers["expires"])


def test_without_it_there_is_one_task_and_no_message() -> None:
    app = host(config_of(execution="single"))
    assert [name for name in app.tasks if name.startswith("worker.sync")] == [TASK_NAME]


@pytest.mark.parametrize("execution", ["single", "distributed"])
def test_tables_of_the_log_are_loaded_by_the_tick_that_reads_it(world: World, execution: str) -> None:
    """A table that is not read from the log yet costs a message, and joins in its run. From then on the tick reads the
    log once for all tables and loads their changes itself, deleted rows too, in both kinds of execution."""
    world.sql("create table notes (id int primary key, t text); insert into notes values (1, 'a'), (2, 'b')")
    world.sql("insert into users (id, name) values (1, 'a'), (2, 'b')")
    world.sql("create publication pgsnow_celery for table users, notes")
    world.tables = [
        {"source": f"public.{name}", "target": f"analytics.{name}", "mode": "log", "pk": "id"}
        for name in ("users", "notes")
    ]
    world.options = {
        "execution": execution,
        "log_publication": "pgsnow_celery",
        "sync_interval_seconds": 0.001,
    }
    app = host(world.config, world.settings)
    tick(app)
    first = taken(app) if execution == "distributed" else []
    assert len(first) == (2 if execution == "distributed" else 0)
    for message in first:
        run(app, *tables_of([message]))
    world.assert_equal()
    for name in ("users", "notes"):
        world.sql(f"delete from {name} where id = 1; insert into {name} (id) values (3)")
    assert tick(app)["sync_success_count"] == 2
    assert execution == "single" or taken(app) == []
    world.assert_equal()
    world.sql("select pg_drop_replication_slot(slot) from sync_slots")
