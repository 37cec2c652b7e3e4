"""The transform of a table's rows: the configured function, then the declared changes. See docs/transforms.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgsnow.model.config.sync_config import TransformConfig
from pgsnow.model.types.mapping import Field
from pgsnow.sync.transform.function import batch_function

if TYPE_CHECKING:
    import pyarrow as pa

    from pgsnow.sync.transform.outcome import Rejection, Step

__all__ = ["Transform", "Transformed", "batch_function", "build_transform"]


@dataclass(frozen=True, slots=True)
class Transformed:
    """The result for one batch. rows: those to load. rejected: (index in the input batch, reason, columns or None),
    by row. dropped: how many rows the function left out. Every input row is in exactly one of the three. origin: the
    index in the input batch for each of `rows` (None: all rows, in order)."""

    rows: pa.RecordBatch
    rejected: tuple[Rejection, ...] = ()
    dropped: int = 0
    origin: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class Transform:
    """A table's transform; by default it changes nothing. output: the fields after it, in order. sensitive: source
    columns whose original values must not be stored anywhere. changes: source columns whose values may differ in
    the target."""

    output: tuple[Field, ...]
    sensitive: frozenset[str] = frozenset()
    changes: frozenset[str] = frozenset()
    steps: tuple[Step, ...] = ()

    def apply(self, rows: pa.RecordBatch) -> Transformed:
        """Transform a batch of the fields that were read, in order. The result has `output`'s schema and keeps the
        rows' order; a row on which the function raises an error is rejected. Raises TransformFailed if the function
        breaks its contract."""
        if not self.steps:
            return Transformed(rows)
        from pgsnow.sync.transform.outcome import run_steps  # imports Arrow, which a plan does not need

        result = run_steps(rows, self.steps)
        return Transformed(
            result.rows,
            tuple(sorted(result.rejected, key=lambda bad: bad[0])),
            result.dropped,
            result.origin,
        )


def build_transform(config: TransformConfig | None, fields: tuple[Field, ...]) -> Transform:
    """The transform of a table that is read with these fields. Imports its function. Raises TransformFailed,
    ColumnMissing, and ConfigError for a hash without a salt."""
    if config is None:
        return Transform(fields)
    from pgsnow.sync.transform.steps import build_steps  # imports Arrow, which most plans do not need

    output, steps = build_steps(config, fields)
    return Transform(output, config.sensitive, _changes(config, fields), steps)


def _changes(config: TransformConfig, fields: Sequence[Field]) -> frozenset[str]:
    by_function = {field.source for field in fields if not field.key} if config.function else set()
    return frozenset({*by_function, *config.sensitive, *config.cast})
