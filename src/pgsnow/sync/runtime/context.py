"""Context of runs: services that all runs of an engine share, and the options and source connections of one tick."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import psycopg

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.settings.settings import Settings
from pgsnow.postgres.connection import Source
from pgsnow.snowflake.schema.file_format import FileFormats
from pgsnow.snowflake.schema.looks import SharedLooks
from pgsnow.snowflake.schema.schema_objects import SchemaObjects
from pgsnow.snowflake.session_pool import SessionPool
from pgsnow.snowflake.stage.stage import Stages
from pgsnow.sync.runtime.events import Observer
from pgsnow.sync.runtime.planner import Planner

if TYPE_CHECKING:
    from pgsnow.snowflake.sql.live_view import LiveView


@dataclass(slots=True)
class TargetNotes:
    """Facts about a target that a process keeps between its runs. Moments are those of `time.monotonic`."""

    looked_at: float | None = None
    """When a run has last looked at it and found it as it was; None: none has."""
    fence: int | None = None
    """The highest fence of its rows, as of the last load by this process; None: not known."""
    uncounted_until: float = 0.0
    """Until then, a statement does not compare the number of its rows: it may not see all of them."""
    staging_until: float = 0.0
    """Until then, Snowflake is not asked to read its files without a staging table."""
    live_view: LiveView | None = None
    """The live view as a run has last made it; None: none has."""
    live_view_looked_at: float | None = None
    """When the live view was last seen to be pgsnow's own."""
    live_view_refused_until: float = 0.0
    """Until then, the live view is not tried again."""


@dataclass(frozen=True, slots=True)
class EngineContext:
    """Services that are kept between ticks. All of them may be used from several threads."""

    config: SyncConfig
    settings: Settings
    ledger: Ledger
    source: Source
    planner: Planner
    observer: Observer | None
    stop: threading.Event
    """Set when the engine is asked to stop."""
    stages: Stages
    sessions: SessionPool
    """The sessions in Snowflake, which all runs share."""
    targets: Mapping[str, str]
    """The full name of each configured table's target."""
    entries: Mapping[str, str]
    """Hash of each configured table's entry, and of the connections: a failed table is tried at once if it changed."""
    destination: Callable[..., Any] | None = None
    """Makes the `Destination` of a run (sync/load/destination.py) instead of SnowflakeDestination: a seam for tests."""
    notes: dict[str, TargetNotes] = field(default_factory=dict)
    """By the full name of the target."""
    looks: SharedLooks = field(default_factory=SharedLooks)
    formats: FileFormats = field(default_factory=FileFormats)
    made: SchemaObjects = field(default_factory=SchemaObjects)
    busy: dict[str, int] = field(default_factory=dict)
    """How many tables the ticks that are running now sync, by the id of the tick."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options for all runs of one tick; none is set by default."""

    full_refresh: bool = False
    """Read everything, and delete rows that the source no longer has."""
    resync: bool = False
    """Read everything into a shadow table, then replace the target's content with it."""
    reread: bool = False
    """Read everything and load it again, and delete nothing."""
    duplicates_only: bool = False
    """Remove the target's duplicates, and do nothing else."""
    load: bool = False
    """Load staged batches now, whether they are due or not."""
    leave_chunks: bool = False
    """Begin and finish backfills, but leave their chunks to other processes."""

    take_over: bool = False
    """A full refresh of targets that belong to another configuration until now."""

    confirm_deletes: bool = False
    """A person has confirmed the deletes of this tick, whatever their number."""

    @property
    def refresh(self) -> bool:
        """True if everything must be read."""
        return self.full_refresh or self.resync or self.reread or self.take_over

    @property
    def deletes(self) -> bool:
        """True if target rows that the source no longer has must be deleted."""
        return self.full_refresh or self.resync or self.take_over


@dataclass(frozen=True, slots=True)
class Connections:
    """Pool of source connections for one tick: at most one per thread at a time, opened when first needed."""

    source: Source
    free: SimpleQueue[psycopg.Connection] = field(default_factory=SimpleQueue)

    @contextmanager
    def one(self) -> Iterator[psycopg.Connection]:
        """A connection for the length of the block; one that breaks is closed. Raises SourceUnavailable."""
        try:
            conn = self.free.get_nowait()
        except Empty:
            conn = self.source.connect()
        try:
            yield conn
        finally:
            if conn.broken or conn.closed:
                conn.close()
            else:
                self.free.put(conn)

    def close(self) -> None:
        """Close the idle connections."""
        while not self.free.empty():
            self.free.get().close()
