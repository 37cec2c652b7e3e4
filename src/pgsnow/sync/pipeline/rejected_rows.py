"""Rejected rows: those on which a transform raises an error, or which the target cannot hold. They are recorded in
sync_errors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import psycopg
import pyarrow as pa

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.batch import BadColumn, Page, Rejected
from pgsnow.model.errors import TooManyRejected
from pgsnow.model.plan import TablePlan
from pgsnow.model.sentences import counted, were
from pgsnow.model.types.overflow import Overflow
from pgsnow.postgres.convert.convert import keyless_row
from pgsnow.postgres.read.by_key import payloads
from pgsnow.snowflake.schema.length_limits import Limit, over_limit, shortened
from pgsnow.sync.pipeline.confidential import ConfidentialColumns
from pgsnow.sync.pipeline.row_keys import Items, Key, items_of, key_of, rows_with_keys, target_values
from pgsnow.sync.runtime.recorder import Recorder
from pgsnow.sync.transform.outcome import by_row, without_rows
from pgsnow.sync.transform.transform import Transform, Transformed

Values = tuple[Any, ...]
"""The values of a key in the target."""
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
        self.transform = transform
        self._limits: tuple[Limit, ...] = ()
        self._ledger = ledger
        self._claim = claim
        self._recorder = recorder
        self._source = source
        self._unwritten: list[Rejected] = []
        self._accepted_again: list[Key] = []
        self.rejected_keys: set[Items] = set()
        """Items of every key rejected in this run, as the ledger stores it."""
        self.confidential: ConfidentialColumns | None = None
        """Set if the table has columns whose values may not be stored."""
        if transform.sensitive and plan.config.transform is not None:
            self.confidential = ConfidentialColumns(plan.config.transform)
        self._open: list[Key] = []
        if claim.has_open_errors:
            self.reload_open_errors()

    def apply_limits(self, limits: Sequence[Limit]) -> None:
        """From now on, also check transformed rows against these columns of the target, which are shorter than
        Snowflake's maximum, and against no others."""
        self._limits = tuple(limits)

    def filter_rows(self, page: Page) -> tuple[pa.RecordBatch, Sequence[int] | None]:
        """The accepted rows of the page, transformed, in order; and the index in the page of each of them (None: all
        rows are accepted). Raises TooManyRejected, TransformFailed."""
        with self._recorder.timed("transform"):
            transformed = self.transform.apply(page.rows)
            rejected = {
                index: self._rejected(page.rows, index, reason, column)
                for index, reason, column in transformed.rejected
            }
            if self._limits:
                transformed, too_long = self._within_limits(page.rows, transformed)
                rejected |= too_long
            if self._open and self._plan.pk:
                self._find_accepted(page.rows, rejected.keys())
        self._recorder.rows_read += page.rows.num_rows + len(page.rejected)
        self._recorder.rows_dropped += transformed.dropped
        self._recorder.cells_changed.update(dict(page.changed))
        if page.rejected or rejected:
            self._add([*page.rejected, *rejected.values()])
        return transformed.rows, transformed.origin

    def flush(self) -> None:
        """Write the rejected rows to the ledger, each with its current payload in Postgres."""
        if not self._unwritten:
            return
        with self._recorder.timed("quarantine"):
            rows = [
                replace(row, payload=payload)
                for row, payload in zip(self._unwritten, self._payloads(), strict=True)
            ]
            if self.confidential is not None:
                rows = [self.confidential.row(row) for row in rows]
            self._ledger.rejected_rows.add(self._claim, rows)
        self._unwritten.clear()

    def rejected_before(self, rows: pa.RecordBatch) -> Sequence[int]:
        """The indexes of rows that may have an earlier version which was rejected, in this run or an earlier one."""
        known = [*map(dict, self.rejected_keys), *self._open]
        if known and self.confidential is not None:  # their keys are not stored as they are
            return range(rows.num_rows)
        return rows_with_keys(rows, known, self._plan.pk)

    def resolve_remaining(self) -> None:
        """After everything was read: close each open error whose row was not rejected again. Its row was loaded, or
        no longer exists in the source."""
        done = [key for key in self._open if items_of(key) not in self.rejected_keys]
        if done:
            self._ledger.rejected_rows.resolve(self._claim, done)
        self._accepted_again.clear()

    def reload_open_errors(self) -> None:
        """Read the open errors again, because other processes may have rejected rows of this table in the meantime."""
        if self.confidential is not None:
            self.confidential.rewrite(self._ledger.rejected_rows, self._claim)
        self._open = self._ledger.rejected_rows.open_keys(self._claim.table)

    @property
    def open_keys(self) -> Sequence[Key]:
        """Keys with an open error, as the ledger had them last."""
        return self._open

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

    def judge_older_versions(
        self, held: Callable[[Sequence[Values]], Collection[Values]], *, only_unknown: bool
    ) -> None:
        """Record of open errors whether the target has an older version of the row. held: which of these keys the
        target has. only_unknown: only errors of which that is not known yet. Nothing is recorded where keys are
        transformed, or where the target merges nothing."""
        plan, store = self._plan, self._ledger.rejected_rows
        if not plan.target_key or not self.transform.changes.isdisjoint(plan.pk):
            return
        keys = (store.unjudged_keys if only_unknown else store.open_keys)(self._claim.table)
        if keys:
            values = [target_values(key, plan.key) for key in keys]
            there = set(held([found for found in values if found is not None]))
            older = [key for key, found in zip(keys, values, strict=True) if found in there]
            store.mark_stale(self._claim, older, only_unknown=only_unknown)

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
        hidden = self.confidential
        keys = {items_of(row.key if hidden is None else hidden.key(row.key)) for row in rejected}
        self.rejected_keys |= keys
        # An earlier version of such a row may have been accepted in this run: its error is not to be closed.
        self._accepted_again = [key for key in self._accepted_again if items_of(key) not in keys]
        self._recorder.rows_rejected += len(rejected)
        limit = self._plan.config.max_rejected_rows
        if self._recorder.rows_rejected > limit:
            self.flush()
            rows = f"{counted(limit, 'row')} {were(limit)} rejected"
            last = f"; the last: {rejected[-1].reason}" if hidden is None else ""
            raise TooManyRejected(f"{self._claim.table}: more than {rows}{last}")
        if len(self._unwritten) >= FLUSH_EVERY:
            self.flush()

    def _within_limits(
        self, given: pa.RecordBatch, transformed: Transformed
    ) -> tuple[Transformed, dict[int, Rejected]]:
        """The transformed rows whose values the target's columns can hold (after `on_overflow`), and the others by
        their index in `given`."""
        bad: dict[int, list[BadColumn]] = {}
        for at, reason, name in over_limit(transformed.rows, self._limits):
            bad.setdefault(at, []).append(BadColumn(name, reason, self._admitted_by(name)))
        kept = without_rows(transformed.rows, dict.fromkeys(bad, ("", "")))
        rows, counts = shortened(kept.rows, self._limits)
        self._recorder.cells_changed.update(counts)
        before, origin = transformed.origin, kept.origin
        found = {at if before is None else before[at]: columns for at, columns in bad.items()}
        if before is not None:
            origin = before if origin is None else [before[at] for at in origin]
        return replace(transformed, rows=rows, origin=origin), {
            at: replace(
                self._rejected(given, at, *by_row([(c.name, {0: c.reason}) for c in columns])[0]),
                columns=tuple(columns),
            )
            for at, columns in found.items()
        }

    def _admitted_by(self, name: str) -> tuple[str, ...]:
        """The choices of `on_overflow` that shorten this column's values."""
        field = next(field for field in self._plan.output if field.source == name)
        return () if field.key or field.computed else (Overflow.CLAMP.value, Overflow.NULL.value)

    def _find_accepted(self, rows: pa.RecordBatch, rejected: Collection[int]) -> None:
        """Rows with an open error that are not rejected this time; the error is closed once they are loaded."""
        pk = self._plan.pk
        if self.confidential is not None:
            self._accepted_again += self.confidential.accepted(rows, self._open, pk, rejected)
            return
        found = rows_with_keys(rows, self._open, pk)
        self._accepted_again.extend(key_of(rows, index, pk) for index in found if index not in rejected)
