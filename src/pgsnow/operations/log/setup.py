"""Sets up, and drops, the publication and the replication slot of a configuration."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import psycopg

from pgsnow.ledger.ledger import Ledger
from pgsnow.ledger.slots.store import SlotClaim
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.errors import ConfigError, SlotBusy
from pgsnow.model.log.slot import SlotAction, server_problem
from pgsnow.model.settings.settings import Settings
from pgsnow.operations.log.inspect import LogInspection, inspect
from pgsnow.postgres.connection import Source
from pgsnow.postgres.errors import translating
from pgsnow.postgres.incremental.streaming import running_xids
from pgsnow.postgres.replication.publication import comment_of, publication_statements
from pgsnow.postgres.replication.slot import create_slot, creation, drop_slot, dropping
from pgsnow.postgres.sql import text_of
from pgsnow.sync.stream.log_spool import spool_of

SLOT_SECONDS = 60.0
"""How long a command waits for open transactions before it gives up making a slot."""


@dataclass(frozen=True, slots=True)
class LogSetup:
    """Result of a set-up. done: statements that were executed. left: those that were not, because of `--dry-run`, or
    because the role may not (denied: the server's words). made: a new slot was made. spool: `log_spool_dir`, if it was
    made or given its marker."""

    found: LogInspection
    done: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    denied: str = ""
    made: bool = False
    spool: str | None = None


def set_up(
    config: SyncConfig, settings: Settings, *, holder: str, dry_run: bool = False, new_spool: bool = False
) -> LogSetup:
    """Make the publication and the slot, or give them what they lack, and the folder `log_spool_dir`. Idempotent.
    new_spool: the folder that was made before is given up, with what waits in it.

    Tables that are not fit stay out of the publication, as the application's UPDATE and DELETE would fail. Raises
    ConfigError if no table has `mode: log`, or the server's log cannot be read; SlotNotMade, SlotBusy,
    SourceAccessDenied, SourceUnavailable, LedgerUnavailable, LogSpoolUnusable.
    """
    if not config.logged:
        raise ConfigError("no table has mode: log", advice="Write `mode: log` in the entry of a table.")
    ledger, source = Ledger(settings.ledger, config.ledger_schema), Source(settings.source)
    with closing(ledger), closing(source), closing(source.connect(read_only=False)) as conn:
        if not dry_run:
            ledger.migrate()
        found = inspect(config, ledger, conn)
        if (problem := server_problem(found.state) or found.shared) is not None:
            raise ConfigError(problem.why, advice=problem.advice)
        wanted = publication_statements(conn, found.state, found.publication, found.tables, found.ledger)
        if dry_run and not found.ledger and config.log_slot is None:
            raise ConfigError(
                "there is no ledger yet, from whose id the names of slot and publication are derived",
                advice="Write names as `log_slot` and `log_publication`, or leave out --dry-run, which creates it.",
            )
        texts = [text_of(statement) for statement in wanted]
        if dry_run:
            return LogSetup(found, left=(*texts, *_slot_statements(found, conn)))
        done, denied = _execute(conn, texts)
        made = not denied and _make_slot(config, ledger, conn, holder)
        after = inspect(config, ledger, conn)
        spool = None if denied else spool_of(config, ledger.slots, after.ledger)
        made_spool = str(spool.path) if spool is not None and spool.make(new=new_spool) else None
        return LogSetup(after, tuple(done), tuple(texts[len(done) :]), denied, made, made_spool)


def tear_down(config: SyncConfig, settings: Settings, *, holder: str) -> tuple[str, ...]:
    """Drop the slot, and the publication if this ledger made it; returns the executed statements. Idempotent.

    Tables with `mode: log` are read in the ordinary way afterwards, until a tick or `pgsnow log setup` makes a slot.
    Raises ConfigError if another configuration reads the slot; SlotBusy if a worker reads it;
    SourceAccessDenied, SourceUnavailable, LedgerUnavailable.
    """
    ledger, source = Ledger(settings.ledger, config.ledger_schema), Source(settings.source)
    with closing(ledger), closing(source), closing(source.connect(read_only=False)) as conn:
        ledger.migrate()
        found = inspect(config, ledger, conn)
        if found.shared is not None:
            raise ConfigError(found.shared.why, advice=found.shared.advice)
        claim = _claim(ledger, found, holder)
        done = []
        try:
            if (
                found.state.slot is not None
                and (found.row or config.log_slot is None)
                and drop_slot(conn, found.slot)
            ):
                done.append(text_of(dropping(found.slot)))
            ledger.slots.forget(found.slot, "it was dropped by pgsnow log drop", claim)
            published = found.state.publication
            if published is not None and published.comment == comment_of(found.ledger):
                statement = text_of(_drop(found.publication))
                with translating():
                    conn.execute(statement.encode())
                done.append(statement)
        finally:
            ledger.slots.release(claim)
        return tuple(done)


def _drop(publication: str) -> psycopg.sql.Composed:
    return psycopg.sql.SQL("DROP PUBLICATION IF EXISTS {}").format(psycopg.sql.Identifier(publication))


def _execute(conn: psycopg.Connection, statements: list[str]) -> tuple[list[str], str]:
    """Those that were executed, and why the next one was not ('': all were)."""
    done: list[str] = []
    for statement in statements:
        try:
            conn.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege as error:
            return done, error.diag.message_primary or "permission denied"
        except psycopg.Error:
            with translating():
                raise
        done.append(statement)
    return done, ""


def _slot_statements(found: LogInspection, conn: psycopg.Connection) -> list[str]:
    if found.state.slot is not None and found.verdict.action is not SlotAction.CREATE:
        return []
    dropped = [text_of(dropping(found.slot))] if found.state.slot is not None else []
    return [*dropped, text_of(creation(found.slot, conn.info.server_version))]


def _make_slot(config: SyncConfig, ledger: Ledger, conn: psycopg.Connection, holder: str) -> bool:
    """True if a slot was made. One that a worker reads at present is left alone."""
    found = inspect(config, ledger, conn)
    if found.verdict.action is not SlotAction.CREATE:
        if found.verdict.action is SlotAction.REFUSE:
            raise ConfigError(found.verdict.why, advice=found.verdict.advice)
        return False
    claim = _claim(ledger, found, holder)
    try:
        ledger.slots.begin(claim)
        if found.verdict.drop:
            drop_slot(conn, found.slot)
        lsn = create_slot(conn, found.slot, seconds=SLOT_SECONDS)
        state = found.state
        ledger.slots.new_generation(
            claim, lsn, why=found.verdict.why, unsettled=running_xids(conn), system=found.identity.system_identifier,
            timeline=found.identity.timeline, fingerprint=state.fingerprint,
        )  # fmt: skip
    finally:
        ledger.slots.release(claim)
    return True


def _claim(ledger: Ledger, found: LogInspection, holder: str) -> SlotClaim:
    claim = ledger.slots.claim(found.slot, found.publication, run_id="log", holder=holder)
    if not isinstance(claim, SlotClaim):
        raise SlotBusy(f"{claim.holder} reads the replication slot {found.slot} at present")
    return claim
