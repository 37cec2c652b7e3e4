"""What happens to rows between Postgres and Snowflake: the configured function, then the declared changes.

docs/transforms.md tells users how to write one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.model.config import TransformConfig
from pgsnow.model.errors import TransformFailed
from pgsnow.model.table import target_column
from pgsnow.model.typemap import Field, mapping_named
from pgsnow.sync.batch_rows import BatchFunction, batchwise
from pgsnow.sync.declarative import Declared
from pgsnow.sync.outcome import Bad, Outcome, Step, in_turn, without
from pgsnow.sync.row_function import RowFunction
from pgsnow.sync.transform_function import batch_function, find_function, takes_batches

__all__ = ["Transform", "Transformed", "batch_function", "build_transform"]


@dataclass(frozen=True, slots=True)
class Transformed:
    """rows: what is loaded. rejected: (row of the batch that was given, reason, column or None), by row.
    dropped: how many rows the function left out. given = loaded + rejected + dropped."""

    rows: pa.RecordBatch
    rejected: tuple[Bad, ...] = ()
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Transform:
    """output: the fields after the transform, in order. sensitive: source columns whose clear values must not
    be kept anywhere. changes: source columns whose values may differ in the target."""

    output: tuple[Field, ...]
    sensitive: frozenset[str] = frozenset()
    changes: frozenset[str] = frozenset()
    steps: tuple[Step, ...] = ()

    def apply(self, rows: pa.RecordBatch) -> Transformed:
        """`rows` has the fields that were read, in order; the result has `output`'s schema and keeps the order.

        Raises TransformFailed if the function breaks its contract; a row that it fails on is rejected.
        """
        result = in_turn(rows, self.steps)
        return Transformed(
            result.rows, tuple(sorted(result.rejected, key=lambda bad: bad[0])), result.dropped
        )

    def followed_by(self, step: Step) -> Transform:
        """The same, and then `step`, which keeps the output's schema."""
        return replace(self, steps=(*self.steps, step))


def build_transform(config: TransformConfig | None, fields: tuple[Field, ...]) -> Transform:
    """Raises TransformFailed, ColumnMissing, and ConfigError for a hash without salt."""
    if config is None:
        return Transform(fields)
    given = _with_added(config, fields)
    declared = Declared(config, given)
    declares = bool(config.sensitive or config.cast)
    after: list[Step] = [declared] if declares else []
    return Transform(
        output=declared.output,
        sensitive=config.sensitive,
        changes=_changes(config, fields),
        steps=tuple(_function_steps(config, fields, given, declared.output, after)),
    )


def _function_steps(
    config: TransformConfig,
    fields: Sequence[Field],
    given: Sequence[Field],
    output: Sequence[Field],
    after: Sequence[Step],
) -> list[Step]:
    if config.function is None:
        return list(after)
    function = find_function(config.function)
    keys = _key_check(given)
    if takes_batches(function):
        return [batchwise(BatchFunction(function, config.function, given), [keys, *after], output)]
    return [RowFunction(function, config.function, fields, given), keys, *after]


def _with_added(config: TransformConfig, fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """The fields after the function: it may empty any column but the key, and adds its own."""
    if config.function is None:
        return fields
    known = {field.source for field in fields}
    added = []
    for name, type_name in config.adds.items():
        if name in known:
            raise TransformFailed(
                f"transform.adds: column {name} is read from the source", advice="Rename it."
            )
        try:
            kind = mapping_named(type_name)
        except ValueError as error:
            raise TransformFailed(f"transform.adds: {name}: {error}") from None
        added.append(Field(source=name, target=target_column(name), type=kind, computed=True))
    return (*(replace(field, nullable=field.nullable or not field.key) for field in fields), *added)


def _key_check(fields: Sequence[Field]) -> Step:
    """Rejects rows whose key the function made NULL."""
    keys = [(at, field.source) for at, field in enumerate(fields) if field.key]

    def check(rows: pa.RecordBatch) -> Outcome:
        bad: dict[int, tuple[str, str | None]] = {}
        for at, name in keys:
            if rows.column(at).null_count:
                for row in pc.indices_nonzero(rows.column(at).is_null()).to_pylist():
                    bad.setdefault(row, ("the transform made a pk column NULL", name))
        return without(rows, bad)

    return check


def _changes(config: TransformConfig, fields: Sequence[Field]) -> frozenset[str]:
    by_function = {field.source for field in fields if not field.key} if config.function else set()
    return frozenset({*by_function, *config.sensitive, *config.cast})
