"""What is to be asked for once a worker is done with a chunk."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from pgsnow.model.errors import LeaseLost, PgsnowError, SchemaMoved, ShuttingDown
from pgsnow.sync.runtime.log import logger

if TYPE_CHECKING:
    from pgsnow.sync.engine import Engine


class NextStep(Enum):
    """TABLE: a run of the table, which ends the backfill or begins it anew. CHUNK: the next chunk. NONE: others are at
    work on what is left."""

    TABLE = auto()
    CHUNK = auto()
    NONE = auto()


def after_chunk(engine: Engine, table: str) -> NextStep:
    """Load a chunk, if there is one to take. Raises what may pass when it is tried again.

    A failure that a person must mend has to be where they look for it, and a chunk has no place of its own there: the
    table's run, which has, meets the same failure.
    """
    try:
        loaded = engine.take_chunk(table)
    except (SchemaMoved, LeaseLost) as moved:
        logger(table).info("chunk given up", reason=str(moved))
        return NextStep.TABLE
    except ShuttingDown:
        return NextStep.CHUNK
    except Exception as error:
        if isinstance(error, PgsnowError) and error.transient:
            raise
        logger(table).error("chunk failed", error=str(error), error_type=type(error).__name__)
        engine.tick([table])
        return NextStep.NONE
    if loaded is None:
        return NextStep.NONE
    if loaded.left == 0:
        return NextStep.TABLE
    return NextStep.CHUNK if loaded.waiting else NextStep.NONE
