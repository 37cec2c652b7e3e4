"""Parts of sentences for people: numbers of things, and a table's name before its error."""

from __future__ import annotations

LONGEST_LINE = 300
"""Characters of an error where it is one line among others."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 table`, `2 tables`; plural: where it is not the noun with an s."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def were(count: int) -> str:
    """`was` for one, else `were`."""
    return "was" if count == 1 else "were"


def first_line(text: str | None) -> str:
    """The first line of an error, at most `LONGEST_LINE` characters of it; the run has the whole error."""
    line = text.splitlines()[0] if text else ""
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…"


def with_name(table: str, error: str) -> str:
    """The error, with the table's name in front once."""
    return f"{table}: {without_name(table, error)}"


def without_name(table: str, error: str) -> str:
    """The error without the table's name in front."""
    while error.startswith(f"{table}: "):
        error = error.removeprefix(f"{table}: ")
    return error
