"""Concurrent writers of the demo, with the patterns of transactions that lose rows for a naive reader."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import Connection

APPLICATION = "pgsnow-demo-writer"
PAUSE_SECONDS = 0.15
LONGEST_TRANSACTION = 8.0
"""Seconds: longer than the demo's interval, so that ticks pass while it is open."""

Operation = Callable[[Connection[Any], random.Random, threading.Event], None]

INSERT_USERS = """
insert into public.users (email, name, membership, balance, profile, tags, active, born)
select md5(random()::text) || '@example.com', nullif(left(md5(random()::text), 6), ''),
       (array['free', 'plus', 'pro'])[1 + n %% 3]::public.membership, (random() * 10000)::numeric(12, 2),
       jsonb_build_object('score', random(), 'n', n), array['new', n::text], random() > 0.5, current_date - n
from generate_series(1, %s) n
"""
INSERT_CHECKINS = """
insert into public.checkins (user_id, place, distance, visit, details, token, wall_clock)
select n, 'Place ' || n, random() * 1000, n, jsonb_build_array(n, null), decode(md5(random()::text), 'hex'),
       localtimestamp
from generate_series(1, %s) n
"""
UPDATE_USERS = """
update public.users set balance = balance / 2, name = nullif(name, ''), updated_at = now()
where id in (select 1 + floor(random() * 3000)::bigint from generate_series(1, %s))
"""
UPDATE_CHECKINS = """
update public.checkins set visit = (visit + 1) %% 30000, details = jsonb_build_object('again', visit),
       last_modified = {clock}
where id in (select id from public.checkins tablesample bernoulli (5) limit %s)
"""
DELETE_USERS = """
delete from public.users where id in (select id from public.users tablesample bernoulli (5) where id > 100 limit %s)
"""
DELETE_CHECKINS = """
delete from public.checkins where id in (select id from public.checkins tablesample bernoulli (5) limit %s) returning id
"""
RETURNING_CHECKINS = """
insert into public.checkins (id, user_id, place) select id, 1, 'returned' from unnest(%s::uuid[]) id
"""
CHANGE_KEYS = """
update public.checkins set id = gen_random_uuid(), last_modified = now()
where id in (select id from public.checkins tablesample bernoulli (5) limit %s)
"""


def insert(conn: Connection[Any], dice: random.Random, _stop: threading.Event) -> None:
    with conn.transaction():
        conn.execute(INSERT_USERS, (dice.randint(1, 10),))
        conn.execute(INSERT_CHECKINS, (dice.randint(1, 10),))


def update(conn: Connection[Any], dice: random.Random, _stop: threading.Event) -> None:
    with conn.transaction():
        conn.execute(UPDATE_USERS, (dice.randint(1, 15),))


def stamp_by_clock(conn: Connection[Any], dice: random.Random, _stop: threading.Event) -> None:
    """Give each row of one statement a different watermark, later than its transaction's start."""
    with conn.transaction():
        conn.execute(UPDATE_CHECKINS.format(clock="clock_timestamp()"), (dice.randint(1, 15),))


def tie(conn: Connection[Any], dice: random.Random, _stop: threading.Event) -> None:
    """Give many rows the same watermark."""
    with conn.transaction():
        conn.execute(INSERT_CHECKINS, (dice.randint(100, 300),))
        conn.execute(UPDATE_CHECKINS.format(clock="now()"), (dice.randint(50, 100),))


def hold(conn: Connection[Any], dice: random.Random, stop: threading.Event) -> None:
    """Commit long after the watermark was set: later watermarks are in Snowflake by then."""
    with conn.transaction():
        conn.execute(INSERT_USERS, (dice.randint(1, 5),))
        stop.wait(dice.uniform(1.0, LONGEST_TRANSACTION))
        conn.execute(INSERT_CHECKINS, (dice.randint(1, 5),))


def take_number_late(conn: Connection[Any], dice: random.Random, stop: threading.Event) -> None:
    """Start early, with an early now(), and get a transaction id only at a late first write."""
    with conn.transaction():
        conn.execute("select count(*) from public.users where id < 10")
        stop.wait(dice.uniform(0.5, 3.0))
        conn.execute(UPDATE_USERS, (dice.randint(1, 10),))


