"""The log is read up to what the standbys have that may take over (synchronized_standby_slots).

https://www.postgresql.org/docs/current/runtime-config-replication.html"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

import psycopg

from pgsnow.model.errors import SlotBusy
from pgsnow.postgres.replication.slot import standby_lag

STANDBY_SECONDS = 3.0
"""How long a tick waits for a standby that receives nothing."""


def wait_for_standbys(
    conn: psycopg.Connection, slots: Collection[str], until: int, wait: Callable[[float], object]
) -> int | None:
    """How far the standbys with these slots are, if that is still before `until`; None: they are there, and the server
    sends the log to there. wait: waits for this many seconds. Raises SlotBusy if one of them receives nothing."""
    found = first = standby_lag(conn, slots)
    deadline = time.monotonic() + STANDBY_SECONDS
    while found.received < min(until, found.flushed):
        if time.monotonic() >= deadline:
            if found.received > first.received:
                return found.received
            raise SlotBusy(
                f"the server sends no log before the standby with the slot {found.slot} (synchronized_standby_slots)"
                " has received it, and it receives none",
                advice="Start that standby, or take its slot out: ALTER SYSTEM SET synchronized_standby_slots = '';"
                " SELECT pg_reload_conf();",
            )
        wait(0.05)
        found = standby_lag(conn, slots)
    return None
