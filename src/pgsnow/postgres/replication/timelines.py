"""The history of a server's timelines: where it left each earlier one.

https://www.postgresql.org/docs/current/protocol-replication.html (TIMELINE_HISTORY)"""

from __future__ import annotations

import contextlib

import psycopg

from pgsnow.model.log.lsn import parse_lsn
from pgsnow.postgres.connection import HasConninfo
from pgsnow.postgres.errors import translated
from pgsnow.postgres.replication.connection import LogSource


def forks_of(settings: HasConninfo, timeline: int) -> tuple[tuple[int, int], ...]:
    """(earlier timeline, LSN at which the server left it), oldest first: what had been written there before that LSN is
    in the server's history. timeline: the present one. Raises LogSessionUnavailable, SourceUnavailable,
    SourceAccessDenied."""
    if timeline <= 1:
        return ()
    with contextlib.closing(LogSource(settings, "", "").connect()) as conn:
        try:
            row = conn.execute(f"TIMELINE_HISTORY {int(timeline)}".encode()).fetchone()
        except psycopg.Error as error:
            raise translated(error) from error
    content = row[1] if row else ""
    return parse_history(content.decode() if isinstance(content, bytes) else str(content))


def parse_history(text: str) -> tuple[tuple[int, int], ...]:
    """The forks in a history file: lines of timeline, LSN and reason; others are comments."""
    found = []
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) >= 2 and fields[0].strip().isdigit():
            found.append((int(fields[0]), parse_lsn(fields[1].strip())))
    return tuple(found)
