"""Numbers of things in sentences."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 table`, `2 tables`; plural: where it is not the noun with an s."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def were(count: int) -> str:
    """`was` for one, else `were`."""
    return "was" if count == 1 else "were"
