"""Snowflake sessions that several tables take turns with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from pgsnow.model.settings import SnowflakeSettings
from pgsnow.snowflake.connection import Session, connect


class Sessions:
    """At most one a thread at a time, opened when first needed."""

    def __init__(self, settings: SnowflakeSettings, query_tag: str) -> None:
        self._settings = settings
        self._query_tag = query_tag
        self._free: SimpleQueue[Session] = SimpleQueue()

    @contextmanager
    def one(self) -> Iterator[Session]:
        """A session for the block; one that has failed, whose socket may be broken, does not come back."""
        try:
            session = self._free.get_nowait()
        except Empty:
            session = connect(self._settings, query_tag=self._query_tag)
        try:
            yield session
        except BaseException:
            session.close()
            raise
        self._free.put(session)

    def close(self) -> None:
        while not self._free.empty():
            self._free.get().close()
