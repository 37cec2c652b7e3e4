"""Builds the steps of a configured transform. It imports Arrow, so it is imported with the first table that has a
transform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.model.config.sync_config import TransformConfig
from pgsnow.model.errors import TransformFailed
from pgsnow.model.table import target_column
from pgsnow.model.types.mapping import Field
from pgsnow.model.types.type_rules import mapping_named
from pgsnow.sync.transform.arrow_function import BatchFunction, build_batch_step
from pgsnow.sync.transform.declarative import DeclaredChanges
from pgsnow.sync.transform.function import find_function, takes_batches
from pgsnow.sync.transform.outcome import Outcome, Step, without_rows
from pgsnow.sync.transform.row_function import RowFunction


def build_steps(
    config: TransformConfig, fields: tuple[Field, ...]
) -> tuple[tuple[Field, ...], tuple[Step, ...]]:
    """The fields after the transform, and its steps. Raises what build_transform raises."""
    given = _with_added(config, fields)
    declared = DeclaredChanges(config, given)
    declares = bool(config.sensitive or config.cast)
    after: list[Step] = [declared] if declares else []
    return declared.output, tuple(_function_steps(config, fields, given, declared.output, after))


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
        return [build_batch_step(BatchFunction(function, config.function, given), [keys, *after], output)]
    return [RowFunction(function, config.function, fields, given), keys, *after]


def _with_added(config: TransformConfig, fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """The fields after the function: every column but the key becomes nullable, and `adds` are appended."""
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
    """A step that rejects rows in which the function set the key to NULL."""
    keys = [(at, field.source) for at, field in enumerate(fields) if field.key]

    def check(rows: pa.RecordBatch) -> Outcome:
        bad: dict[int, tuple[str, str | None]] = {}
        for at, name in keys:
            if rows.column(at).null_count:
                for row in pc.indices_nonzero(rows.column(at).is_null()).to_pylist():
                    named = f"{bad[row][1]}, {name}" if row in bad else name
                    bad[row] = ("the transform made a pk column NULL", named)
        return without_rows(rows, bad)

    return check
