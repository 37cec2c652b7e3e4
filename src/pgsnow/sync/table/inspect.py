"""Inspection of claimed tables, in Postgres alone: are there rows to read, and must everything be read?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg

from pgsnow.ledger.claim import Claim
from pgsnow.model.checkpoint import Checkpoint, Horizon, ReadMode, is_restarted
from pgsnow.model.comparison.sweep import DueSweep, SweepState
from pgsnow.model.config.table_config import TableMode
from pgsnow.model.errors import PgsnowError
from pgsnow.model.evolution.drift import Drift, SourceDefinition
from pgsnow.model.plan import TablePlan
from pgsnow.model.table import CatalogMark
from pgsnow.postgres.catalog.describe import catalog_marks
from pgsnow.postgres.incremental.audit import audit_if_due
from pgsnow.postgres.incremental.horizon import take_horizon
from pgsnow.postgres.incremental.probe import Probe, idle_checkpoint, probe
from pgsnow.postgres.incremental.window import UNBOUNDED
from pgsnow.sync.runtime.context import Connections, EngineContext
from pgsnow.sync.runtime.planner import Prepared
from pgsnow.sync.runtime.recorder import Recorder

if TYPE_CHECKING:
    from pgsnow.sync.stream.log_tick import LogTick, TableLog
    from pgsnow.sync.stream.slot_reader import LogRead

PARTITION_GONE = "a partition or child table is gone"
REWRITTEN = "the table was truncated or rewritten"
INSERTED_AGAIN = "a statement of an earlier run may have inserted them again"
OUTSIDE_THE_LOG = frozenset({PARTITION_GONE, REWRITTEN, INSERTED_AGAIN})
"""Reasons for a sweep that hold although the log shows every delete; the first two for partitions alone."""
STILL_RUNNING = 60.0
"""Seconds for which a statement of a killed run most likely runs on, also if it was cancelled: until a search began
later than that, the next run searches once more."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """Result of one inspection. `checkpoint` is where the next read starts: the ledger's, or a new one after an
    audit."""

    claim: Claim
    prepared: Prepared
    plan: TablePlan
    recorder: Recorder
    checkpoint: Checkpoint | None
    probe: Probe
    drift: Drift
    state: SweepState | None = None
    """State to record after a comparison with the source; None: deleted rows are not searched for."""
    sweep: DueSweep | None = None
    """The search for deleted rows that is due; None: none is, or it has to wait."""
    restarted: bool = False
    """The source's server was started since the checkpoint: the ledger in it may have been restored with it."""
    compares: bool = False
    """Ranges of the table's continuous comparison (`verify_every`) are due."""
    loads: bool | None = None
    """Whether this tick loads what is staged, as the budget demands; None: it does if that is due."""
    log: TableLog | None = None
    """The table's part of what was read from the log; None: the table is not read from it in this run."""
    log_read: LogRead | None = None
    """The read of the log in this tick, for a table that may join it."""
    log_barred: bool = False
    """With `mode: log`: the log cannot be read at present, so that the table does not join it."""

    @property
    def has_changes(self) -> bool:
        """True if there are rows to load, a changed definition, or leftovers of an earlier run to clean up, if the
        target must show that the ledger was not restored to an older state, if deleted rows must be searched for, or
        if ranges must be compared. While batches are staged, that is done when they are loaded."""
        sweeps = (self.sweep is not None or self.compares) and not self.claim.staged
        return (
            self.restarted
            or self.probe.busy
            or (self.log is not None and self.log.has_changes)
            or self.drift.has_work
            or sweeps
            or bool(self.claim.open_batches)
        )

    def idle_checkpoint(self, horizon: Horizon) -> Checkpoint:
        """The checkpoint of a table without rows to load. Raises ValueError if there are some."""
        if self.log is not None:
            return self.log.checkpoint(self.plan, self.checkpoint, horizon)
        return idle_checkpoint(self.probe, self.plan, self.checkpoint, horizon)


