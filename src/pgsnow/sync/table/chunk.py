"""One chunk of a backfill: read through a snapshot of its own, and in the target before anything is said of it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from pgsnow.model.backfill import Chunk
from pgsnow.postgres.read.chunk_reader import read_chunk
from pgsnow.postgres.read.last_watermark import LastWatermark
from pgsnow.sync.pipeline.load_batches import LoadBatchWriter
from pgsnow.sync.table.chunk_run import ChunkRun
from pgsnow.sync.table.throttle import Throttle


def load_chunk(run: ChunkRun, chunk: Chunk, writer: LoadBatchWriter, pace: Throttle) -> Chunk | None:
    """The chunk as it is once all its rows are in the target; None: the target had gone, and the chunks before it."""
    last = LastWatermark(run.plan) if run.plan.watermark else None
    rows, rejected, size = 0, run.progress.rows_rejected, pace.size
    with closing(read_chunk(run.source, run.plan, chunk.range, last)) as pages:
        for unit in writer.units(pace.kept(pages)):
            run.quarantine.flush()
            run.destination.units.load(unit)
            if run.destination.target.made:
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
