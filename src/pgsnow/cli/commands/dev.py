"""`pgsnow dev`: Postgres and the Snowflake emulator on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pgsnow.cli.options import Debug
from pgsnow.cli.output.log import quiet_log

app = typer.Typer(
    help="Run Postgres and the Snowflake emulator on this machine, for trying pgsnow out.",
    no_args_is_help=True,
)

Dir = Annotated[Path, typer.Option("--dir", metavar="DIR", help="Directory of their data, logs and .env.")]
Port = Annotated[
    int | None,
    typer.Option(min=1, max=65535, metavar="N", help="Default: the port used last, or a free one."),
]


@app.command()
def up(
    dir: Dir = Path(".pgsnow"),
    pg_port: Port = None,
    snowflake_port: Port = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return once both are ready.")] = False,
    debug: Debug = False,
) -> None:
    """Start both, write DIR/.env, and run until `pgsnow dev down` or Ctrl-C. Data are kept."""
    quiet_log(debug=debug)
    from pgsnow.embedded.dev import serve_dev

    serve_dev(dir, pg_port=pg_port, snowflake_port=snowflake_port, detach=detach)


@app.command()
def down(dir: Dir = Path(".pgsnow"), debug: Debug = False) -> None:
    """Stop both. The data stay in DIR."""
    quiet_log(debug=debug)
    from pgsnow.embedded.dev import stop_dev

    stop_dev(dir)
