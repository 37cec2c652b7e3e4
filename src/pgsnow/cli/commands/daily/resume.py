"""`pgsnow resume`."""

from __future__ import annotations

from pgsnow.cli.commands.daily.pause import AllTables, Tables, carry_out, tell
from pgsnow.cli.invocation import Invocation
from pgsnow.cli.options import ConfigFile, Debug, EnvFile, Format, Output
from pgsnow.cli.output.log import quiet_log
from pgsnow.cli.output.screen import say


def resume(
    tables: Tables = None,
    every: AllTables = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    output: Output = Format.TABLE,
    debug: Debug = False,
) -> None:
    """End the pause of tables. The next tick syncs them from where they were."""
    from pgsnow.ledger.requests.requests import RequestAction

    quiet_log(debug=debug)
    invocation = Invocation(config, env_file, output)
    done = carry_out(invocation, tables, RequestAction.RESUME, every=every, arguments={})
    tell(done, output)
    if output is Format.TABLE:
        say("The next tick syncs them; `pgsnow run` does so now.")
