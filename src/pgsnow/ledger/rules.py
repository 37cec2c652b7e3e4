"""Pure rules that both ledgers share: what a checkpoint tells of time, what a run leaves in the log, equal
keys.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.json_payload import cut, storable
from pgsnow.model.checkpoint import Checkpoint, ReadMode
from pgsnow.model.report import TableReport

FENCES_OF_A_CLAIM = 1_000_000
"""Fences right below that of a claim which no other claim of the table gets: for the chunks of a backfill
it begins.
"""
_TIME = re.compile(r"\d{4,6}-\d\d-\d\d([ T]\d\d:\d\d.*)?\Z")


def as_time(text: str | None) -> str | None:
    """The text, if it is a finite date or timestamp as Postgres writes it; integers and infinities are
    not.
    """
    return text if text is not None and _TIME.match(text) else None


def applied_until(checkpoint: Checkpoint) -> str | None:
    """Text of the moment before which every commit is in the target, or None if the checkpoint does not tell.

    It is `low`; where that is an integer watermark, the newest mark that has a time.
    """
    known = [as_time(checkpoint.low), *(as_time(mark.low) for mark in reversed(checkpoint.trail))]
    return next((text for text in known if text is not None), None)


def moves_backward(old: Checkpoint | None, new: Checkpoint) -> bool:
    """True if `new` is an earlier read of the same server in the same mode: another run has gone further.

    Cursors have no x to compare; their reader keeps them in order.
    """
    if old is None or old.mode is ReadMode.CURSOR:
        return False
    return old.mode is new.mode and old.identity == new.identity and new.x < old.x


def key_digest(key: Mapping[str, str | None]) -> str:
    """SHA-256 (hex) of the key as JSON with sorted names: equal for equal keys, and short enough to index."""
    return hashlib.sha256(json.dumps(storable(dict(key)), sort_keys=True).encode()).hexdigest()


def lock_key(schema: str, table: str) -> int:
    """The advisory lock (bigint) of a table in this ledger. Advisory locks belong to one database.

    https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
    """
    digest = hashlib.sha256(f"pgsnow\0{schema}\0{table}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def log_row(claim: Claim, report: TableReport) -> dict[str, Any]:
    """A row of sync_logs by column name. Long texts are cut."""
    return {
        "run_id": claim.run_id,
        "source_table": claim.table,
        "target_table": report.target,
        "started_at": report.started_at,
        "ended_at": report.started_at + timedelta(seconds=report.seconds),
        "seconds": report.seconds,
        "phases": dict(report.phases),
        "rows_read": report.rows_read,
        "rows_rejected": report.rows_rejected,
        "rows_dropped": report.rows_dropped,
        "rows_inserted": report.rows_inserted,
        "rows_updated": report.rows_updated,
        "bytes_staged": report.bytes_staged,
        "load_units": report.load_units,
        "query_ids": list(report.query_ids),
        "status": report.status.value,
        "full_read": cut(report.full_read),
        "events": [cut(event) for event in report.events],
        "error": cut(report.error),
        "error_type": report.error_type,
        "advice": cut(report.advice),
        "last_watermark": report.last_watermark,
        "fence": claim.fence,
    }
