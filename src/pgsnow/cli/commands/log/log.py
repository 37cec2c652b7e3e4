"""`pgsnow log`: slot and publication for tables with `mode: log`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pgsnow.cli.commands.daily.pause import person
from pgsnow.cli.consent import ask
from pgsnow.cli.exits import ExitCode
from pgsnow.cli.invocation import Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output, Yes
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.screen import Shown, say, show_text, stdout, table_of, write_records
from pgsnow.cli.output.sizes import bytes_text
from pgsnow.model.duration import approximate_duration
from pgsnow.model.log.lsn import format_lsn

if TYPE_CHECKING:
    from pgsnow.operations.log.inspect import LogInspection
    from pgsnow.operations.log.setup import LogSetup

app = typer.Typer(
    help="Slot and publication for tables with mode log: setup, status, drop.", no_args_is_help=True
)


@app.command()
def setup(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the statements, and execute none.")
    ] = False,
    new_spool: Annotated[
        bool,
        typer.Option(
            "--new-spool",
            help="Make log_spool_dir again, and read from the tables what waited in the former one.",
        ),
    ] = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    debug: Debug = False,
) -> None:
    """Make the publication and the replication slot, or add and remove tables as the table list has changed."""
    from pgsnow.operations.log.setup import set_up

    quiet_log(debug=debug)
    loaded = Invocation(config, env_file, output).load()
    result = set_up(*loaded, holder=person(), dry_run=dry_run, new_spool=new_spool)
    if output is Format.TABLE:
        _tell(result, dry_run=dry_run)
    else:
        write_records(output, [_setup_record(result)], table_of((), ()))
    if result.denied or result.found.problems:
        raise typer.Exit(ExitCode.SOME_FAILED)


@app.command()
def status(
    config: ConfigFile = None,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    debug: Debug = False,
) -> None:
    """Show the slot: how much log it holds back, who causes that, and what is wrong. Changes nothing."""
    from pgsnow.ledger.ledger import Ledger
    from pgsnow.operations.log.inspect import inspect
    from pgsnow.postgres.connection import Source

    quiet_log(debug=debug)
    sync_config, settings = Invocation(config, env_file, output).load()
    ledger, source = Ledger(settings.ledger, sync_config.ledger_schema), Source(settings.source)
    with closing(ledger), closing(source), closing(source.connect()) as conn:
        found = inspect(sync_config, ledger, conn)
    facts = status_record(found)
    shown = [(name.replace("_", " "), value) for name, value in _shown(found) if value is not None]
    write_records(output, [facts], table_of((Shown("log"), Shown("")), shown))


@app.command()
def drop(
    yes: Yes = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    debug: Debug = False,
) -> None:
    """Drop the slot and the publication, so that the source keeps no log for pgsnow."""
    from pgsnow.operations.log.setup import tear_down

    quiet_log(debug=debug)
    sync_config, settings = Invocation(config, env_file, output).load()
    ask("drop the replication slot and the publication of this configuration in the source", yes=yes)
    done = tear_down(sync_config, settings, holder=person())
    if output is not Format.TABLE:
        write_records(output, [{"statements": list(done)}], table_of((), ()))
        return
    for statement in done:
        stdout().print(f"{statement};", soft_wrap=True)
    show_text("Dropped." if done else "There was nothing to drop.")


def _tell(result: LogSetup, *, dry_run: bool) -> None:
    found = result.found
    for name, problem in found.problems.items():
        say(f"{name}: {problem.why}", style="yellow")
        for fix in problem.fixes:
            say(f"  → {fix}")
    for statement in result.left if dry_run else result.done:
        stdout().print(f"{statement};", soft_wrap=True)
    if dry_run:
        return
    if result.denied:
        say(f"error: the role may not set up the publication: {result.denied}", style="red")
        say(
            "  → let the owner of the tables run this in the source database, then run `pgsnow log setup` again:"
        )
        for statement in result.left:
            stdout().print(f"{statement};", soft_wrap=True)
        return
    made = "was made" if result.made else "is there"
    show_text(
        f"The replication slot {found.slot} {made}; the publication {found.publication} has its tables."
    )
    if result.spool:
        show_text(f"Changes are kept in {result.spool} while Snowflake cannot be reached.")


def _setup_record(result: LogSetup) -> dict[str, Any]:
    return {
        "slot": result.found.slot,
        "publication": result.found.publication,
        "executed": list(result.done),
        "left": list(result.left),
        "denied": result.denied or None,
        "slot_made": result.made,
        "spool_made": result.spool,
        "refused": [
            {"table": name, "reason": problem.why, "fixes": list(problem.fixes)}
            for name, problem in result.found.problems.items()
        ],
    }


def status_record(found: LogInspection) -> dict[str, Any]:
    """Everything that the command knows, for programs. Sizes are bytes, positions LSN as Postgres writes them."""
    state, known, slot = found.state, found.known, found.state.slot
    return {
        "slot": found.slot,
        "publication": found.publication,
        "exists": slot is not None,
        "active_pid": slot.active_pid if slot else None,
        "wal_status": slot.wal_status if slot else None,
        "invalidation_reason": slot.invalidation if slot else None,
        "failover": slot.failover if slot else None,
        "retained_bytes": state.retained,
        "max_retained_bytes": found.most_retained,
        "safe_wal_size": slot.safe_wal_size if slot else None,
        "spilled_bytes": slot.spilled if slot else None,
        "end": format_lsn(state.end),
        "restart": format_lsn(slot.restart) if slot and slot.restart else None,
        "confirmed": format_lsn(slot.confirmed) if slot and slot.confirmed else None,
        "generation": known.generation,
        "generation_reason": known.why or None,
        "created_at": known.created_at,
        "read_at": known.read_at,
        "held_by": found.row.holder if found.row else None,
        "trouble": known.trouble,
        "oldest_transaction": str(found.oldest) if found.oldest else None,
        "action": found.verdict.action.value,
        "reason": found.verdict.why or None,
        "advice": found.verdict.advice or None,
        "doubtful": dict(found.verdict.doubtful),
        "unpublished": dict(found.verdict.unpublished),
        "refused": {name: problem.why for name, problem in found.problems.items()},
        "figures": dict(known.figures),
    }


def _shown(found: LogInspection) -> list[tuple[str, object]]:
    """The facts for people, most important first."""
    record, state = status_record(found), found.state
    lines: list[tuple[str, object]] = [("state", found.verdict.why or "the log is read")]
    lines += [("fix", found.verdict.advice)] if found.verdict.advice else []
    lines += [("trouble", record["trouble"])]
    lines += [(name, record[name]) for name in ("slot", "publication", "wal_status", "active_pid", "held_by")]
    limit = f"{bytes_text(state.retained)} of at most {bytes_text(found.most_retained)}"
    lines += [("retained log", limit if state.slot else None)]
    lines += [(name, record[name]) for name in ("oldest_transaction", "confirmed", "restart", "end")]
    if found.row and found.row.read_seconds is not None:
        lines.append(("last read", f"{approximate_duration(found.row.read_seconds)} ago"))
    if record["generation"]:
        lines.append(("generation", f"{record['generation']}: {record['generation_reason']}"))
    for word in ("doubtful", "unpublished", "refused"):
        lines += [(f"{word} table", f"{name}: {why}") for name, why in record[word].items()]
    return lines
