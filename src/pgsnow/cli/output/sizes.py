"""Row counts and sizes as readable text."""

from __future__ import annotations

UNITS = ("kB", "MB", "GB", "TB", "PB")


def rows_text(rows: int | None) -> str:
    """`about 12,000`: the catalog holds estimates only."""
    return "unknown" if rows is None else f"about {rows:,}" if rows else "0"


def bytes_text(size: int | None) -> str:
    """`1.5 GB`, in powers of 1024 as in Postgres."""
    if size is None:
        return "unknown"
    if size < 1024:
        return f"{size} bytes"
    power = 1
    while size >= 1023.95 * 1024**power and power < len(UNITS):
        power += 1
    return f"{size / 1024**power:.1f} {UNITS[power - 1]}"
