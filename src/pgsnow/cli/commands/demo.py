"""`pgsnow demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pgsnow.cli.options import Debug
from pgsnow.cli.output.log import quiet_log

WORKER_APP = "pgsnow.cli.demo_app"
PAGE = ("-m", "pgsnow", "serve")


def demo(
    seconds: Annotated[
        float, typer.Option("--for", min=1, metavar="SECONDS", help="How long the demo writes to Postgres.")
    ] = 60,
    keep: Annotated[Path | None, typer.Option("--keep", metavar="DIR", help="Keep the data in DIR.")] = None,
    debug: Debug = False,
) -> None:
    """Replicate a live Postgres to the emulator, then compare. Exit code 0 if they are equal, else 4."""
    quiet_log(debug=debug)
    from pgsnow.embedded.demo.run import run_demo

    raise typer.Exit(run_demo(seconds=seconds, keep=keep, worker_app=WORKER_APP, page_command=PAGE))
