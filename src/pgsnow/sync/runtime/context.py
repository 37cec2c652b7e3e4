"""What every tick of an engine works with, and the Postgres connections of one tick."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import psycopg

from pgsnow.ledger.ledger import Ledger
from pgsnow.model.config.sync_config import SyncConfig
from pgsnow.model.settings.settings import Settings
from pgsnow.postgres.connection import Source
from pgsnow.snowflake.stage.choose import Stages
from pgsnow.sync.runtime.events import Observer
from pgsnow.sync.runtime.planner import Planner


@dataclass(frozen=True, slots=True)
class EngineContext:
    """Everything here outlives a tick and may be used from several threads."""

    config: SyncConfig
    settings: Settings
    ledger: Ledger
    source: Source
    planner: Planner
    observer: Observer
    stop: threading.Event
    stagings: Stages


class Connections:
    """Source connections of one tick: at most one a thread at a time, opened when first needed."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._free: SimpleQueue[psycopg.Connection] = SimpleQueue()

    @contextmanager
    def one(self) -> Iterator[psycopg.Connection]:
        """A connection for the block; a broken one does not come back."""
        try:
            conn = self._free.get_nowait()
        except Empty:
            conn = self._source.connect()
        try:
            yield conn
        finally:
            if conn.broken or conn.closed:
                conn.close()
            else:
                self._free.put(conn)

    def close(self) -> None:
        while not self._free.empty():
            self._free.get().close()
