"""One chunk of a backfill: read through a snapshot of its own, and in the target before anything is said of it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from pgsnow.model.backfill import Chunk
from pgsnow.postgres.chunks import read_chunk
from pgsnow.postgres.finite import LastWatermark
from pgsnow.sync.pace import Pace
from pgsnow.sync.table_run import TableRun
from pgsnow.sync.units import UnitWriter


def load_chunk(run: TableRun, chunk: Chunk, writer: UnitWriter, pace: Pace, before: int) -> Chunk | None:
    """The chunk as it is once all its rows are in the target; None: the target had gone, and the chunks before it.
    before: the largest fence of what was written before the backfill."""
    run.destination.go_straight(not_after=before, earlier=chunk.fences[:-1])
    last = LastWatermark(run.plan, chunk.last_watermark) if run.plan.watermark else None
    rows, rejected, size = 0, run.progress.rows_rejected, pace.size
    with closing(read_chunk(run.source, run.plan, chunk.blocks, last)) as pages:
        for unit in writer.units(pace.kept(pages)):
            run.quarantine.flush()
            run.destination.load(unit)
            if run.destination.made_target:
                return None
            run.quarantine.resolve()
            rows += unit.rows
    run.quarantine.flush()
    return replace(
        chunk,
        done=True,
        rows=rows,
        rejected=run.progress.rows_rejected - rejected,
        size=pace.size - size,
        last_watermark=last.text if last else None,
    )
