"""`pgsnow pause`."""

from __future__ import annotations

import getpass
import os
import socket
from typing import TYPE_CHECKING, Annotated

import typer

from pgsnow.cli.invocation import Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.screen import Shown, say, show_text, table_of, write_records
from pgsnow.model.errors import ConfigError
from pgsnow.model.sentences import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pgsnow.ledger.requests.requests import Request, RequestAction

Tables = Annotated[
    list[str] | None, typer.Argument(metavar="[TABLE]...", help="Table names, sources or targets.")
]
AllTables = Annotated[bool, typer.Option("--all", help="Every table of the table list.")]


def pause(
    tables: Tables = None,
    every: AllTables = False,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why, for the others who look at it.")
    ] = None,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    debug: Debug = False,
) -> None:
    """Grant no run these tables until `pgsnow resume`. A run that is under way ends as usual."""
    from pgsnow.ledger.requests.requests import RequestAction

    quiet_log(debug=debug)
    done = carry_out(
        Invocation(config, env_file, output),
        tables,
        RequestAction.PAUSE,
        every=every,
        arguments={"reason": reason} if reason else {},
    )
    tell(done, output)
    if output is Format.TABLE:
        say("→ pgsnow resume " + ("--all" if every else " ".join(str(one.source_table) for one in done)))


def carry_out(
    invocation: Invocation,
    tables: Sequence[str] | None,
    action: RequestAction,
    *,
    every: bool,
    arguments: Mapping[str, str],
) -> list[Request]:
    """Do this for the named tables, at once, through the ledger. Raises ConfigError if none or an unknown one is
    named."""
    if bool(tables) is every:
        raise ConfigError(
            f"{action.value}: name tables, or all with --all, and not both",
            advice="`pgsnow status` lists the tables.",
        )
    config, ledger = invocation.ledger()
    names = [table.name for table in (config.tables if every else config.select(tables))]
    try:
        ledger.migrate()
        return [ledger.requests.add(name, action, arguments, by=person()) for name in names]
    finally:
        ledger.close()


def tell(done: Sequence[Request], output: Format) -> None:
    """Write what was done: one line a table, or how many if there are many."""
    if output is not Format.TABLE:
        records = [
            {
                "table": one.source_table,
                "action": one.action.value,
                "result": one.status,
                "by": one.requested_by,
                "at": one.requested_at,
            }
            for one in done
        ]
        write_records(output, records, table_of((), ()))
        return
    write_records(
        output,
        [{"table": one.source_table} for one in done],
        table_of((Shown("table"), Shown("result")), [(one.source_table, one.status) for one in done]),
    )
    results = [one.status or "" for one in done]
    counts = ", ".join(f"{results.count(result)} {result}" for result in dict.fromkeys(results))
    show_text(f"\n{counted(len(done), 'table')}: {counts}")


def person() -> str:
    """`user@host` of the person at the terminal, for others to read."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
