"""Everything about the log of a configuration: the server, the slot, the publication and the tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from pgsnow.ledger.errors import unless_missing
from pgsnow.ledger.ledger import Ledger
from pgsnow.ledger.slots.store import SlotRow
from pgsnow.model.checkpoint import ServerIdentity
from pgsnow.model.config.sync_config import SyncConfig, TableConfig
from pgsnow.model.errors import PgsnowError
from pgsnow.model.log.sharing import shared_with
from pgsnow.model.log.slot import KnownSlot, LogState, SlotVerdict, slot_verdict
from pgsnow.model.table import SourceName
from pgsnow.model.table_key import key_of
from pgsnow.postgres.catalog.describe import describe
from pgsnow.postgres.errors import translating
from pgsnow.postgres.incremental.horizon import take_horizon
from pgsnow.postgres.replication.fingerprint import inspect_log
from pgsnow.postgres.replication.publication import IdentityProblem, identity_problems
from pgsnow.postgres.replication.slot import OpenTransaction, oldest_transaction
from pgsnow.postgres.replication.values.row_condition import why_not_of_row


@dataclass(frozen=True, slots=True)
class LogInspection:
    """row: the slot in the ledger; None: it has none yet. verdict: what a tick would do. oldest: the oldest open
    transaction. problems: tables that cannot be read from the log as they are. tables: those that can. shared: the
    refusal of a slot that another configuration reads."""

    ledger: str
    slot: str
    publication: str
    state: LogState
    identity: ServerIdentity
    row: SlotRow | None
    verdict: SlotVerdict
    oldest: OpenTransaction | None
    problems: Mapping[str, IdentityProblem]
    tables: frozenset[SourceName]
    most_retained: int
    shared: SlotVerdict | None = None

    @property
    def known(self) -> KnownSlot:
        """The slot as the ledger knows it."""
        return self.row.known if self.row else KnownSlot(self.slot, self.publication)


def inspect(config: SyncConfig, ledger: Ledger, conn: psycopg.Connection) -> LogInspection:
    """Look at the server and the ledger; nothing is changed. Raises SourceUnavailable, LedgerUnavailable."""
    owner = unless_missing(lambda: ledger.checkpoints.owners()[0], "")
    slot, publication = config.log_names(owner)
    none: tuple[SlotRow, ...] = ()
    rows = {row.known.name: row for row in unless_missing(ledger.slots.all, none)}
    sources = {table.source for table in config.logged}
    horizon, _ = take_horizon(conn)
    state = inspect_log(conn, slot, publication, sorted(sources))
    problems = _problems(config, conn)
    row = rows.get(slot)
    identity = horizon.identity
    shared = shared_with(row.known, {t.name for t in config.tables}, row.read_seconds) if row else None
    verdict = shared or slot_verdict(
        state,
        row.known if row else KnownSlot(slot, publication),
        system=identity.system_identifier,
        timeline=identity.timeline,
        most_retained=config.max_retained_wal,
        ours=config.log_slot is None,
    )
    refused = {table.source for table in config.logged if table.name in problems}
    return LogInspection(
        owner, slot, publication, state, identity, row, verdict, oldest_transaction(conn), problems,
        frozenset(sources - refused), state.most_retained(config.max_retained_wal), shared,
    )  # fmt: skip


def _problems(config: SyncConfig, conn: psycopg.Connection) -> dict[str, IdentityProblem]:
    """By the table's name in the configuration."""
    found: dict[str, IdentityProblem] = {}
    keys: dict[SourceName, tuple[str, ...]] = {}
    for table in config.logged:
        try:
            keys[table.source] = key_of(table, describe(conn, table.source))
            if table.where is not None and (why := _why_not_of_row(conn, table)):
                found[table.name] = IdentityProblem(f"`where` must be a condition of the row alone: {why}")
        except PgsnowError as error:
            found[table.name] = IdentityProblem(str(error))
    unfit = identity_problems(conn, keys)
    return found | {table.name: unfit[table.source] for table in config.logged if table.source in unfit}


def _why_not_of_row(conn: psycopg.Connection, table: TableConfig) -> str:
    with translating(table.name):
        return why_not_of_row(lambda query: conn.execute(query.as_bytes(None)).fetchall(), table.where or "")
