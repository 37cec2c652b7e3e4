"""Transform functions that take a RecordBatch, and the search for the rows on which such a function fails."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.model.errors import TransformFailed
from pgsnow.model.sentences import counted
from pgsnow.model.types.mapping import TEXT_LIMIT, Field
from pgsnow.sync.transform.coerce import CoercionError, check_json, is_json, shortest
from pgsnow.sync.transform.function import Function
from pgsnow.sync.transform.outcome import Outcome, Step, batch_of, by_row, run_steps, schema_of
from pgsnow.sync.transform.row_function import rejection_reason, wrong_columns


class BatchFunction:
    """Calls the function and checks its contract: the same columns plus `adds`, the same types, no more rows."""

    def __init__(self, function: Function, name: str, output: Sequence[Field]) -> None:
        self._function = function
        self._name = name
        self._output = tuple(output)
        self._schema = schema_of(output)

    def __call__(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The function's result. Raises TransformFailed for a broken contract, CoercionError for a bad value, and
        any error that the function raises."""
        result = self._function(rows)
        if not isinstance(result, pa.RecordBatch):
            raise TransformFailed(
                f"transform {self._name}: it returned a {type(result).__name__}",
                advice="Return a pyarrow.RecordBatch.",
            )
        columns = self._columns(result)
        if result.num_rows > rows.num_rows:
            raise TransformFailed(
                f"transform {self._name}: it returned {counted(result.num_rows, 'row')} for {rows.num_rows}",
                advice="A transform may drop rows, never add any.",
            )
        bad = []
        for field, column in zip(self._output, columns, strict=True):
            try:
                _check_values(field, column, rows)
            except BadValueError as error:
                bad.append((error.column, {0: str(error)}))
        if bad:
            raise BadValueError(*by_row(bad)[0])
        return batch_of(columns, self._output)

    def _columns(self, result: pa.RecordBatch) -> list[pa.Array]:
        names = result.schema.names
        if sorted(names) != sorted(self._schema.names):
            raise wrong_columns(self._name, set(names), set(self._schema.names))
        columns = [_of_real(field, result.column(field.source)) for field in self._output]
        for field, column in zip(self._schema, columns, strict=True):
            if column.type != field.type:
                raise TransformFailed(
                    f"transform {self._name}: it returned column {field.name} as {column.type} instead of {field.type}",
                    advice="Cast the column back in the function; change types with `cast:`.",
                )
        return columns


def _of_real(field: Field, column: pa.Array) -> pa.Array:
    """The column; float32, the type of Postgres's `real`, in the doubles that such a column is loaded as."""
    is_single = field.type.postgres == "float4" and pa.types.is_float32(column.type)
    return shortest(column) if is_single and field.type.carried == "double" else column


def _check_values(field: Field, column: pa.Array, given: pa.RecordBatch) -> None:
    """Raise BadValueError for a value that Snowflake would reject, while its row can still be determined."""
    if not pa.types.is_string(field.type.arrow):
        return
    if not field.computed and column.equals(given.column(field.source)):
        return
    longest = pc.max(pc.binary_length(column)).as_py() or 0
    if longest > TEXT_LIMIT:
        raise BadValueError(f"a text is longer than {TEXT_LIMIT} bytes", field.source)
    if is_json(field.type):
        for text in column.drop_null().to_pylist():
            try:
                check_json(text)
            except CoercionError as error:
                raise BadValueError(str(error), field.source) from None


class BadValueError(CoercionError):
    """Values in a batch function's result that their columns (joined by a comma) cannot hold."""

    def __init__(self, reason: str, column: str) -> None:
        super().__init__(reason)
        self.column = column


def build_batch_step(function: BatchFunction, steps: Sequence[Step], output: Sequence[Field]) -> Step:
    """The function and the steps after it as one step, which rejects the rows on which any of them fails.

    A failing batch is halved until single rows are left, so the function may get a row more than once, in smaller
    batches: it must treat each row independently.
    """

    def attempt(rows: pa.RecordBatch) -> Outcome | None:
        result = run_steps(function(rows), steps)
        if result.rejected and rows.num_rows > 1:
            return None
        rejected = tuple((0, reason, column) for _, reason, column in result.rejected)
        dropped = rows.num_rows - result.rows.num_rows - len(rejected)
        return Outcome(result.rows, None, rejected, dropped)

    def apply(rows: pa.RecordBatch) -> Outcome:
        if rows.num_rows == 0:
            return Outcome(_empty(output))
        try:
            result = attempt(rows)
        except Exception as error:
            reason = str(error) if isinstance(error, BadValueError) else rejection_reason(error)
            if rows.num_rows == 1:
                column = error.column if isinstance(error, BadValueError) else None
                return Outcome(_empty(output), (), ((0, reason, column),))
            result = None
        return result or _apply_halves(apply, rows)

    return apply


def _apply_halves(apply: Step, rows: pa.RecordBatch) -> Outcome:
    middle = rows.num_rows // 2
    first, second = apply(rows.slice(0, middle)), apply(rows.slice(middle))
    rejected = first.rejected + tuple((at + middle, reason, column) for at, reason, column in second.rejected)
    columns = [pa.concat_arrays(pair) for pair in zip(first.rows.columns, second.rows.columns, strict=True)]
    joined = pa.RecordBatch.from_arrays(columns, schema=first.rows.schema)
    return Outcome(joined, None, rejected, first.dropped + second.dropped)


def _empty(output: Sequence[Field]) -> pa.RecordBatch:
    return batch_of([pa.array([], field.type.arrow) for field in output], output)
