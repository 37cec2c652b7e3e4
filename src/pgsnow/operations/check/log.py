"""Check of what tables with `mode: log` need: server, role, publication, slot, replica identities."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import psycopg

from pgsnow.ledger.errors import unless_missing
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.options import LogReader
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.errors import PgsnowError
from pgsnow.model.log.slot import SlotAction, server_problem
from pgsnow.operations.check.result import CheckResult, failed, ok, warning
from pgsnow.operations.log.inspect import LogInspection, inspect
from pgsnow.postgres.catalog.log_rights import LogFacts, log_facts
from pgsnow.postgres.errors import translating
from pgsnow.sync.stream.log_spool import LogSpool, spool_of

LOG = "log"
_SETUP = "pgsnow log setup"
MEGABYTE = 1 << 20


def check_log(config: SyncConfig, ledger: Ledger, conn: psycopg.Connection) -> Iterator[CheckResult]:
    """The results; without tables with `mode: log`, only about slots that are left. Raises SourceUnavailable,
    LedgerUnavailable."""
    yield from _unknown_slots(ledger, conn)
    if not config.logged:
        yield from _left_slots(ledger, conn)
        return
    found, facts = inspect(config, ledger, conn), log_facts(conn)
    yield from _role(facts, config)
    yield _slot(found)
    if (spool := spool_of(config, ledger.slots, found.ledger)) is not None:
        yield _spool(spool)
    for name, problem in found.problems.items():
        fix = " ".join(problem.fixes) or "Write another `mode`."
        # The table is synced all the same, without the log.
        yield warning(name, f"cannot be read from the log: {problem.why}", fix)
    named = {str(table.source): table.name for table in config.logged}
    for source, why in found.verdict.unpublished.items():
        if named[source] not in found.problems:
            yield warning(named[source], f"is not read from the log yet: {why}", _SETUP)
    if server_problem(found.state) is None:
        yield from _limits(found, facts)


def _left_slots(ledger: Ledger, conn: psycopg.Connection) -> Iterator[CheckResult]:
    """Slots that nothing reads any more, and that make the server keep its log."""
    made: list[str] = []
    with suppress(PgsnowError):  # a ledger of an older version knows no slots
        made = [row.known.name for row in ledger.slots.all() if row.known.generation]
    with translating():
        query = "select slot_name from pg_replication_slots where slot_name = any (%s)"
        left = [name for (name,) in conn.execute(query, [made]).fetchall()] if made else []
    for name in left:
        yield warning(
            LOG,
            f"no table has mode: log any more, and the slot {name} still holds back the source's log",
            "pgsnow log drop",
        )


def _unknown_slots(ledger: Ledger, conn: psycopg.Connection) -> Iterator[CheckResult]:
    """Slots that nothing reads, and that have the name of a slot of another ledger, which may be gone."""
    known: list[str] = []
    with suppress(PgsnowError):
        known = [row.known.name for row in ledger.slots.all()]
    query = (
        "select slot_name, pg_size_pretty(pg_current_wal_insert_lsn() - restart_lsn) from pg_replication_slots"
        " where slot_name ~ '^pgsnow_[0-9a-f]{12}$' and not slot_name = any (%s) and not active"
        " and database = current_database() and not pg_is_in_recovery()"
    )
    with translating():
        found = conn.execute(query, [known]).fetchall()
    for name, held in found:
        yield warning(
            LOG,
            f"the slot {name} is of a ledger that is not this one, nothing reads it now, and it holds back"
            f" {held or 'no'} log",
            f"If that ledger is gone: SELECT pg_drop_replication_slot('{name}');",
        )


def _role(facts: LogFacts, config: SyncConfig) -> Iterator[CheckResult]:
    if not facts.may_replicate:
        yield failed(LOG, f"role {facts.role} may not use replication", facts.grant)
    if facts.free_senders <= 0 and config.log_reader is not LogReader.PEEK:
        yield warning(
            LOG,
            "every place of max_wal_senders is taken: the log is read with SQL, which costs the source more",
            "Raise max_wal_senders, which needs a restart.",
        )


def _slot(found: LogInspection) -> CheckResult:
    verdict, retained = found.verdict, found.state.retained // MEGABYTE
    if verdict.action is SlotAction.REFUSE:
        return failed(LOG, f"the log is not read: {verdict.why}", verdict.advice)
    if verdict.action is SlotAction.CREATE:
        fix = _SETUP if not found.known.generation else "Nothing: the next tick makes it, and loses nothing."
        return warning(LOG, verdict.why, verdict.advice or fix)
    if found.known.trouble:
        return warning(LOG, f"the log is not read: {found.known.trouble}", "pgsnow log status")
    held = f"; it holds back {retained:,} MB of log, of at most {found.most_retained // MEGABYTE:,} MB"
    if found.state.retained > found.most_retained // 2:
        by = f" The oldest open transaction is {found.oldest}." if found.oldest else ""
        return warning(LOG, f"slot {found.slot}{held}", f"pgsnow log status.{by}")
    return ok(LOG, f"slot {found.slot}, publication {found.publication}{held}")


def _spool(spool: LogSpool) -> CheckResult:
    """Whether changes can be kept while Snowflake is away. A ledger of an older version knows no folder."""
    problem = unless_missing(lambda: spool.problem() or "", "the ledger has not been migrated")
    if problem:
        return failed(
            LOG,
            f"log_spool_dir cannot be used: {problem}",
            "Mount the volume, or run `pgsnow log setup`, which makes the folder (--new-spool if it is lost).",
        )
    held = f"{spool.size() // MEGABYTE:,} MB of at most {spool.most // MEGABYTE:,} MB"
    return ok(LOG, f"log_spool_dir {spool.path} is the one that the ledger knows, and holds {held}")


def _limits(found: LogInspection, facts: LogFacts) -> Iterator[CheckResult]:
    state = found.state
    if state.keep is None:
        yield warning(
            LOG,
            "max_slot_wal_keep_size is not set: while no worker runs, nothing limits the log that the slot holds back",
            "ALTER SYSTEM SET max_slot_wal_keep_size = '16GB'; SELECT pg_reload_conf();",
        )
    if facts.standby_slots and facts.synchronized == "":
        names = ", ".join(facts.standby_slots)
        yield warning(
            LOG,
            f"standbys are connected ({names}), and one that takes over may lack log that was read already: the tables"
            " are then read in the ordinary way",
            f"ALTER SYSTEM SET synchronized_standby_slots = '{names}'; SELECT pg_reload_conf(); and"
            " sync_replication_slots = on on the standbys.",
        )
    if facts.idle_timeout not in (None, "0"):
        yield warning(
            LOG,
            f"idle_replication_slot_timeout is {facts.idle_timeout}: the server gives up a slot that is not read for"
            " that long",
            "ALTER SYSTEM SET idle_replication_slot_timeout = 0; or more than the longest pause of the workers.",
        )
