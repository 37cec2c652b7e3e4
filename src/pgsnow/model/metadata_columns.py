"""pgsnow's own columns in target tables, in addition to those of the source."""

from __future__ import annotations

from typing import NamedTuple

FENCE_COLUMN = "_PGSNOW_FENCE"
"""In every target: the fence (fencing token) of the run that wrote the row."""
SYNCED_AT_COLUMN = "_PGSNOW_SYNCED_AT"
"""When the row was loaded, in UTC, by Snowflake's clock."""
RUN_ID_COLUMN = "_PGSNOW_RUN_ID"
"""The run that loaded it, as in sync_logs."""
HASH_COLUMN = "_PGSNOW_HASH"
"""With `mode: append`: a hash of the row as it was loaded."""
OCCURRENCE_COLUMN = "_PGSNOW_OCCURRENCE"
"""With `mode: append`: numbers equal rows, 1 for the first, 2 for the second."""
DELETED_AT_COLUMN = "_PGSNOW_DELETED_AT"
"""With `deletes: soft`: when the row was found to be deleted in the source, in UTC, by Snowflake's clock; NULL for a
row that the source has. The row keeps its last values."""
ORDER_COLUMN = "_PGSNOW_ROW"
"""In every staging table: the order in which rows were read; of two rows with the same key the later one wins."""
RESERVED = frozenset(
    {
        FENCE_COLUMN, SYNCED_AT_COLUMN, RUN_ID_COLUMN, HASH_COLUMN, OCCURRENCE_COLUMN, DELETED_AT_COLUMN,
        ORDER_COLUMN, "_PGSNOW_OPERATION", "_PGSNOW_UNCHANGED", "_PGSNOW_LSN",
    }
)  # fmt: skip
"""Names that no column of a source may have in the target. The last three: model/log/changes.py."""


class MetadataColumn(NamedTuple):
    """A column of a target: its name and its Snowflake type."""

    name: str
    kind: str


FENCE = MetadataColumn(FENCE_COLUMN, "NUMBER(38,0)")
AUDIT = (MetadataColumn(SYNCED_AT_COLUMN, "TIMESTAMP_TZ"), MetadataColumn(RUN_ID_COLUMN, "VARCHAR"))
IDENTITY = (MetadataColumn(HASH_COLUMN, "VARCHAR"), MetadataColumn(OCCURRENCE_COLUMN, "NUMBER(38,0)"))
DELETED_AT = MetadataColumn(DELETED_AT_COLUMN, "TIMESTAMP_TZ")
