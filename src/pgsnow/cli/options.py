"""Options that several commands share, written once so that they read the same everywhere."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How a command writes its data to stdout."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="PGSNOW_CONFIG",
        metavar="FILE",
        help="The table list. Default: ./sync_config.yaml, then ./backend/worker/sync_config.yaml.",
    ),
]
EnvFile = Annotated[
    Path | None,
    typer.Option(
        "--env-file",
        metavar="FILE",
        help="Variables to add to the environment, which wins. Default: .env beside the table list or here.",
    ),
]
Output = Annotated[Format, typer.Option("--output", "-o", help="How data is written to stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an unexpected failure.")]
Select = Annotated[
    list[str] | None,
    typer.Option(
        "--select", "-s", metavar="TABLE", help="Only this table (name, source or target). Repeatable."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Tell everything about every table, not only what needs something."),
]
