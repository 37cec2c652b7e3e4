"""Writing to the terminal: data to stdout, messages to stderr."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from pgsnow.cli.options import Format
from pgsnow.cli.output.layout import EMPTY, Role, ShownCell, table_lines, wrapped

PIPE_WIDTH = 250
"""Characters of a line in a pipe, which has no width."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
"""Characters that would move the cursor or begin an escape sequence."""
HANGING = "  "
"""Before the further lines of a message."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A column of a printed table: its heading, the styles of its cells by their first word, and its role where the
    table is too wide."""

    heading: str
    styles: Mapping[str, str] | None = None
    right: bool = False
    role: Role = Role.VALUE


@dataclass(frozen=True, slots=True)
class ShownTable:
    """Rows for people. wide: one line a row and nothing shortened, whatever the terminal's width. has_heading: False
    for rows that continue a table."""

    columns: Sequence[Shown]
    rows: Sequence[Sequence[object]]
    wide: bool = False
    has_heading: bool = True

    def lines(self, width: int | None) -> list[Text]:
        """One styled text a line. width: of the terminal; None: no limit."""
        head = [ShownCell(column.heading, column.role, column.right) for column in self.columns]
        rows = [
            [_cell(column, value) for column, value in zip(self.columns, row, strict=True)]
            for row in self.rows
        ]
        lines = table_lines(head, rows, None if self.wide else width, has_heading=self.has_heading)
        return [Text.assemble(*pieces, no_wrap=True) for pieces in lines]


def table_of(columns: Sequence[Shown], rows: Sequence[Sequence[object]], *, wide: bool = False) -> ShownTable:
    return ShownTable(columns, rows, wide)


def stdout() -> Console:
    """A console on stdout; rich follows NO_COLOR and FORCE_COLOR."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def stderr() -> Console:
    return Console(
        stderr=True, highlight=False, markup=False, width=None if sys.stderr.isatty() else PIPE_WIDTH
    )


def say(text: str, *, style: str | None = None) -> None:
    """Write a message to stderr: wrapped at blanks on a terminal, in one line in a pipe."""
    _write_text(stderr(), text, style, is_terminal=sys.stderr.isatty())


def show_text(text: str, *, style: str | None = None) -> None:
    """Write a sentence to stdout: wrapped at blanks on a terminal, in one line in a pipe."""
    _write_text(stdout(), text, style, is_terminal=sys.stdout.isatty())


def show_table(table: ShownTable) -> None:
    """Write a table to stdout: within the width of a terminal; in a pipe one line a row, and nothing shortened."""
    console = stdout()
    lines = table.lines(console.width if sys.stdout.isatty() else None)
    console.print(Text("\n").join(lines), soft_wrap=True)


def _write_text(console: Console, text: str, style: str | None, *, is_terminal: bool) -> None:
    lines = _message_lines(text, console.width) if is_terminal else [text]
    console.print(Text("\n".join(lines), style=style or ""), soft_wrap=True)


def _message_lines(text: str, width: int) -> list[str]:
    """A command to type stays in one line, so that it can be copied."""
    body = text.lstrip()
    indent = text[: len(text) - len(body)]
    if body.startswith("→ pgsnow "):
        return [text]
    return wrapped(body, width, indent, indent + HANGING)


def _cell(column: Shown, value: object) -> ShownCell:
    number = isinstance(value, int) and column.right
    text = f"{value:,}" if number else _CONTROL.sub(" ", "" if value is None else str(value)) or EMPTY
    style = (column.styles or {}).get(text.split(" ")[0], "")
    return ShownCell(text, column.role, column.right, style)


def write_records(
    form: Format, records: Sequence[Mapping[str, Any]], table: ShownTable, *, empty: str = ""
) -> None:
    """Write records as a table, as one JSON array, or as one JSON object a line. empty: message without
    records."""
    if form is Format.TABLE:
        if records:
            show_table(table)
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
