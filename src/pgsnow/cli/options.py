"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """Format of a command's data on stdout."""

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
        help="Table list. Default: sync_config.yaml here, else in backend/worker.",
    ),
]
EnvFile = Annotated[
    Path | None,
    typer.Option(
        "--env-file",
        metavar="FILE",
        help="File with variables; the environment overrides it. Default: .env beside the table list or here.",
    ),
]
Output = Annotated[Format, typer.Option("--output", "-o", help="Output format on stdout.")]
Debug = Annotated[
    bool, typer.Option("--debug", help="Show the log and, after an unexpected error, its traceback.")
]
Select = Annotated[
    list[str] | None,
    typer.Option(
        "--select", "-s", metavar="TABLE", help="Only this table (name, source or target). Repeatable."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Show all details of every table, not only of tables with changes."),
]
Wide = Annotated[
    bool, typer.Option("--wide", help="One line a row and nothing shortened, however narrow the terminal is.")
]
