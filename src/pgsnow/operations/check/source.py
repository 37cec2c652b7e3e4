"""Check of Postgres: version, clock, and everything that finding every changed row depends on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg

from pgsnow.model.duration import approximate_duration
from pgsnow.operations.check.result import CheckResult, ok, warning
from pgsnow.postgres.any_bytes import any_bytes
from pgsnow.postgres.connection import Source

OLDEST_VERSION = 12
LONG_SECONDS = 3600
"""A transaction that is open for longer holds back every table's lower bound, so each run reads more rows
again."""
SKEW_SECONDS = 10.0
XID_AGE_LIMIT = 1_500_000_000
"""Postgres rejects writes at about 2.1 billion; a read window of 2**31 xids leads to a full read."""

# PostgreSQL docs: "System Administration Functions", "Predefined Roles", "Run-time Statistics".
FACTS = """
select current_setting('server_version'), current_setting('server_version_num')::int, pg_is_in_recovery(),
       current_setting('track_activities')::bool, current_setting('wal_level'),
       pg_has_role(current_user, 'pg_read_all_stats', 'usage'), quote_ident(current_user),
       (select age(datfrozenxid) from pg_database where datname = current_database()),
       current_setting('track_counts')::bool and not exists (
           select from pg_db_role_setting where array_to_string(setconfig, ',') ~* 'track_counts=(of|f|n|0)')
"""
PREPARED = """
select gid, extract(epoch from clock_timestamp() - prepared)::float8
from pg_prepared_xacts where database = current_database() order by prepared
"""
LONG = """
select pid, coalesce(usename, '?'), coalesce(application_name, ''),
       extract(epoch from clock_timestamp() - xact_start)::float8
from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
  and xact_start < clock_timestamp() - make_interval(secs => %s)
order by xact_start
"""


class Facts(NamedTuple):
    """One row of FACTS."""

    version: str
    version_number: int
    standby: bool
    track_activities: bool
    wal_level: str
    may_see_all: bool
    role: str
    xid_age: int
    track_counts: bool


def check_source(conn: psycopg.Connection[Any], display: str) -> list[CheckResult]:
    """display: the server's name without its password. Raises psycopg.Error."""
    with any_bytes(conn):  # names of roles may be in the encoding of another database
        row = conn.execute(FACTS).fetchone()
        facts = Facts(*row) if row else None
        if facts is None:
            raise psycopg.InternalError("no answer")
        return [
            _version(facts, display),
            _clock(conn),
            *_preconditions(facts),
            *_prepared(conn),
            *_long(conn),
        ]


def check_copy(source: Source) -> CheckResult:
    """Report the channel that reads rows, after its self-test. Raises SourceUnavailable, SourceAccessDenied."""
    with source.copy_connection() as connection:
        channel = connection.channel
    detail = f"rows are read by: {channel}"
    if channel.fell_back:
        return warning(
            "copy",
            detail,
            "Nothing is lost; reading takes more CPU time. Install the tested versions"
            " (`pgsnow explain settings#postgres`), or set POSTGRES_COPY=libpq to accept it.",
        )
    return ok("copy", detail)


def _version(facts: Facts, display: str) -> CheckResult:
    detail = f"{display}, PostgreSQL {facts.version}"
    if facts.version_number < OLDEST_VERSION * 10_000:
        return warning(
            "postgres", f"{detail}: older than the versions that pgsnow is tested with", "Upgrade Postgres."
        )
    return ok("postgres", detail)


def _clock(conn: psycopg.Connection[Any]) -> CheckResult:
    before = time.time()
    row = conn.execute("select extract(epoch from clock_timestamp())::float8").fetchone()
    here = (before + time.time()) / 2
    there = row[0] if row else here
    if abs(there - here) > SKEW_SECONDS:
        direction = "ahead of" if there > here else "behind"
        return warning(
            "clock",
            f"Postgres' clock is {approximate_duration(abs(there - here))} {direction} this machine's",
            "Synchronize both clocks by NTP. Only the lag is wrong: the sync uses the clock of Postgres.",
        )
    return ok(
        "clock",
        f"within {SKEW_SECONDS:.0f} s of Postgres' ({datetime.fromtimestamp(there, UTC):%H:%M:%S} UTC)",
    )


def _preconditions(facts: Facts) -> Iterator[CheckResult]:
    if facts.standby:
        yield warning(
            "primary",
            "this is a standby: it cannot tell which transactions the primary has open, so tables are read in full,"
            " and its counters do not show deleted rows: they are searched for at the bound of sweep_every alone",
            "Point POSTGRES_DSN at the primary.",
        )
    else:
        yield ok("primary", f"not a standby; wal_level={facts.wal_level} is sufficient")
    if not facts.track_activities:
        yield warning(
            "track_activities",
            "is off: open transactions show no start time; pg_locks is used instead, which reads some rows again",
            "ALTER SYSTEM SET track_activities = on; SELECT pg_reload_conf();",
        )
    if not facts.track_counts:
        yield warning(
            "track_counts",
            "is off, at least for some roles: no counter shows the rows that they delete, which are searched for at"
            " the bound of sweep_every alone",
            "ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf(); and ALTER ROLE or DATABASE … RESET"
            " track_counts where it is set. Autovacuum needs it, too.",
        )
    if facts.may_see_all:
        yield ok("activity", f"{facts.role} may see every session (pg_read_all_stats)")
    else:
        yield warning(
            "activity",
            f"{facts.role} may not see other sessions: pg_locks is used instead, which reads some rows again",
            f"GRANT pg_read_all_stats TO {facts.role};",
        )
    if facts.xid_age > XID_AGE_LIMIT:
        yield warning(
            "transaction ids",
            f"the oldest is {facts.xid_age:,} transactions old",
            "VACUUM FREEZE; see autovacuum.",
        )


def _prepared(conn: psycopg.Connection[Any]) -> Iterator[CheckResult]:
    rows = conn.execute(PREPARED).fetchall()
    if not rows:
        yield ok("prepared transactions", "none")
    for gid, seconds in rows:
        quoted = gid.replace("'", "''")
        yield warning(
            "prepared transactions",
            f"{gid!r} was prepared {approximate_duration(seconds)} ago: each run reads more rows until it ends",
            f"COMMIT PREPARED '{quoted}'; or ROLLBACK PREPARED '{quoted}';",
        )


def _long(conn: psycopg.Connection[Any]) -> Iterator[CheckResult]:
    rows = conn.execute(LONG, (LONG_SECONDS,)).fetchall()
    if not rows:
        yield ok("long transactions", f"none is older than {approximate_duration(LONG_SECONDS)}")
    for pid, user, application, seconds in rows:
        yield warning(
            "long transactions",
            f"pid {pid} ({user}, {application or 'no application name'}) has been in one for "
            f"{approximate_duration(seconds)}: until it ends, each run reads more rows again",
            f"End it, or: SELECT pg_terminate_backend({pid});",
        )
