"""Arrow's types by name: what a plan says of them. pyarrow is imported when rows are at hand, not to make a plan."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_DECIMAL = re.compile(r"decimal128\((\d+), (\d+)\)\Z")


def decimal(precision: int, scale: int) -> str:
    """The name of a decimal type."""
    return f"decimal128({precision}, {scale})"


def digits_of(name: str) -> tuple[int, int] | None:
    """(precision, scale) of a decimal; None for other types."""
    match = _DECIMAL.match(name)
    return (int(match[1]), int(match[2])) if match else None


@cache
def arrow_type(name: str) -> pa.DataType:
    """The type that Arrow itself writes so (`str(type)`). Raises KeyError for one that no mapping uses."""
    import pyarrow as pa  # an idle tick makes plans and has no rows: it is spared this import

    if digits := digits_of(name):
        return pa.decimal128(*digits)
    known = (
        pa.null(), pa.bool_(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string(),
        pa.binary(), pa.date32(), pa.time64("us"), pa.timestamp("us"), pa.timestamp("us", tz="UTC"),
    )  # fmt: skip
    return {str(kind): kind for kind in known}[name]
