"""Removes rows of given keys from a target in memory, as pgsnow.sync.load.deletes does."""

from __future__ import annotations

from pgsnow.model.config.options import Deletes
from pgsnow.model.metadata_columns import FENCE_COLUMN
from pgsnow.snowflake.sql.soft_deletes import Gone
from pgsnow.sync.compare.value_text import key_of_values
from pgsnow.sync.load.deletes import NUMBER, Removed
from pgsnow.sync.pipeline.key_spool import KeySpool
from pgsnow.sync.pipeline.load_batches import batch_name
from pgsnow.testing.memory_target import MemoryTarget
from pgsnow.testing.warehouse import Row


def remove_keys(target: MemoryTarget, keys: KeySpool, deletes: Deletes) -> Removed:
    """See pgsnow.sync.load.deletes.remove_keys."""
    claim, plan, marks = target.claimed.claim, target.plan, deletes is Deletes.SOFT
    fence, gone = claim.fence, frozenset(keys)
    target.batches.begin(batch_name(plan, fence, NUMBER))

    def is_gone(row: Row) -> bool:
        key = key_of_values([row[f.target] for f in plan.target_key], plan.target_key)
        return key in gone and (row[FENCE_COLUMN] or 0) <= fence

    def remove() -> int:
        with target.step("delete"):
            return target.remove(is_gone, fence, gone_rows=Gone.MARKED if marks else Gone.DELETED)

    failed = target.failed
    rows = target.retried(remove)
    certain = target.failed == failed and not failed
    if not marks:
        target.claimed.add_rows(-rows if certain else None)
    if certain and rows < keys.rows:
        target.claimed.check_fence(target.warehouse.table(plan.target).newest_fence)
    target.recorder.tell("deleted", rows=rows)
    return Removed(rows, certain)
