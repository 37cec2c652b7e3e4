"""Transform functions that take one row at a time: dict → dict, or None to drop the row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from pgsnow.model.errors import PgsnowError, TransformFailed
from pgsnow.model.settings.redaction import redacted
from pgsnow.model.types.mapping import Field
from pgsnow.sync.transform.coerce import coerced
from pgsnow.sync.transform.function import Function
from pgsnow.sync.transform.outcome import Outcome, batch_of, by_row, without_rows

_UNREADABLE = object()
"""Placeholder for a value that Arrow can hold and Python cannot, such as a date beyond the year 9999."""


class RowFunction:
    """Calls the function for each row. Values that it returns unchanged are taken from the source's column, so that
    they stay exact to the bit."""

    def __init__(
        self, function: Function, name: str, given: Sequence[Field], output: Sequence[Field]
    ) -> None:
        self._function = function
        self._name = name
        self._given = tuple(given)
        self._output = tuple(output)
        self._keys = {field.source for field in output}

    def __call__(self, rows: pa.RecordBatch) -> Outcome:
        columns = [_python_values(column) for column in rows.columns]
        kept, results, rejected = self._call_all(columns)
        dropped = rows.num_rows - len(kept) - len(rejected)
        built, bad = self._build(rows, columns, kept, results)
        fit = without_rows(built, bad)
        origin = kept if fit.origin is None else [kept[at] for at in fit.origin]
        failures = tuple((kept[at], reason, column) for at, reason, column in fit.rejected)
        return Outcome(fit.rows, origin, tuple(sorted((*rejected, *failures), key=lambda b: b[0])), dropped)

    def _call_all(
        self, columns: Sequence[Sequence[object]]
    ) -> tuple[list[int], list[Mapping[str, Any]], list[tuple[int, str, str | None]]]:
        names = [field.source for field in self._given]
        kept: list[int] = []
        results: list[Mapping[str, Any]] = []
        rejected: list[tuple[int, str, str | None]] = []
        for at, values in enumerate(zip(*columns, strict=True)):
            if unreadable := [name for name, v in zip(names, values, strict=True) if v is _UNREADABLE]:
                rejected.append(
                    (at, "Python has no such value, so the function was not called", ", ".join(unreadable))
                )
                continue
            try:
                result = self._function(dict(zip(names, values, strict=True)))
            except Exception as error:
                rejected.append((at, rejection_reason(error), None))
                continue
            if result is not None:
                kept.append(at)
                results.append(self._checked(result))
        return kept, results, rejected

    def _checked(self, result: object) -> Mapping[str, Any]:
        if not isinstance(result, Mapping):
            raise TransformFailed(
                f"transform {self._name}: it returned a {type(result).__name__}",
                advice="Return the row as a dict, or None to drop it.",
            )
        if result.keys() != self._keys:
            raise wrong_columns(self._name, set(result), self._keys)
        return result

    def _build(
        self,
        rows: pa.RecordBatch,
        columns: Sequence[Sequence[object]],
        kept: Sequence[int],
        results: Sequence[Mapping[str, Any]],
    ) -> tuple[pa.RecordBatch, dict[int, tuple[str, str]]]:
        bad: list[tuple[str, dict[int, str]]] = []
        built = []
        for at, field in enumerate(self._output):
            values = [result[field.source] for result in results]
            if field.computed:
                column, failures = coerced(values, field.type)
            else:
                before = [columns[at][row] for row in kept]
                same = rows.column(at).take(pa.array(kept, pa.int64()))
                column, failures = _with_changes(same, before, values, field)
            built.append(column)
            if failures:
                bad.append((field.source, failures))
        return batch_of(built, self._output), by_row(bad)


def _with_changes(
    column: pa.Array, before: Sequence[object], after: Sequence[object], field: Field
) -> tuple[pa.Array, dict[int, str]]:
    """`column` with the values that the function changed, and the reasons for those that do not fit."""
    rows = [at for at, (old, new) in enumerate(zip(before, after, strict=True)) if old is not new]
    if not rows:
        return column, {}
    values, failures = coerced([after[at] for at in rows], field.type)
    places = list(range(len(column)))
    for place, at in enumerate(rows, start=len(column)):
        places[at] = place
    merged = pa.concat_arrays([column, values]).take(pa.array(places, pa.int64()))
    return merged, {rows[at]: reason for at, reason in failures.items()}


def _python_values(column: pa.Array) -> list[object]:
    try:
        values: list[object] = column.to_pylist()
    except (ValueError, OverflowError):
        return [_python_value(scalar) for scalar in column]
    return values


def _python_value(scalar: pa.Scalar) -> object:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        return _UNREADABLE


def rejection_reason(error: Exception) -> str:
    """`ExceptionType: message`, the reason for rejecting the row. Raises errors that are not about the row:
    PgsnowErrors (a function may stop the table with TransformFailed), MemoryError, Celery's time limits."""
    if isinstance(error, (PgsnowError, MemoryError)) or type(error).__module__.startswith("billiard."):
        raise error
    return redacted(f"{type(error).__name__}: {error}")


def wrong_columns(name: str, found: set[str], wanted: set[str]) -> TransformFailed:
    """The error for a result whose columns differ from the given and declared ones."""
    missing = ", ".join(sorted(wanted - found))
    unknown = ", ".join(sorted(map(str, found - wanted)))
    said = [f"without {missing}"] if missing else []
    said += [f"with {unknown}, not declared"] if unknown else []
    fixes = ["Leave columns out with `columns: {exclude: […]}`."] if missing else []
    fixes += ["Declare new columns with their types under `adds:`."] if unknown else []
    return TransformFailed(
        f"transform {name}: it returned a result {' and '.join(said)}", advice=" ".join(fixes)
    )
