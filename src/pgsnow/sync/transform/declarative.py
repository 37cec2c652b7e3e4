"""Changes to columns that YAML declares: set_null, hash, mask, cast and rename, on whole Arrow columns.

They are applied in that order, whatever the order in the file; no column has two of hash, mask and set_null.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from pgsnow.model.config.sync_config import MaskRule, TransformConfig
from pgsnow.model.errors import ColumnMissing, ConfigError, TransformFailed
from pgsnow.model.plan import target_name
from pgsnow.model.types.mapping import Field, TypeMapping
from pgsnow.model.types.type_rules import mapping_named
from pgsnow.sync.transform.cast import as_text, can_cast, cast, preserves_distinctness, type_family
from pgsnow.sync.transform.coerce import CoercionError, Failures
from pgsnow.sync.transform.outcome import Outcome, batch_of, by_row, without_rows

MASK = "****"
"""Replaces hidden text of any length, so that the length is hidden too."""

Change = Callable[[pa.Array], tuple[pa.Array, Failures]]


class DeclaredChanges:
    """The declared changes to a table's fields, as one step. output: the fields after it."""

    def __init__(self, config: TransformConfig, fields: Sequence[Field]) -> None:
        """Raises ColumnMissing, TransformFailed, ConfigError."""
        _check_names(config, fields)
        changed = [_changed(config, field) for field in fields]
        self.output = tuple(_renamed(config, field) for field, _ in changed)
        self._changes = tuple(change for _, change in changed)

    def __call__(self, rows: pa.RecordBatch) -> Outcome:
        columns = []
        bad: list[tuple[str, Failures]] = []
        for field, column, change in zip(self.output, rows.columns, self._changes, strict=True):
            made, failures = change(column) if change else (column, {})
            columns.append(made)
            if failures:
                bad.append((field.source, failures))
        return without_rows(batch_of(columns, self.output), by_row(bad) if bad else {})


def _changed(config: TransformConfig, field: Field) -> tuple[Field, Change | None]:
    name = field.source
    kind = _cast_type(config.cast[name], field) if name in config.cast else field.type
    if name in config.set_null:
        return replace(_nullable(field), type=kind), _nulls(kind.arrow)
    if name in config.hash:
        return replace(field, type=mapping_named("text")), _hashed(_salt(config), field.type)
    if name in config.mask:
        return _masked_field(field), _masked(config.mask[name])
    if name in config.cast:
        return replace(field, type=kind), lambda column: cast(column, field.type, kind)
    return field, None


def _check_names(config: TransformConfig, fields: Sequence[Field]) -> None:
    known = {field.source for field in fields}
    for verb in ("set_null", "hash", "mask", "cast", "rename"):
        for name in getattr(config, verb):
            if name not in known:
                raise ColumnMissing(
                    f"transform.{verb}: no column {name}; there are {', '.join(sorted(known))}",
                    advice="Correct the column's name, or read it (`columns:`).",
                )


def _renamed(config: TransformConfig, field: Field) -> Field:
    name = config.rename.get(field.source)
    return field if name is None else replace(field, target=target_name(name, field.source))


def _nullable(field: Field) -> Field:
    if field.key:
        raise TransformFailed(
            f"transform.set_null: {field.source} belongs to pk, which cannot be NULL", advice="Use hash."
        )
    return replace(field, nullable=True)


def _nulls(arrow: pa.DataType) -> Change:
    return lambda column: (pa.nulls(len(column), arrow), {})


def _salt(config: TransformConfig) -> bytes:
    if config.salt is None:
        raise ConfigError(
            "transform.hash: there is no salt — write `salt: ${PGSNOW_HASH_SALT}` and set that variable"
        )
    return config.salt.get_secret_value().encode("utf-8", "surrogatepass")


def _hashed(salt: bytes, kind: TypeMapping) -> Change:
    """HMAC-SHA256 of each value's text in UTF-8 (of the bytes themselves for bytea), as 64 hex digits."""

    def change(column: pa.Array) -> tuple[pa.Array, Failures]:
        plain, failures = (column, {}) if type_family(kind) == "binary" else _texts(column)
        coded = plain.dictionary_encode()
        digests = [hmac.digest(salt, _bytes(value), "sha256").hex() for value in coded.dictionary.to_pylist()]
        return pa.array(digests, pa.string()).take(coded.indices), failures

    return change


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def _masked_field(field: Field) -> Field:
    if field.key:
        raise TransformFailed(
            f"transform.mask: {field.source} belongs to pk, and masked keys would be alike",
            advice="Use hash.",
        )
    if type_family(field.type) == "binary":
        raise TransformFailed(
            f"transform.mask: {field.source} is bytea, not text", advice="Use hash or set_null."
        )
    return replace(field, type=mapping_named("text"))


def _masked(rule: MaskRule) -> Change:
    """Hide all but the first and last characters that the rule keeps; a text that is not longer than those is
    hidden completely."""

    def change(column: pa.Array) -> tuple[pa.Array, Failures]:
        text, failures = _texts(column)
        start = pc.utf8_slice_codeunits(text, 0, rule.keep_first)
        end = pc.utf8_slice_codeunits(text, -rule.keep_last) if rule.keep_last else ""
        shown = pc.binary_join_element_wise(start, MASK, end, "")
        short = pc.less_equal(pc.utf8_length(text), rule.keep_first + rule.keep_last)
        return pc.if_else(short, MASK, shown), failures

    return change


def _texts(column: pa.Array) -> tuple[pa.Array, Failures]:
    text = mapping_named("text")
    try:
        return as_text(column), {}
    except CoercionError:
        return cast(column, replace(text, carried=str(column.type)), text)


def _cast_type(name: str, field: Field) -> TypeMapping:
    try:
        new = mapping_named(name)
    except ValueError as error:
        raise TransformFailed(f"transform.cast: {field.source}: {error}") from None
    if not can_cast(field.type, new):
        raise TransformFailed(
            f"transform.cast: {field.source} cannot go from {field.type.postgres} to {new.postgres}",
            advice="Cast to text, or change the value in a function.",
        )
    if field.key and not preserves_distinctness(field.type, new):
        raise TransformFailed(
            f"transform.cast: {field.source} belongs to pk, and different {field.type.postgres} values could be one"
            f" {new.postgres}",
            advice="Leave the column as it is, or cast it to text.",
        )
    return new
