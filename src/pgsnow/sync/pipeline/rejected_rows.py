"""Rejected rows: those on which a transform raises an error, or which the target cannot hold. They are recorded in
sync_errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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
from pgsnow.sync.transform.outcome import Outcome, Step, without_rows
from pgsnow.sync.transform.transform import Transform

REDACTED = "(redacted)"
FLUSH_EVERY = 1_000
"""Rejected rows held in memory before they are written to the ledger."""


class RejectedRows:
    """Transforms the pages of one run and filters out rejected rows. The caller must call `flush` before the
    checkpoint moves past those rows."""

    def __init__(
        self,
        plan: TablePlan,
        transform: Transform,
        ledger: Ledger,
        claim: Claim,
        recorder: Recorder,
        source: psycopg.Connection,
    ) -> None:
        self._plan = plan
        self._transform = transform
        self._limited = transform
        self._ledger = ledger
        self._claim = claim
        self._recorder = recorder
        self._source = source
        self._unwritten: list[Rejected] = []
        self._accepted_again: list[Key] = []
        self.rejected_keys: set[tuple[tuple[str, str | None], ...]] = set()
        """Items of every key rejected in this run."""
        self._open = ledger.rejected_rows.open_keys(claim.table) if claim.has_open_errors else []

    def apply_limits(self, limits: Sequence[Limit]) -> None:
        """From now on, also check transformed rows against these columns of the target, which are shorter than
        Snowflake's maximum, and against no others."""
        self._limited = self._transform
        if limits:
            self._limited = self._transform.followed_by(within(limits, self._recorder.cells_changed))

    def filter_rows(self, page: Page) -> pa.RecordBatch:
        """The accepted rows of the page, transformed, in order. Raises TooManyRejected, TransformFailed."""
        with self._recorder.timed("transform"):
            transformed = self._limited.apply(page.rows)
            rejected = [self._rejected(page.rows, *entry) for entry in transformed.rejected]
            if self._open and self._plan.pk:
                self._find_accepted(page.rows, {index for index, _, _ in transformed.rejected})
        self._recorder.rows_read += page.rows.num_rows + len(page.rejected)
        self._recorder.rows_dropped += transformed.dropped
        self._recorder.cells_changed.update(dict(page.changed))
        if page.rejected or rejected:
            self._add([*page.rejected, *rejected])
        return transformed.rows

    def flush(self) -> None:
        """Write the rejected rows to the ledger, each with its current payload in Postgres."""
        if not self._unwritten:
            return
        with self._recorder.timed("quarantine"):
            rows = [
                replace(row, payload=self._redact(payload))
                for row, payload in zip(self._unwritten, self._payloads(), strict=True)
            ]
            self._ledger.rejected_rows.add(self._claim, rows)
        self._unwritten.clear()

    def resolve_remaining(self) -> None:
        """After everything was read: close each open error whose row was not rejected again. Its row was loaded, or
        no longer exists in the source."""
        done = [key for key in self._open if tuple(key.items()) not in self.rejected_keys]
        if done:
            self._ledger.rejected_rows.resolve(self._claim, done)
        self._accepted_again.clear()

    def reload_open_errors(self) -> None:
        """Read the open errors again, because other processes may have rejected rows of this table in the meantime."""
        self._open = self._ledger.rejected_rows.open_keys(self._claim.table)

    def begin_again(self) -> None:
        """Before everything is read again, and perhaps by other limits: errors of the read before are open ones."""
        self.rejected_keys.clear()
        self._accepted_again.clear()
        self.reload_open_errors()

    def resolve_loaded(self) -> None:
        """Close the open errors of rows that have now been loaded."""
        if self._accepted_again:
            self._ledger.rejected_rows.resolve(self._claim, self._accepted_again)
            self._accepted_again.clear()

    def _payloads(self) -> list[dict[str, Any] | None]:
        """A row without a key cannot be found again, so its payload is what was read."""
        if not self._plan.pk:
            return [row.payload for row in self._unwritten]
        return payloads(self._source, self._plan, [row.key for row in self._unwritten])

    def _rejected(self, rows: pa.RecordBatch, index: int, reason: str, column: str | None) -> Rejected:
        if self._plan.pk:
            return Rejected(key_of(rows, index, self._plan.pk), reason, column)
        row = key_of(rows, index, rows.schema.names)
        return keyless_row(row, reason, column)

    def _add(self, rejected: Sequence[Rejected]) -> None:
        self._unwritten.extend(rejected)
        keys = {tuple(row.key.items()) for row in rejected}
        self.rejected_keys |= keys
        # An earlier version of such a row may have been accepted in this run: its error is not to be closed.
        self._accepted_again = [key for key in self._accepted_again if tuple(key.items()) not in keys]
        self._recorder.rows_rejected += len(rejected)
        limit = self._plan.config.max_rejected_rows
        if self._recorder.rows_rejected > limit:
            self.flush()
            raise TooManyRejected(
                f"{self._claim.table}: more than {limit} rows were rejected; the last: {rejected[-1].reason}"
            )
        if len(self._unwritten) >= FLUSH_EVERY:
            self.flush()

    def _find_accepted(self, rows: pa.RecordBatch, rejected: set[int]) -> None:
        """Rows with an open error that are not rejected this time; the error is closed once they are loaded."""
        pk = self._plan.pk
        found = rows_with_keys(rows, self._open, pk)
        self._accepted_again.extend(key_of(rows, index, pk) for index in found if index not in rejected)

    def _redact(self, payload: dict[str, object] | None) -> dict[str, object] | None:
        if payload is None:
            return None
        hidden = self._transform.sensitive
        return {name: REDACTED if name in hidden else value for name, value in payload.items()}


def within(limits: Sequence[Limit], changed: Counter[str]) -> Step:
    """A step that rejects rows with values too long for the target's columns, or changes the values if
    `on_overflow` says so; it adds the number of changed values to `changed`, by column."""

    def check(rows: pa.RecordBatch) -> Outcome:
        accepted = without_rows(
            rows, {row: (reason, column) for row, reason, column in over_limit(rows, limits)}
        )
        fitting, counts = shortened(accepted.rows, limits)
        changed.update(counts)
        return replace(accepted, rows=fitting)

    return check
