"""The end of a phase: everything is quiet, what was stopped goes on, and both sides are compared."""

from __future__ import annotations

import re
from contextlib import closing
from typing import Any

import psycopg

from pgsnow.ledger.requests.requests import RequestAction
from pgsnow.model.report import SyncReport
from pgsnow.sync.engine import Engine
from tests.stress.system.perform import Episode
from tests.stress.system.tables import BY_NAME, PUBLICATION
from tests.world import World

TICKS = 15
"""Ticks after which nothing may fail or be left to do. Some failures need one each: a lease of a process that was
killed, a fence from a clock that was ahead, a table that is altered, a target that was dropped."""
PASSING = ("DeletesUnconfirmed",)


class Unsettled(Exception):
    """Something has failed that must not, or both sides differ."""


def settle(episode: Episode) -> None:
    """Raises Unsettled."""
    problems = episode.workers.stop_all() + episode.problems
    _quiet(episode)
    world = World(dict(episode.env), episode.servers.emulator, episode.folder)
    try:
        world.options = {key: value for key, value in episode.options.items() if key != "budget"}
        world.tables = [_final(entry) for entry in episode.entries.values()]
        problems += unexpected(world)
        with closing(world.new_engine()) as engine:
            _converge(episode, world, engine)
        problems += _left(world)
        problems += _differences(world)
    finally:
        world.close()
    if problems:
        raise Unsettled("\n".join(problems))


def _quiet(episode: Episode) -> None:
    """No prepared transaction is left, and each table has a change, so that a target that was dropped is noticed."""
    with psycopg.connect(episode.env["POSTGRES_DSN"], autocommit=True) as admin:
        gids = admin.execute(
            "select gid from pg_prepared_xacts where database = current_database()"
        ).fetchall()
        for (gid,) in gids:
            admin.execute(f"rollback prepared '{gid}'".encode())
        for name in episode.entries:
            admin.execute(f"insert into {name} (n, t) values (1, 'last')".encode())
        published = {name for (name,) in admin.execute("select tablename from pg_publication_tables")}
        for name in set(episode.entries) - published:
            admin.execute(f"alter publication {PUBLICATION} add table {name}".encode())


def _final(entry: dict[str, Any]) -> dict[str, Any]:
    """As the episode has left it, but enabled, and with a search for deleted rows."""
    grows = BY_NAME[entry["source"].removeprefix("public.")].grows
    kept = {key: value for key, value in entry.items() if key != "enabled"}
    return kept if grows or kept.get("deletes") == "soft" else {**kept, "deletes": "hard"}


def _converge(episode: Episode, world: World, engine: Engine) -> None:
    engine.ledger.migrate()
    engine.ledger.requests.add(None, RequestAction.RESUME, by="stress")
    _tick_until(engine, "is synced", load=True)
    if edited := [f"public.{name}" for name in sorted(episode.edited)]:
        _tick_until(engine, "is synced again", tables=edited, resync=True)
        episode.edited.clear()
    deleting = [f"public.{name}" for name in episode.entries if not BY_NAME[name].grows]
    report = _tick_until(engine, "has its deletes confirmed", tables=deleting, confirm_deletes=True)
    episode.counts["rows compared"] += sum(
        world.sql(f"select count(*) from {name}")[0][0] for name in episode.entries
    )
    for _ in range(TICKS):
        report = engine.tick(requested=True, load=True)
        if all(table.status in ("idle", "not_due") for table in report.tables):
            break
    else:
        raise Unsettled(f"there is still something to do: {_states(report)}")
    engine.remove_loaded_files()


def _tick_until(engine: Engine, what: str, **options: Any) -> SyncReport:
    """Ticks until one is without failures. Raises Unsettled."""
    failures: list[Any] = []
    for _ in range(TICKS):
        report = engine.tick(requested=True, **options)
        failures = [t for t in report.tables if t.error_type not in (None, *PASSING) or t.status == "locked"]
        if not failures:
            return report
    raise Unsettled(f"after {TICKS} ticks not each table {what}: {_states(report)}")


def _states(report: SyncReport) -> list[Any]:
    return [
        (t.table, str(t.status), t.error_type, t.error, t.events)
        for t in report.tables
        if t.error or t.status != "idle"
    ]


def unexpected(world: World) -> list[str]:
    """Errors in the log of runs that no situation explains."""
    found = world.sql(
        "select error_type, source_table, min(error), count(*) from sync_logs where error is not null"
        " group by 1, 2 order by 1, 2"
    )
    return [
        f"{count} runs of {table}: {error}"
        for kind, table, error, count in found
        if is_unexpected(kind, error)
    ]


def is_unexpected(kind: str | None, error: str) -> bool:
    return kind in (
        None,
        "UnexpectedError",
        "LoadMismatch",
        "StagedRowsLost",
        "ChangesMalformed",
        "LogMalformed",
    ) or bool(re.search(r"\bunexpected \w+Error", error))


def _left(world: World) -> list[str]:
    """Files, staging tables, leases and requests that nothing will take away."""
    leases = world.sql("select source_table from sync_watermarks where lease_expires > clock_timestamp()")
    requests = world.sql(
        "select action, source_table, state, error from sync_requests where finished_at is null"
    )
    trouble = world.sql("select slot, trouble from sync_slots where trouble is not null")
    left = {"staging": world.leftovers(), "leases": leases, "requests": requests, "unread log": trouble}
    return [f"left: {what}: {found}" for what, found in left.items() if found]


def _differences(world: World) -> list[str]:
    masked = {entry["source"] for entry in world.tables if entry.get("transform")}
    plain = [entry["source"] for entry in world.tables if entry["source"] not in masked]
    found = world.differences(*plain) if plain else {}
    found |= world.differences(*masked, cells={"t": "null::text"}) if masked else {}
    return [f"{table}: {len(some)} differences, such as {some[:3]}" for table, some in found.items() if some]
