"""Bad rows step aside: what a transform raises on, or what the target cannot hold, goes to sync_errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import psycopg
import pyarrow as pa

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.batch import Page, Rejected
from pgsnow.model.errors import TooManyRejected
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.convert.convert import keyless_row
from pgsnow.postgres.read.by_key import payloads
from pgsnow.snowflake.schema.length_limits import Limit, over_limit, shortened
from pgsnow.sync.pipeline.row_keys import Key, key_of, rows_with_keys
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.sync.transform.outcome import Outcome, Step, without
from pgsnow.sync.transform.transform import Transform

REDACTED = "(redacted)"
NOTE_EVERY = 1_000
"""Rejected rows held in memory before they are written."""


class RejectedRows:
    """One run's sieve. What it notes is in the ledger before the checkpoint moves past those rows."""

    def __init__(
        self,
        plan: TablePlan,
        transform: Transform,
        ledger: Ledger,
        claim: Claim,
        progress: Recorder,
        source: psycopg.Connection,
        limits: Callable[[], Sequence[Limit]],
    ) -> None:
        self._plan = plan
        self._transform = transform
        self._limits = limits
        self._limited: Transform | None = None
        self._ledger = ledger
        self._claim = claim
        self._progress = progress
        self._source = source
        self._noted: list[Rejected] = []
        self._healed: list[Key] = []
        self.rejected_keys: set[tuple[tuple[str, str | None], ...]] = set()
        """Items of every key rejected in this run."""
        self._open = ledger.rejected_rows.open_keys(claim.table) if claim.has_open_errors else []

    def sift(self, page: Page) -> pa.RecordBatch:
        """The page's good rows, transformed; the others are noted. Raises TooManyRejected, TransformFailed."""
        with self._progress.timed("transform"):
            transformed = self._for_the_target().apply(page.rows)
        self._progress.rows_read += page.rows.num_rows + len(page.rejected)
        self._progress.rows_dropped += transformed.dropped
        self._progress.cells_changed.update(dict(page.changed))
        bad = [self._rejected(page.rows, *entry) for entry in transformed.rejected]
        self._note([*page.rejected, *bad])
        self._heal(page.rows, frozenset(index for index, _, _ in transformed.rejected))
        return transformed.rows

    def flush(self) -> None:
        """Write what was noted, with each row's payload as Postgres has it now."""
        if not self._noted:
            return
        with self._progress.timed("quarantine"):
            rows = [
                replace(row, payload=self._redact(payload))
                for row, payload in zip(self._noted, self._payloads(), strict=True)
            ]
            self._ledger.rejected_rows.add(self._claim, rows)
        self._noted.clear()

    def _payloads(self) -> list[dict[str, Any] | None]:
        """Without a key no row is found again: what was read of it is shown."""
        if not self._plan.pk:
            return [row.payload for row in self._noted]
        return payloads(self._source, self._plan, [row.key for row in self._noted])

    def settle(self) -> None:
        """After everything was read: what was rejected before and is not now has been loaded, or is gone."""
        done = [key for key in self._open if tuple(key.items()) not in self.rejected_keys]
        if done:
            self._ledger.rejected_rows.resolve(self._claim, done)
        self._healed.clear()

    def look_again(self) -> None:
        """Others have rejected rows of this table meanwhile; what is loaded of them from now on closes their errors."""
        self._open = self._ledger.rejected_rows.open_keys(self._claim.table)

    def resolve(self) -> None:
        """Close the open errors of rows that have now been loaded."""
        if self._healed:
            self._ledger.rejected_rows.resolve(self._claim, self._healed)
            self._healed.clear()

    def _for_the_target(self) -> Transform:
        """The transform, and then what the target's own columns are too short for. Known with the first page."""
        if self._limited is None:
            self._limited = self._transform.followed_by(within(self._limits(), self._progress.cells_changed))
        return self._limited

    def _rejected(self, rows: pa.RecordBatch, index: int, reason: str, column: str | None) -> Rejected:
        if self._plan.pk:
            return Rejected(key_of(rows, index, self._plan.pk), reason, column)
        row = key_of(rows, index, rows.schema.names)
        return keyless_row(row, reason, column)

    def _note(self, rejected: Sequence[Rejected]) -> None:
        self._noted.extend(rejected)
        self.rejected_keys.update(tuple(row.key.items()) for row in rejected)
        self._progress.rows_rejected += len(rejected)
        limit = self._plan.config.max_rejected_rows
        if self._progress.rows_rejected > limit:
            self.flush()
            raise TooManyRejected(
                f"{self._claim.table}: more than {limit} rows were rejected; the last: {rejected[-1].reason}"
            )
        if len(self._noted) >= NOTE_EVERY:
            self.flush()

    def _heal(self, rows: pa.RecordBatch, bad: frozenset[int]) -> None:
        if self._open and self._plan.pk:
            pk = self._plan.pk
            found = rows_with_keys(rows, self._open, pk)
            self._healed.extend(key_of(rows, index, pk) for index in found if index not in bad)

    def _redact(self, payload: dict[str, object] | None) -> dict[str, object] | None:
        if payload is None:
            return None
        hidden = self._transform.sensitive
        return {name: REDACTED if name in hidden else value for name, value in payload.items()}


def within(limits: Sequence[Limit], changed: Counter[str]) -> Step:
    """Rejects rows that are too long for the target's columns, or changes them where `on_overflow` says so, and counts
    that in `changed`."""

    def check(rows: pa.RecordBatch) -> Outcome:
        kept = without(rows, {row: (reason, column) for row, reason, column in over_limit(rows, limits)})
        settled, counts = shortened(kept.rows, limits)
        changed.update(counts)
        return replace(kept, rows=settled)

    return check
