"""Writing to the terminal: data to stdout, messages to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from pgsnow.cli.options import Format

PIPE_WIDTH = 250
"""Characters of a line in a pipe, which has no width: in a narrow one rich would cut cells that scripts grep
for."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A column of a printed table: its heading, and the styles of its cells by their first word."""

    heading: str
    styles: Mapping[str, str] | None = None
    right: bool = False


def stdout() -> Console:
    """A console on stdout; rich follows NO_COLOR and FORCE_COLOR."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def stderr() -> Console:
    return Console(
        stderr=True, highlight=False, markup=False, width=None if sys.stderr.isatty() else PIPE_WIDTH
    )


def say(text: str, *, style: str | None = None) -> None:
    """Write one line to stderr."""
    stderr().print(Text(text, style=style or ""), soft_wrap=True)


def table_of(columns: Sequence[Shown], rows: Sequence[Sequence[object]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False)
    for at, column in enumerate(columns):
        justify: JustifyMethod = "right" if column.right else "left"
        table.add_column(column.heading, justify=justify, overflow="fold", no_wrap=at == 0)
    for row in rows:
        table.add_row(*(_cell(column, value) for column, value in zip(columns, row, strict=True)))
    return table


def _cell(column: Shown, value: object) -> Text:
    text = "–" if value is None or value == "" else str(value)
    style = (column.styles or {}).get(text.split(" ")[0], "")
    return Text(text, style=style)


def write_records(
    form: Format, records: Sequence[Mapping[str, Any]], table: Table, *, empty: str = ""
) -> None:
    """Write records as a table, as one JSON array, or as one JSON object a line. empty: message without
    records."""
    if form is Format.TABLE:
        if records:
            stdout().print(table)
        elif empty:
            say(empty)
        return
    if form is Format.JSON:
        write_json(list(records))
        return
    for record in records:
        sys.stdout.write(json.dumps(record, default=str, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def write_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, indent=2, default=str, ensure_ascii=False) + "\n")
    sys.stdout.flush()
