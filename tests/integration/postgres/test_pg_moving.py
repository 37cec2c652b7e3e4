"""A table that is being altered, truncated or filled again while a read begins is read before it or after it, never
in between: to a snapshot older than the rewrite it would look empty."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.errors import SchemaMoved, SourceUnavailable
from pgsnow.postgres import connection
from pgsnow.postgres.catalog.describe import fingerprints
from pgsnow.postgres.read.reader import open_reader
from tests.integration.postgres.lab import Follower, Lab
from tests.progress import wait_until

FILL = (
    "insert into t (id, v, updated_at) select g, 'v', now() - interval '1 day' from generate_series(1, 100) g"
)
REWRITES = {
    "rewrite": ["alter table t alter v type varchar(50) using v || '!'"],
    "refill": ["truncate t", FILL],
}


def read(follower: Follower, checkpoint: Checkpoint | None) -> tuple[list[Any], Checkpoint]:
    """One read without a look before it, as if the lock were taken just after that look."""
    with open_reader(follower.source, follower.plan, checkpoint, follower.horizon()) as reading:
        keys = [row["id"] for page in reading.pages() for row in page.rows.to_pylist()]
        return keys, reading.checkpoint()


@contextmanager
def during(lab: Lab, statements: list[str]) -> Iterator[None]:
    """The block begins while a transaction has done this; it commits once somebody waits for the table."""
    app = lab.session()
    for statement in statements:
        app.execute(statement.encode())
    commit = threading.Thread(target=commit_once_awaited, args=(lab, app))
    commit.start()
    yield
    commit.join()


def commit_once_awaited(lab: Lab, app: psycopg.Connection[Any]) -> None:
    with lab.source.connect() as conn:
        waiting = (
            "select from pg_locks where not granted and relation = 't'::regclass"
            " and database = (select oid from pg_database where datname = current_database())"
        )
        wait_until(lambda: conn.execute(waiting).fetchone() is not None, "somebody waits", pause=0.01)
    app.commit()


@pytest.mark.parametrize("late_rows", ["lossless", "off"])
@pytest.mark.parametrize("how", list(REWRITES))
def test_a_full_read_that_begins_during_a_rewrite_finds_every_row(
    table: Lab, how: str, late_rows: str
) -> None:
    table.run(FILL)
    follower = table.follow(late_rows=late_rows)
    with during(table, REWRITES[how]):
        keys, _ = read(follower, None)
    assert sorted(keys) == list(range(1, 101))


def test_an_incremental_read_that_begins_during_a_rewrite_finds_what_changed(table: Lab) -> None:
    table.run(FILL)
    follower = table.follow()
    _, checkpoint = read(follower, None)
    table.run("update t set v = 'new', updated_at = now() where id <= 10")
    with during(table, REWRITES["rewrite"]):
        keys, after = read(follower, checkpoint)
    later, _ = read(follower, after)
    assert {*keys, *later} >= set(range(1, 11))


def test_a_table_that_was_altered_since_its_plan_is_not_read(table: Lab) -> None:
    """The fingerprint is compared under the lock, so nothing can change after it."""
    follower = table.follow()
    (fingerprint,) = fingerprints(table.admin, [follower.plan.source.name]).values()
    follower.plan = replace(follower.plan, fingerprint=fingerprint)
    read(follower, None)
    with during(table, ["alter table t add more int"]), pytest.raises(SchemaMoved) as caught:
        read(follower, None)
    assert caught.value.transient


def test_a_table_that_stays_locked_is_a_matter_of_waiting(
    table: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LOCK_TIMEOUT", "100ms")
    follower = table.follow()
    table.session().execute("lock table t in access exclusive mode")
    for tried in (lambda: read(follower, None), follower.tick):
        with pytest.raises(SourceUnavailable) as caught:
            tried()
        assert caught.value.code == "55P03"
        assert "pg_locks" in caught.value.advice


def test_the_right_to_read_a_root_is_enough(lab: Lab, plain_role: str) -> None:
    """The lock is taken on the leaves too; no right to them is needed."""
    lab.run(
        "create table t (id int primary key, v text, updated_at timestamptz not null) partition by range (id)",
        "create table t1 partition of t for values from (0) to (1000)", FILL,
        f"grant select on t to {plain_role}",
    )  # fmt: skip
    follower = lab.follow(user=plain_role)
    assert len(read(follower, None)[0]) == 100
