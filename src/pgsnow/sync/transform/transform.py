"""What happens to rows between Postgres and Snowflake: the configured function, then the declared changes.

docs/transforms.md tells users how to write one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgsnow.model.config.sync_config import TransformConfig
from pgsnow.model.types.mapping import Field
from pgsnow.sync.transform.function import batch_function

if TYPE_CHECKING:
    import pyarrow as pa

    from pgsnow.sync.transform.outcome import Bad, Step

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
        from pgsnow.sync.transform.outcome import run_steps  # Arrow: a plan is made without it

        result = run_steps(rows, self.steps)
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
    from pgsnow.sync.transform.steps import steps_of  # Arrow: tables without a transform are spared it

    output, steps = steps_of(config, fields)
    return Transform(output, config.sensitive, _changes(config, fields), steps)


def _changes(config: TransformConfig, fields: Sequence[Field]) -> frozenset[str]:
    by_function = {field.source for field in fields if not field.key} if config.function else set()
    return frozenset({*by_function, *config.sensitive, *config.cast})