@dataclass(frozen=True, slots=True)
class Inspector:
    """Inspects the tables of one tick: the horizon first, then each table. Thread-safe; each call takes a source
    connection from the pool. recorders: by table."""

    context: EngineContext
    connections: Connections
    recorders: Mapping[str, Recorder]
    take_over: bool = False
    """A person requested that the tables belong to this configuration from now on."""
    confirmed: bool = False
    """A person requested that deleted rows be searched for now."""
    log: LogTick | None = None
    """Reads the log for all tables with `mode: log`; None: the tick has no such tables."""

    def take_horizon(self, claims: Sequence[Claim]) -> tuple[Horizon, dict[str, CatalogMark | None]]:
        """The horizon, taken before any snapshot of this tick, and the mark of each table in the catalog (None: it does
        not exist).

        A role that may not see other sessions needs the saved listing; see pgsnow.postgres.incremental.horizon.
        """
        ledger, source = self.context.ledger, self.context.settings.source.display
        sources = [self.context.config.table(claim.table).source for claim in claims]
        with self.connections.one() as conn:
            horizon, listing = take_horizon(conn, ledger.checkpoints.virtual_xids(source))
            if listing is not None:
                ledger.checkpoints.save_virtual_xids(source, listing)
            found = catalog_marks(conn, sources)
        if self.log is not None:
            horizon = self.log.read(claims, horizon)
        return horizon, {claim.table: found.get(s) for claim, s in zip(claims, sources, strict=True)}

    def inspect(
        self, claim: Claim, horizon: Horizon, mark: CatalogMark | None, *, again: bool = False
    ) -> Inspection:
        """Plan the table, and probe it for changes with one statement; run the audit when it is due. Opens no
        connection to Snowflake. again: it was inspected in this tick before. Raises SourceUnavailable, and what
        Planner.plan raises."""
        recorder, config = self.recorders[claim.table], self.context.config.table(claim.table)
        if not again:
            recorder.tell("started")
        if claim.unreadable is not None:
            raise claim.unreadable
        here = {
            "database": horizon.database,
            "oid": horizon.position.database if horizon.position else 0,
            "system": horizon.identity.system_identifier,
            "timeline": horizon.identity.timeline,
            "account": self.context.settings.snowflake.account,
            "target": recorder.target,
        }
        if not claim.places or not here.items() <= claim.places[0].items():
            from pgsnow.sync.runtime.owner import settle_place  # rare

            claim = settle_place(self.context, claim, here, recorder, take_over=self.take_over)
        stored = claim.stored_definition
        with self.connections.one() as conn:
            with recorder.timed("plan"):
                prepared = self.context.planner.plan(conn, config, mark.fingerprint if mark else None, stored)
            with recorder.timed("probe"):
                checkpoint, finding = audit_if_due(conn, prepared.plan, claim.checkpoint, horizon)
                recorder.events.extend(text for text in (finding, claim.unverified) if text is not None)
                if claim.reset_to is not None and checkpoint is not None:
                    from pgsnow.postgres.incremental.reset import follow_reset  # rare

                    checkpoint, event = follow_reset(conn, prepared.plan, checkpoint, claim.reset_to)
                    recorder.events.extend([event] if event else [])
                drift, checkpoint, found, log = self._look_for_changes(
                    conn, claim, prepared, checkpoint, horizon
                )
                recorder.events.extend(text for text in drift.sentences if text not in recorder.events)
                if config.insert_only and not (found.busy or claim.staged):
                    from pgsnow.postgres.incremental.updates import shows_updates  # for such tables

                    found = replace(found, busy=shows_updates(conn, prepared.plan, claim.checkpoint))
        restarted = claim.checkpoint is not None and is_restarted(claim.checkpoint, horizon)
        unseen = (
            config.mode is TableMode.LOG and log is None
        )  # the log does not show what was deleted meanwhile
        claim, state, sweep = look_for_sweep(
            claim,
            prepared.plan,
            mark,
            horizon,
            confirmed=self.confirmed,
            streamed=log is not None,
            unseen=unseen,
            joins=unseen and self.log is not None and self.log.can_join(str(config.source)),
        )
        compares = False
        if config.verify_every and checkpoint is not None:
            from pgsnow.sync.compare.continuous import is_due  # for tables with verify_every

            now = claim.granted_at
            compares = is_due(prepared.plan, claim.verification, claim.sweep, now, awake=False)
        compares = compares or (log is not None and log.audits)
        return Inspection(
            claim,
            prepared,
            prepared.plan,
            recorder,
            checkpoint,
            found,
            drift,
            state,
            sweep,
            restarted,
            compares,
            log=log,
            log_read=self.log.found if unseen and self.log is not None else None,
            log_barred=unseen and self.log is not None and self.log.bars,
        )

    def _look_for_changes(
        self,
        conn: psycopg.Connection[Any],
        claim: Claim,
        prepared: Prepared,
        checkpoint: Checkpoint | None,
        horizon: Horizon,
    ) -> tuple[Drift, Checkpoint | None, Probe, TableLog | None]:
        """As `look_for_changes`. A table that the log was read for is not probed; one with `mode: log` that it was not
        read for is always busy: it has to be read otherwise first."""
        recorder = self.recorders[claim.table]
        reads_log = self.log is not None and prepared.plan.config.mode is TableMode.LOG
        if (
            self.log is not None
            and reads_log
            and (log := self.log.part_of(claim, prepared, horizon, recorder))
        ):
            return prepared.drift, checkpoint, log.probe, log
        drift, checkpoint, found = look_for_changes(
            conn, prepared, claim.stored_definition, claim.checkpoint, checkpoint, horizon
        )
        if prepared.plan.config.mode is TableMode.LOG:
            found = replace(found, busy=True)
        return drift, checkpoint, found, None

    def inspect_again(self, claim: Claim, horizon: Horizon, moved: PgsnowError) -> Inspection:
        """Inspect a table that was altered during its run, or whose changes in the log cannot be loaded. Reusing the
        older horizon is safe: more rows are read. The log is not read for it in this tick any more."""
        if self.log is not None and self.context.config.table(claim.table).mode is TableMode.LOG:
            self.log.leave(claim.table)
            self.recorders[claim.table].without_log = str(moved)
        self.recorders[claim.table].events.append(f"planned again: {moved}")
        source = self.context.config.table(claim.table).source
        with self.connections.one() as conn:
            mark = catalog_marks(conn, [source]).get(source)
        return self.inspect(claim, horizon, mark, again=True)


