"""Runs all checks: Postgres, the tables, the ledger, Snowflake, the bucket and the broker.

Writes nothing, except a small object in the bucket of tables with `load: s3`, which is deleted afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import LoadMethod, SyncConfig
from pgsnow.model.errors import PgsnowError
from pgsnow.model.evolution.source_definition import SourceDefinition
from pgsnow.model.settings.settings import Settings
from pgsnow.model.table import KnownTarget
from pgsnow.operations.check.broker import check_broker
from pgsnow.operations.check.bucket import check_bucket
from pgsnow.operations.check.ledger import check_ledger
from pgsnow.operations.check.result import CheckResult, Level, failing_as, ok, warning
from pgsnow.operations.check.source import check_copy, check_source
from pgsnow.operations.check.tables import check_table
from pgsnow.operations.check.target import check_account, check_rights, check_target
from pgsnow.postgres.catalog.survey import survey_of
from pgsnow.postgres.connection import Source
from pgsnow.postgres.errors import translating
from pgsnow.snowflake.schema.required_ddl import TargetInspector
from pgsnow.snowflake.session import connect
from pgsnow.sync.runtime.planner import Prepared

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
    results.extend(warning("configuration", text, "See docs/configuration.md.") for text in config.warnings)
    prepared: list[Prepared] = []
    known, targets = _known(config, settings)
    source = Source(settings.source)
    with failing_as("postgres", results.append), translating(), source.connect() as conn:
        results.extend(check_source(conn, settings.source.display))
        results.append(check_copy(source))
        surveyed = survey_of(conn, [table.source for table in chosen])
        for table in chosen:
            known_table = known.get(table.name)
            found, plan = check_table(
                conn, table, settings.snowflake, known_table, surveyed.get(table.source)
            )
            results.extend(found)
            prepared.extend([plan] if plan else [])
    source.close()
    with failing_as("ledger", results.append):
        results.extend(check_ledger(settings.ledger, config.ledger_schema))
    with (
        failing_as("snowflake", results.append),
        connect(settings.snowflake, query_tag="pgsnow:check") as session,
    ):
        results.extend(check_account(session, settings.snowflake))
        results.extend(check_rights(session, frozenset(each.plan.target for each in prepared)))
        inspector = TargetInspector(session)
        results.extend(
            check_target(inspector, each.plan, targets.get(each.plan.config.name)) for each in prepared
        )
        if settings.s3 is not None and any(table.load is LoadMethod.S3 for table in chosen):
            results.extend(check_bucket(session, settings))
    results.append(check_broker(settings.broker_url))
    return results


def _known(
    config: SyncConfig, settings: Settings
) -> tuple[Mapping[str, SourceDefinition], Mapping[str, KnownTarget]]:
    """The source's definitions and the targets in the ledger, by table; nothing where the ledger cannot be read, which
    its own check reports."""
    ledger = Ledger(settings.ledger, config.ledger_schema)
    try:
        return ledger.checkpoints.source_definitions(), ledger.checkpoints.targets()
    except PgsnowError:
        return {}, {}
    finally:
        ledger.close()
