"""Timestamps in results."""

from __future__ import annotations

from typing import Any

import fakesnow.arrow
import pyarrow as pa
import pyarrow.compute as pc

MICROS = 1_000_000
UTC_OFFSET = 1440
"""How the protocol writes an offset of zero minutes."""


def keep_null_timestamps() -> None:
    """Stock: a NULL timestamp is returned as 1970-01-01, and the fraction is converted through a float."""
    fakesnow.arrow.timestamp_to_sf_struct = as_struct


def as_struct(timestamps: pa.Array | pa.ChunkedArray) -> pa.StructArray:
    """timestamp -> struct<epoch: int64 seconds, fraction: int32 nanoseconds[, timezone: int32]>, NULLs kept."""
    if isinstance(timestamps, pa.ChunkedArray):
        timestamps = timestamps.combine_chunks()
    nulls = pc.is_null(timestamps)
    micros = pc.fill_null(timestamps.cast(_in_micros(timestamps.type)).cast(pa.int64()), 0)
    seconds, rest = _floor_divide(micros)
    parts: list[tuple[str, Any]] = [
        ("epoch", seconds),
        ("fraction", pc.multiply(rest, 1_000).cast(pa.int32())),
    ]
    if timestamps.type.tz:
        parts.append(("timezone", pa.array([UTC_OFFSET] * len(timestamps), pa.int32())))
    fields = [pa.field(name, values.type, nullable=False) for name, values in parts]
    return pa.StructArray.from_arrays([values for _, values in parts], fields=fields, mask=nulls)


def _in_micros(kind: pa.TimestampType) -> pa.TimestampType:
    return pa.timestamp("us", tz=kind.tz)


def _floor_divide(micros: pa.Array) -> tuple[pa.Array, pa.Array]:
    seconds = pc.divide(micros, MICROS)
    rest = pc.subtract(micros, pc.multiply(seconds, MICROS))
    below = pc.less(rest, 0)
    return (
        pc.if_else(below, pc.subtract(seconds, 1), seconds),
        pc.if_else(below, pc.add(rest, MICROS), rest),
    )