def roll_back(conn: Connection[Any], dice: random.Random, _stop: threading.Event) -> None:
    with conn.transaction(force_rollback=True):
        conn.execute(INSERT_USERS, (dice.randint(1, 20),))
        conn.execute(UPDATE_CHECKINS.format(clock="now()"), (dice.randint(1, 20),))


def save_points(conn: Connection[Any], dice: random.Random, _stop: threading.Event) -> None:
    """Write in two nested transactions, each with its own transaction id: one is kept, one is rolled back."""
    with conn.transaction():
        conn.execute(INSERT_USERS, (1,))
        with conn.transaction():
            conn.execute(INSERT_CHECKINS, (dice.randint(1, 10),))
        with conn.transaction(force_rollback=True):
            conn.execute(UPDATE_USERS, (dice.randint(1, 10),))


def delete(conn: Connection[Any], dice: random.Random, _stop: threading.Event) -> None:
    """Delete rows, which leaves no watermark to read."""
    with conn.transaction():
        conn.execute(DELETE_USERS, (dice.randint(1, 5),))
        conn.execute(DELETE_CHECKINS, (dice.randint(1, 5),))


def delete_for_a_while(conn: Connection[Any], dice: random.Random, stop: threading.Event) -> None:
    """Delete rows, and insert others under the same keys: at once, or after a tick."""
    with conn.transaction():
        gone = [row[0] for row in conn.execute(DELETE_CHECKINS, (dice.randint(1, 5),))]
    stop.wait(dice.choice((0.0, dice.uniform(0.0, LONGEST_TRANSACTION))))
    with conn.transaction():
        conn.execute(RETURNING_CHECKINS, (gone,))


def change_keys(conn: Connection[Any], dice: random.Random, _stop: threading.Event) -> None:
    """Give rows another primary key: the old one is gone."""
    with conn.transaction():
        conn.execute(CHANGE_KEYS, (dice.randint(1, 5),))


HABITS: dict[Operation, int] = {
    insert: 6,
    update: 6,
    stamp_by_clock: 3,
    tie: 1,
    hold: 2,
    take_number_late: 2,
    roll_back: 2,
    save_points: 3,
    delete: 3,
    delete_for_a_while: 1,
    change_keys: 1,
}
"""Relative frequency of each."""


class Writers:
    """Threads that write until `stop`. A failure of one is kept for `stop` to raise."""

    def __init__(self, dsn: str, count: int = 4) -> None:
        self._dsn = dsn
        self._stop = threading.Event()
        self._failures: list[Exception] = []
        self._done = 0
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(
                target=self._write, args=(random.Random(seed),), name=f"writer-{seed}", daemon=True
            )
            for seed in range(count)
        ]

    @property
    def transactions(self) -> int:
        """How many have ended, one way or the other."""
        return self._done

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def check(self) -> None:
        """Raises the first failure of a writer."""
        if self._failures:
            raise self._failures[0]

    def stop(self) -> None:
        """Every transaction has ended when this returns. Raises the first failure of a writer. Idempotent."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        self.check()

    def _write(self, dice: random.Random) -> None:
        operations, weights = list(HABITS), list(HABITS.values())
        try:
            with psycopg.connect(self._dsn, autocommit=True, application_name=APPLICATION) as conn:
                while not self._stop.is_set():
                    self._once(conn, dice, dice.choices(operations, weights)[0])
                    self._stop.wait(dice.uniform(0, 2 * PAUSE_SECONDS))
        except Exception as error:  # kept for the main thread
            self._failures.append(error)

    def _once(self, conn: Connection[Any], dice: random.Random, operation: Operation) -> None:
        """Writers of the same rows in another order deadlock now and then; Postgres then rolls one of them back."""
        with contextlib.suppress(psycopg.errors.DeadlockDetected):
            operation(conn, dice, self._stop)
        with self._lock:
            self._done += 1
