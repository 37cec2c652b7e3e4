"""Conversion of batches from COPY into the plan's types; rows that those types cannot hold are rejected."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.model.batch import BadColumn, Page, Rejected
from pgsnow.model.errors import SourceQueryFailed
from pgsnow.model.metadata_columns import HASH_COLUMN
from pgsnow.model.plan import TablePlan
from pgsnow.model.types.mapping import Field
from pgsnow.postgres.convert.checks import Checked, check, either, invalid_text, null_key
from pgsnow.postgres.convert.oversize import oversize_values
from pgsnow.postgres.text_values import text_at

MAX_SHOWN = 10_000
"""Characters of one value that a rejected row's payload keeps."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted batch. rows: the good ones, in the plan's types. good: booleans, which of the batch's rows those are
    (None: all)."""

    rows: pa.RecordBatch
    rejected: tuple[Rejected, ...] = ()
    good: pa.Array | None = None
    changed: tuple[tuple[str, int], ...] = ()
    """(column, how many of the good rows' values `on_overflow` changed)."""

    def pages(self, plan: TablePlan) -> Iterator[Page]:
        """Slices of at most `rows_of_page` rows; the first one carries what was rejected or changed. No page if there
        are no rows."""
        size = rows_of_page(plan)
        rejected, changed = self.rejected, self.changed
        for start in range(0, self.rows.num_rows, size):
            yield Page(self.rows.slice(start, size), rejected, changed)
            rejected, changed = (), ()
        if rejected:
            yield Page(self.rows, rejected)


def rows_of_page(plan: TablePlan) -> int:
    """`batch_size` where a function is given each page. Elsewhere a batch stays as large as it came, because every page
    costs calls and Parquet chunks of its own."""
    transform = plan.config.transform
    has_function = transform is not None and transform.function is not None
    return plan.config.batch_size if has_function else plan.config.max_rows_per_load


class Converter:
    """Converts the batches of one read. The plan's fields come first in each batch; further columns are ignored.

    checks_text: text must be checked for valid UTF-8, because the database does not.
    """

    def __init__(self, plan: TablePlan, *, checks_text: bool = False) -> None:
        self._plan = plan
        self._checks_text = checks_text
        self.schema = pa.schema([pa.field(f.source, f.type.arrow) for f in plan.fields])

    def convert(self, batch: pa.RecordBatch) -> Converted:
        """The batch in the plan's types. Raises SourceQueryFailed if a column does not have the type that the
        plan expects: the table was altered meanwhile."""
        columns: list[pa.Array] = []
        faults: list[tuple[Field | None, Checked]] = []
        changed: list[tuple[str, pa.Array]] = []
        for left, oversize in oversize_values(self._plan, batch):
            if oversize.bad is not None:
                faults.append((left, oversize))
            elif left is not None:
                changed.append((left.source, oversize.changed))
        for field, column in zip(self._plan.fields, batch.columns, strict=False):
            invalid = invalid_text(column) if self._checks_text else None
            checked = self._check(field, column if invalid is None else invalid.values)
            columns.append(checked.values)
            if checked.changed is not None:
                changed.append((field.source, checked.changed))
            found = [invalid, checked, null_key(checked.values, field)]
            faults += [(field, fault) for fault in found if fault is not None and fault.bad is not None]
        rows = pa.RecordBatch.from_arrays(columns, schema=self.schema)
        converted = self._filter_rows(batch, rows, faults) if faults else Converted(rows)
        return replace(converted, changed=_counted(changed, converted.good)) if changed else converted

    def _check(self, field: Field, column: pa.Array) -> Checked:
        try:
            return check(field, column)
        except pa.ArrowInvalid as error:
            raise SourceQueryFailed(
                f"{self._plan.source.name}: column {field.source} is not {field.type.postgres}: {error}",
                advice="If the table was just altered, the next run reads it with its new definition.",
            ) from error

    def _filter_rows(
        self, batch: pa.RecordBatch, rows: pa.RecordBatch, faults: Sequence[tuple[Field | None, Checked]]
    ) -> Converted:
        found: dict[int, dict[str | None, Checked]] = {}
        for field, fault in faults:
            for row in pc.indices_nonzero(fault.bad).to_pylist():
                found.setdefault(row, {}).setdefault(field.source if field else None, fault)
        rejected = tuple(self._rejected(batch, row, found[row]) for row in sorted(found))
        good = pa.array([row not in found for row in range(rows.num_rows)])
        return Converted(rows.filter(good), rejected, good)

    def _rejected(self, batch: pa.RecordBatch, row: int, faults: Mapping[str | None, Checked]) -> Rejected:
        """The row with all of its faults, by column in the order of the fields (None: the row as a whole)."""
        names = [field.source for field in self._plan.fields if field.source in faults]
        bad = tuple(BadColumn(name, faults[name].why(row), faults[name].admitted_by(row)) for name in names)
        reasons = [f"{column.name}: {column.reason}" for column in bad]
        if (whole := faults.get(None)) is not None:
            reasons.append(whole.why(row))
        reason, column, known = "; ".join(reasons), ", ".join(names) or None, bad if whole is None else ()
        if self._plan.pk:
            return Rejected(self._key(batch, row), reason, column, columns=known)
        fields = zip(self._plan.fields, batch.columns, strict=False)
        texts = {field.source: text_at(_plain(array), row) for field, array in fields}
        return replace(keyless_row(texts, reason, column), columns=known)

    def _key(self, batch: pa.RecordBatch, row: int) -> dict[str, str | None]:
        at = {field.source: index for index, field in enumerate(self._plan.fields)}
        return {name: text_at(_plain(batch.column(at[name])), row) for name in self._plan.pk}


def _counted(changed: Sequence[tuple[str, pa.Array]], good: pa.Array | None) -> tuple[tuple[str, int], ...]:
    """(column, number of changed cells in good rows), without zeros."""
    found: dict[str, pa.Array] = {}
    for name, cells in changed:
        found[name] = either(found.get(name), cells)
    kept = [(name, cells if good is None else pc.and_(cells, good)) for name, cells in found.items()]
    return tuple((name, cells.true_count) for name, cells in kept if cells.true_count)


def _plain(array: pa.Array) -> pa.Array:
    return array.storage if isinstance(array.type, pa.BaseExtensionType) else array


def keyless_row(row: Mapping[str, str | None], reason: str, column: str | None) -> Rejected:
    """A rejected row of a table without a key. `row`: column → text as it was read. A hash of all of it is
    the key, so that equal rows are one entry, and a row that was corrected is another one. The payload is the
    row, long texts cut."""
    text = json.dumps(list(row.items()), ensure_ascii=True)
    content_hash = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return Rejected(
        {HASH_COLUMN: content_hash}, reason, column, {name: _cut(text) for name, text in row.items()}
    )


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= MAX_SHOWN:
        return text
    return f"{text[:MAX_SHOWN]}… ({len(text)} characters)"
