"""Runs all checks: Postgres, the tables, the ledger, Snowflake, the bucket and the broker.

Writes nothing, except a small file in Snowflake's stage, or in the bucket of tables with `load: s3`, and a folder for
part files, which are deleted afterwards. (The command saves the results in the ledger, if there is one: see save.py.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from pgsnow.ledger.checkpoints import Remembered
from pgsnow.ledger.claim import Claim
from pgsnow.ledger.errors import TABLES_MISSING
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.checkpoint import VirtualXids
from pgsnow.model.config.sync_config import LoadMethod, SyncConfig, TableConfig, TableMode
from pgsnow.model.errors import PgsnowError
from pgsnow.model.settings.settings import Settings
from pgsnow.operations.check.broker import check_broker
from pgsnow.operations.check.bucket import check_bucket
from pgsnow.operations.check.ledger import check_ledger
from pgsnow.operations.check.log import check_log
from pgsnow.operations.check.result import CheckResult, Level, failed, failing_as, ok, warning
from pgsnow.operations.check.source import check_copy, check_source
from pgsnow.operations.check.stage import check_stages
from pgsnow.operations.check.tables import check_table
from pgsnow.operations.check.target import check_account, check_rights, check_target
from pgsnow.operations.command_sessions import CommandSessions, as_known
from pgsnow.operations.owners import ConfiguredOwners
from pgsnow.operations.preconditions import ReadyTable
from pgsnow.postgres.catalog.survey import survey_of
from pgsnow.postgres.connection import Source
from pgsnow.postgres.errors import translating
from pgsnow.postgres.incremental.horizon import take_horizon
from pgsnow.snowflake.privileges import rights_of
from pgsnow.snowflake.schema.required_ddl import TargetInspector
from pgsnow.sync.pipeline.spool import Spool

INTERNAL_STAGE = (LoadMethod.AUTO, LoadMethod.STAGE)
"""Choices of `load` that upload files into Snowflake's own stage."""

__all__ = ["CheckResult", "Level", "run_checks"]


def run_checks(
    config: SyncConfig, settings: Settings, names: Sequence[str] | None = None
) -> list[CheckResult]:
    """The results, in the order in which to fix problems. names: only these tables.

    A server that does not answer is one failed result, and the checks that need it are left out.
    Raises ConfigError for an unknown table.
    """
    chosen = config.select(names or None)
    config.check_targets(database=settings.snowflake.database, schema=settings.snowflake.schema)
    config.check_staging(bucket=settings.s3 is not None)
    results = [
        ok(
            "configuration",
            f"{len(config.tables)} table{'s' * (len(config.tables) != 1)}, {len(config.enabled)} enabled",
        )
    ]
    results.extend(
        warning("configuration", text, "See `pgsnow explain configuration`.") for text in config.warnings
    )
    with (
        closing(Source(settings.source)) as source,
        CommandSessions(source, settings.snowflake, "pgsnow:check") as sessions,
    ):
        checked = _Checks(config, settings, sessions, results)
        checked.source(source, chosen)
        with failing_as("ledger", results.append):
            results.extend(check_ledger(settings.ledger, config.ledger_schema))
        checked.target(chosen)
    with failing_as("part files", results.append), Spool("check") as spool:
        folder = spool.batch_folder()
        results.append(ok("part files", f"can be written to {folder.parent.parent}"))
    results.append(check_broker(settings.broker_url))
    return results


@dataclass(slots=True)
class _Checks:
    """The checks that look at tables. ready: those that can be read. known: their state in the ledger."""

    config: SyncConfig
    settings: Settings
    sessions: CommandSessions
    results: list[CheckResult]
    ready: list[ReadyTable] = field(default_factory=list)
    known: Mapping[str, Remembered] = field(default_factory=dict)
    owners: ConfiguredOwners | None = None
    """None if the source or the ledger cannot be asked, which has a result of its own."""

    def source(self, source: Source, chosen: Sequence[TableConfig]) -> None:
        """Postgres, then each table."""
        self.known, listing, claims = self._remembered()
        with failing_as("postgres", self.results.append), translating():
            conn = self.sessions.postgres()
            self.results.extend(check_source(conn, self.settings.source.display))
            self.results.append(check_copy(source))
            horizon, _ = take_horizon(conn, listing)
            if claims is not None:
                self.owners = ConfiguredOwners(self.config, self.settings, horizon, claims[1], claims[0])
            surveyed = survey_of(conn, [table.source for table in chosen])
            for table in chosen:
                with self._failing(table.name, table):
                    found, ready = check_table(
                        self.sessions.postgres(), table, self.settings.snowflake,
                        self.known.get(table.name, Remembered()), surveyed.get(table.source), horizon,
                    )  # fmt: skip
                    self.results.extend(found)
                    self.ready.extend([ready] if ready else [])
        if any(table.mode is TableMode.LOG for table in chosen) or (self.known and not self.config.logged):
            self._log()

    def _log(self) -> None:
        with (
            failing_as("log", self.results.append),
            closing(Ledger(self.settings.ledger, self.config.ledger_schema)) as ledger,
        ):
            self.results.extend(check_log(self.config, ledger, self.sessions.postgres()))

    def target(self, chosen: Sequence[TableConfig]) -> None:
        """Snowflake, then each target."""
        with failing_as("snowflake", self.results.append):
            session = self.sessions.session()
            self.results.extend(check_account(session, self.settings.snowflake, self.config.cost))
            plans = [each.plan for each in self.ready]
            viewed = [plan.target for plan in plans if plan.config.live_view]
            self.results.extend(check_rights(session, frozenset(plan.target for plan in plans), viewed))
            inspector, rights = TargetInspector(session, self.owners), rights_of(session)
            for each in self.ready:
                with self._failing(f"target of {each.plan.config.name}", each.plan.config):
                    inspector.session = self.sessions.session()
                    target = self.known.get(each.plan.config.name, Remembered()).target
                    self.results.append(check_target(inspector, each.drift, rights, target))
            staging = [each.plan for each in self.ready if each.plan.config.load in INTERNAL_STAGE]
            if staging:
                inspector.session = self.sessions.session()
                targets = frozenset(plan.target for plan in staging)
                self.results.extend(check_stages(inspector.session, inspector, targets))
            if self.settings.s3 is not None and any(table.load is LoadMethod.S3 for table in chosen):
                self.results.extend(check_bucket(self.sessions.session(), self.settings))

    @contextmanager
    def _failing(self, name: str, table: TableConfig) -> Iterator[None]:
        """A failure of one table, of any kind, is its result, and must not hide the results of the others."""
        try:
            yield
        except Exception as error:
            self.sessions.after(error)
            known = as_known(error, self.settings.secrets(), table.name)
            self.results.append(failed(name, str(known), known.advice))

    def _remembered(
        self,
    ) -> tuple[Mapping[str, Remembered], VirtualXids, tuple[str, Mapping[str, Claim]] | None]:
        """The state of the tables in the ledger, its listing, and what it knows of their owners; nothing where it
        cannot be read, which its own check reports."""
        ledger = Ledger(self.settings.ledger, self.config.ledger_schema)
        try:
            return (
                ledger.checkpoints.remembered(),
                ledger.checkpoints.virtual_xids(self.settings.source.display),
                ledger.checkpoints.owners(),
            )
        except PgsnowError as error:
            return {}, VirtualXids(), ("", {}) if error.code in TABLES_MISSING else None
        finally:
            ledger.close()
