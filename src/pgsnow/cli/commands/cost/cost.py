"""`pgsnow cost`: what syncing has cost, what an average day will cost, and what the account says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pgsnow.cli.invocation import Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output, Wide
from pgsnow.cli.output.cost_text import credits_text, forecast_lines, number_text
from pgsnow.cli.output.layout import Role
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.screen import Shown, say, show_text, stdout, table_of, write_json, write_records
from pgsnow.model.errors import TargetAccessDenied
from pgsnow.model.sentences import counted

if TYPE_CHECKING:
    from pgsnow.ledger.ledger import Ledger
    from pgsnow.model.settings.settings import Settings
    from pgsnow.operations.cost.account import AccountRecord
    from pgsnow.operations.cost.result import DayForecast
    from pgsnow.operations.cost.spent import Spent

COLUMNS = (
    Shown("table", role=Role.NAME),
    Shown("runs", right=True, role=Role.EXTRA),
    Shown("loads", right=True),
    Shown("statements", right=True),
    Shown("warehouse s", right=True),
    Shown("credits", right=True),
    Shown("price", right=True, role=Role.EXTRA),
    Shown("forecast/day", right=True),
)
LONGEST = 35
"""Days for which the ledger keeps totals."""
KINDS = 6
"""Kinds of statements that are shown."""


def cost(
    days: Annotated[
        int, typer.Option("--days", min=1, max=LONGEST, metavar="N", help="Look back on so many days.")
    ] = 7,
    account: Annotated[
        bool,
        typer.Option(
            "--account", help="Compare with the account's own record, which resumes the warehouse once."
        ),
    ] = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    wide: Wide = False,
    debug: Debug = False,
) -> None:
    """Show statements, warehouse seconds and estimated credits by table, and the forecast of a day."""
    from pgsnow.ledger.ledger import Ledger
    from pgsnow.operations.cost.evidence import evidence_of
    from pgsnow.operations.cost.forecast import forecast_day
    from pgsnow.operations.cost.spent import spent_since

    quiet_log(debug=debug)
    sync_config, settings = Invocation(config, env_file, output).load()
    now = datetime.now(UTC)
    since = now - timedelta(days=days)
    with closing(Ledger(settings.ledger, sync_config.ledger_schema)) as ledger:
        spent = spent_since(ledger, sync_config.cost, since, now)
        forecast = forecast_day(sync_config, evidence_of(sync_config, ledger, now))
        record, denied = _record(settings, ledger, since, now) if account else (None, None)
    if output is Format.JSON:
        document = {"days": days, **spent.to_json(), "forecast": forecast.to_json()}
        write_json(document | {"account": record.to_json() if record else None})
    else:
        write_tables(spent, forecast, output, wide=wide)
        write_lines([*spent_lines(spent, days), *forecast_lines(forecast), *account_lines(record)], output)
    if denied is not None:
        raise denied


def _record(
    settings: Settings, ledger: Ledger, since: datetime, now: datetime
) -> tuple[AccountRecord | None, TargetAccessDenied | None]:
    """The account's record, or why the role may not read it: what the ledger knows is shown in any case."""
    from pgsnow.operations.cost.account import account_record
    from pgsnow.snowflake.session import connect

    with connect(settings.snowflake, query_tag="pgsnow:cost") as session:
        try:
            return account_record(session, settings.snowflake, ledger, since, now), None
        except TargetAccessDenied as error:
            return None, error


def write_lines(lines: Sequence[str], output: Format) -> None:
    """Write sentences: below the table, or to stderr beside data."""
    if output is Format.TABLE:
        stdout().print()
    for line in lines:
        show_text(line) if output is Format.TABLE else say(line)


def write_tables(spent: Spent, forecast: DayForecast, output: Format, *, wide: bool) -> None:
    """One row for each table that has run, and for each further one that has a forecast."""
    records = [table.to_json(spent.cost) for table in spent.tables]
    ran = {record["table"] for record in records}
    records += [{"table": name} for name in forecast.tables if name not in ran]
    rows = []
    for record in records:
        planned = forecast.tables.get(record["table"])
        record["forecast"] = planned.to_json() if planned else None
        rows.append(
            (
                record["table"],
                record.get("runs"),
                record.get("loads"),
                record.get("statements"),
                f"{record.get('warehouse_seconds', 0.0):,.1f}",
                number_text(record.get("credits", 0.0)),
                record.get("price"),
                number_text(planned.credits) if planned else None,
            )
        )
    write_records(output, records, table_of(COLUMNS, rows, wide=wide), empty="no tables")


def spent_lines(spent: Spent, days: int) -> Iterator[str]:
    bill = spent.bill
    if not spent.tables:
        yield "Nothing was synced in this time."
        return
    yield (
        f"Last {counted(days, 'day')}: about {credits_text(bill.credits, spent.cost)},"
        f" {number_text(bill.credits / spent.days)} a day."
    )
    yield (
        f"  {counted(spent.statements, 'statement')}: about {number_text(bill.services)} credits of cloud services,"
        f" of which {number_text(bill.services_billed)} exceed the 10 % of each day's warehouse credits that are free"
    )
    for kind in spent.kinds[:KINDS]:
        place = "of a warehouse" if kind.warehouse else "without a warehouse"
        yield f"  {kind.kind}: {kind.statements:,}, {kind.seconds:,.1f} s {place}"


def account_lines(record: AccountRecord | None) -> Iterator[str]:
    if record is None:
        return
    yield (
        f"The account, {record.since:%Y-%m-%d %H:%M} to {record.until:%Y-%m-%d %H:%M} UTC (it records queries up to 45"
        " minutes late, and warehouses up to 3 hours):"
    )
    others = f", of which others took about {record.share_of_others:.0%}" if record.others.statements else ""
    yield (
        f"  warehouse {record.warehouse}: {number_text(record.compute)} credits{others};"
        f" {number_text(record.estimated)} were estimated"
    )
    rate = record.credits_per_1000_statements
    if rate is not None:
        own = record.own
        yield (
            f"  {counted(own.statements, 'statement')} of pgsnow: {own.seconds:,.0f} s of a warehouse,"
            f" {number_text(own.services)} credits of cloud services; credits_per_1000_statements: {rate:.2g}"
        )
