"""The statements of a tick that finds changes, as text: those of `load` and `sweep`, for a made-up batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pgsnow.model.plan import ORDER_COLUMN
from pgsnow.model.table import TargetName
from pgsnow.model.typemap import Field
from pgsnow.snowflake import sql


def foresee_load(
    target: TargetName,
    output: Sequence[Field],
    key: Sequence[Field],
    *,
    batch: str,
    fence: int,
    part: Path,
    method: str,
) -> tuple[str, ...]:
    """In order: staging made, filled (from one part file; with method "insert" by bound values), merged, swept.

    A tick without changes sends none.
    """
    columns = [field.target for field in output] + [ORDER_COLUMN]
    fill = (
        (sql.insert_into_staging(target, batch, columns),)
        if method == "insert"
        else (sql.put(target, batch, part), sql.copy_into_staging(target, batch))
    )
    return (
        sql.create_staging(target, batch, output),
        *fill,
        sql.merge(target, batch, output, key, fence),
        sql.drop_staging(target, batch),
        sql.remove_batch(target, batch),
    )