def look_for_sweep(
    claim: Claim,
    plan: TablePlan,
    mark: CatalogMark | None,
    horizon: Horizon,
    *,
    confirmed: bool = False,
    streamed: bool = False,
    unseen: bool = False,
    joins: bool = False,
) -> tuple[Claim, SweepState | None, DueSweep | None]:
    """The claim, with the moment since which a sweep is due if that is not stored yet; the state to record after
    a comparison in this run; and the sweep that is due now. Pure. mark: read before every snapshot of this run.
    confirmed: a person requested a sweep. streamed: the log shows all deletes, except those of partitions that are
    truncated, detached or dropped by themselves; it does not show what a late statement inserts. unseen: the log does
    not show what was deleted until now. joins: after the search it does, so the search is not put off."""
    new = claim.checkpoint is None  # its target may be created by this run
    rule, applies = plan.delete_rule, new or claim.created_target == str(plan.target)
    if mark is None or rule.why or (rule.by_default and not applies):
        return claim, None, None
    config, now = plan.config, claim.granted_at
    stored = claim.sweep or {}
    before = SweepState(**{name: value for name, value in stored.items() if name in SweepState.__slots__})
    leaves, swept = mark.leaves or {}, before.swept_at
    database = horizon.position.database if horizon.position else 0
    state = replace(
        before,
        leaves=leaves,
        statistics=mark.statistics,
        rights=mark.rights,
        history=f"{horizon.identity.system_identifier}/{horizon.identity.timeline}/{database}",
        next_xid=horizon.next_xid or 0,
    )
    last = swept or 0.0
    reasons = {
        "no search for them was completed yet": swept is None,
        "the log does not show what was deleted": unseen,
        INSERTED_AGAIN: before.unsure_since > max(0.0, last - STILL_RUNNING)
        or last < before.unsure_until <= now,
        "the statistics of the source began again": before.statistics != state.statistics,
        PARTITION_GONE: not before.leaves.keys() <= leaves.keys(),
        REWRITTEN: any(oid in leaves and leaves[oid][0] != file for oid, (file, _) in before.leaves.items()),
        "rows were deleted in the source": any(
            count != before.leaves.get(oid, (0, 0))[1] for oid, (_, count) in leaves.items()
        ),
        "sweep_every has passed since the last search": config.sweep_every > 0
        and not 0 <= now - last < config.sweep_every,
    }
    if streamed:
        parted = plan.source.relkind == "p" or len(leaves) > 1
        reasons = {
            reason: holds and (parted or reason == INSERTED_AGAIN)
            for reason, holds in reasons.items()
            if reason in OUTSIDE_THE_LOG
        }
    why = next((reason for reason, holds in reasons.items() if holds), "requested" if confirmed else None)
    if why is None:
        return claim, state, None
    if before.pending_since is None and not new:
        claim = replace(claim, pending={"pending_since": now, "pending_why": why})
    too_early = 0 <= now - last < before.seconds / config.sweep_share and not joins
    if config.load_every > 0 and not claim.staged:  # else it follows the load
        too_early |= now // config.load_every <= last // config.load_every
    tried_just_now = 0 <= now - before.tried_at < before.tried_seconds / config.sweep_share
    if (tried_just_now or (too_early and swept is not None)) and not confirmed:
        return claim, state, None
    return claim, state, DueSweep(why, state, None if swept is None else before)


def look_for_changes(
    conn: psycopg.Connection[Any],
    prepared: Prepared,
    stored: SourceDefinition | None,
    loaded: Checkpoint | None,
    checkpoint: Checkpoint | None,
    horizon: Horizon,
) -> tuple[Drift, Checkpoint | None, Probe]:
    """The drift since the last run, the checkpoint from which to read, and the result of the probe.

    stored: the source's definition in the ledger. loaded: the checkpoint in the ledger. checkpoint: the same, or that
    of an audit. `conn` is in autocommit mode. Raises what `probe` raises.
    """
    drift = prepared.drift
    if stored is None and loaded is not None:
        drift = drift.without_definition(loaded.shape)
    if drift.by_xid and checkpoint is not None and checkpoint.mode is ReadMode.WATERMARK:
        checkpoint = checkpoint.evolve(low=UNBOUNDED)
    return drift, checkpoint, probe(conn, prepared.plan, checkpoint, horizon)
