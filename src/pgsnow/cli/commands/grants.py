"""`pgsnow grants`."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pgsnow.cli.invocation import Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.screen import stdout, table_of, write_records

if TYPE_CHECKING:
    from pgsnow.model.config.sync_config import SyncConfig
    from pgsnow.model.settings.settings import PostgresSettings, Settings

DEFAULT_ROLE = "pgsnow"


class GrantPlace(StrEnum):
    """Place where grants are run."""

    SOURCE = "source"
    LEDGER = "ledger"
    SNOWFLAKE = "snowflake"


NOTES = {
    GrantPlace.SOURCE: (
        "In Postgres, in the source database, as the owner of the tables or a superuser.",
        "A new role has no password yet: set one with \\password in psql.",
        "Reading a table with row-level security needs BYPASSRLS, which is not granted here.",
    ),
    GrantPlace.LEDGER: ("In Postgres, in the ledger's database, as its owner or a superuser.",),
    GrantPlace.SNOWFLAKE: (
        "In Snowflake, as ACCOUNTADMIN. A service logs in with a key pair:",
        "ALTER USER … SET RSA_PUBLIC_KEY = '…' (`pgsnow explain going-live#2-snowflake`).",
        "The monitor tells administrators at its quota, and suspends the warehouse at twice that. Objects that exist",
        "keep their settings: ALTER WAREHOUSE … SET AUTO_SUSPEND = 30 where it is longer.",
        "A target that exists already must belong to the role: GRANT OWNERSHIP … COPY CURRENT GRANTS.",
    ),
}


def grants(
    side: Annotated[
        GrantPlace | None, typer.Option("--side", help="Only the statements for this side.")
    ] = None,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    debug: Debug = False,
) -> None:
    """Print the SQL that grants the roles on both sides the privileges they need. Opens no connection."""
    quiet_log(debug=debug)
    sync_config, settings = Invocation(config, env_file, output).load()
    chosen = [(where, sql) for where, sql in _statements(sync_config, settings) if side in (None, where)]
    if output is not Format.TABLE:
        records = [{"side": where.value, "statement": sql} for where, sql in chosen]
        write_records(output, records, table_of((), ()))
        return
    console = stdout()
    shown: GrantPlace | None = None
    for where, sql in chosen:
        if where is not shown:
            for line in NOTES[where]:
                console.print(f"-- {line}", soft_wrap=True)
            shown = where
        console.print(f"{sql};", soft_wrap=True)


def _statements(config: SyncConfig, settings: Settings) -> Iterator[tuple[GrantPlace, str]]:
    from pgsnow.postgres.catalog.grants import ledger_grants, source_grants
    from pgsnow.snowflake.grants import snowflake_grants
    from pgsnow.sync.runtime.planner import target_of

    for sql in source_grants(_role(settings.source), settings.source.get("dbname"), config.enabled):
        yield GrantPlace.SOURCE, sql
    ledger = settings.ledger
    for sql in ledger_grants(_role(ledger), ledger.get("dbname"), config.ledger_schema):
        yield GrantPlace.LEDGER, sql
    targets = [target_of(table, settings.snowflake) for table in config.enabled]
    quota = config.budget.credits_per_day if config.budget else None
    viewed = [target_of(table, settings.snowflake) for table in config.enabled if table.live_view]
    for sql in snowflake_grants(settings.snowflake, targets, daily_quota=quota, viewed=viewed):
        yield GrantPlace.SNOWFLAKE, sql


def _role(settings: PostgresSettings) -> str:
    return settings.get("user") or DEFAULT_ROLE
