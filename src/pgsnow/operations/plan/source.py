"""The part of a preview that needs Postgres and the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from pgsnow.ledger.checkpoints import Remembered
from pgsnow.model.checkpoint import Checkpoint, Horizon, ReadMode
from pgsnow.model.config.fingerprint import changed_keys, config_fingerprint
from pgsnow.model.config.options import SchemaChanges
from pgsnow.model.config.sync_config import TableConfig, TableMode
from pgsnow.model.discovery.advice import advice_for, type_decisions
from pgsnow.model.discovery.survey import SurveyedTable
from pgsnow.model.evolution.definition_diff import followed_note
from pgsnow.model.evolution.drift import Drift, SourceDefinition
from pgsnow.model.plan import TablePlan
from pgsnow.model.sentences import counted
from pgsnow.model.settings.settings import Settings
from pgsnow.model.table import SourceName
from pgsnow.operations.command_sessions import CommandSessions, as_known
from pgsnow.operations.deletes import doubts, rule_of
from pgsnow.operations.log.inspect import LogInspection
from pgsnow.operations.owners import ConfiguredOwners
from pgsnow.operations.plan.result import CHANGES, EVERYTHING, NOTHING, Grant, GrantSide, TablePreview
from pgsnow.operations.preconditions import ready_to_read
from pgsnow.postgres.catalog.privileges import Access
from pgsnow.postgres.incremental.probe import Probe
from pgsnow.postgres.incremental.strategy import why_mode
from pgsnow.sync.runtime.planner import Planner, target_of

UNKNOWN = Access(None, None, ())


@dataclass(frozen=True, slots=True)
class Found:
    """A preview as far as Postgres knows it, and the drift (None: the table cannot be synced). owners: of all
    tables' targets."""

    preview: TablePreview
    drift: Drift | None
    owners: ConfiguredOwners | None = None
    known: Remembered = field(default_factory=Remembered)
    rejected: list[dict[str, str | None]] | None = None
    """As pgsnow.operations.plan.deletes.rejected_if_due returns them."""


@dataclass(frozen=True, slots=True)
class SourceInspection:
    """Inspects tables one by one. full: as a full refresh would."""

    sessions: CommandSessions
    planner: Planner
    horizon: Horizon
    known: Mapping[str, Remembered]
    access: Mapping[SourceName, Access]
    settings: Settings
    full: bool
    surveyed: Mapping[SourceName, SurveyedTable]
    log: LogInspection | None = None
    """None: no table is read from the log."""

    def begin(self, table: TableConfig) -> Found:
        """Inspect one table. An error that stops it is in its preview."""
        found = self._empty(table)
        known = self.known.get(table.name, Remembered())
        try:
            ready = ready_to_read(self.sessions.postgres(), self.planner, table, known, self.horizon)
        except Exception as error:  # a failure of one table, of any kind, must not hide the others
            return Found(found.stopped(as_known(error, self.settings.secrets(), table.name)), None)
        plan, drift, seen = ready.plan, ready.drift, ready.probe
        rule = rule_of(plan, known)
        advice = (*advice_for(plan, self.surveyed.get(table.source)), *doubts(plan, rule))
        mode = seen.point.mode
        shown_mode, why = self._mode(plan, mode, ready.checkpoint)
        preview = replace(
            found,
            changes=(*_configured(known.definition, plan), *drift.sentences),
            reads=self._reads(seen, drift),
            mode=shown_mode,
            mode_reason=why,
            types=tuple(str(decision) for decision in type_decisions(plan)),
            deletes=str(rule.deletes),
            deletes_reason=rule.why,
            warnings=(*map(str, advice), *self._log_warnings(table)),
        )
        return Found(preview, drift, known=known)

    def _mode(self, plan: TablePlan, mode: ReadMode, checkpoint: Checkpoint | None) -> tuple[str, str]:
        """The mode in which the next run reads the table, and why. mode: of a read without the log."""
        if self.log is None or plan.config.mode is not TableMode.LOG:
            return str(mode), why_mode(plan, mode)
        position = checkpoint.log if checkpoint else None
        if position is not None and position.generation == self.log.known.generation:
            return str(TableMode.LOG), "changes are read from the write-ahead log"
        why = self.log.verdict.why or "it has not joined the log yet"
        return str(mode), f"mode: log, but the next run reads the table itself: {why}"

    def _log_warnings(self, table: TableConfig) -> Iterator[str]:
        if self.log is None or table.mode is not TableMode.LOG:
            return
        if (problem := self.log.problems.get(table.name)) is not None:
            yield f"cannot be read from the log: {problem.why} → {' '.join(problem.fixes) or 'write another `mode`'}"
        elif (why := self.log.verdict.unpublished.get(str(table.source))) is not None:
            yield f"is not read from the log yet: {why} → pgsnow log setup"

    def _empty(self, table: TableConfig) -> TablePreview:
        known = self.access.get(table.source, UNKNOWN)
        return TablePreview(
            table.name,
            str(target_of(table, self.settings.snowflake)),
            grants=tuple(Grant(GrantSide.SOURCE, statement) for statement in known.grants),
            manual=table.schema_changes is SchemaChanges.MANUAL,
            load=str(table.load),
            rows=known.rows,
            bytes=known.bytes,
        )

    def _reads(self, seen: Probe, drift: Drift) -> str:
        reason = "asked for" if self.full else (drift.full_read or seen.full_read)
        if reason is not None:
            return f"{EVERYTHING}: {reason}"
        if drift.whole_leaves:
            return f"{CHANGES}, and every row of {counted(len(drift.whole_leaves), 'new partition')}"
        return CHANGES if seen.busy or drift.has_work else NOTHING


def _configured(known: SourceDefinition | None, plan: TablePlan) -> Iterator[str]:
    keys = (
        changed_keys(dict(known.config_fingerprint), config_fingerprint(plan.as_written))
        if known is not None
        else ()
    )
    yield from (followed_note(*names) for names in plan.followed)
    if keys:
        yield f"the configuration has other values for {', '.join(keys)}"
