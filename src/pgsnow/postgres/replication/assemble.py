"""Sorts the messages of pgoutput by transaction and table, until their transactions commit.

Transactions that are streamed while they are open come in pieces between others; their changes wait by the id of the
transaction, and subtransactions that are rolled back are left out.
https://www.postgresql.org/docs/current/protocol-logical-replication.html"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from pgsnow.model.errors import LogMalformed
from pgsnow.model.log.relation import LogRelation
from pgsnow.postgres.replication import messages as m
from pgsnow.postgres.replication.spool import EXTENT, Extent, SpoolBudget, SpoolFile
from pgsnow.postgres.replication.spooled import SpooledPart, SpooledReading

_CHANGES = frozenset(b"IUD")
_SHORTEST = m.HEAD + 1 + m.IN_STREAM.size
_ENDS_AT_ONCE = 64
_IGNORED = frozenset(b"YOM")
"""Types, origins, logical messages."""

Fetch = Callable[[int], tuple[int, memoryview]]
"""PQgetCopyData: bytes of a message and the message; 0: none has come yet; -1: the server has ended the session."""


@dataclass(slots=True)
class Streamed:
    """Changes of a streamed transaction that is still open. relations: definitions that came in it. size: bytes of its
    messages; before: of those that came before the present reading."""

    xid: int
    home: SpoolFile
    extents: list[Extent] = field(default_factory=list)
    last: dict[int, Extent] = field(default_factory=dict)
    relations: dict[int, LogRelation] = field(default_factory=dict)
    subtransactions: set[int] = field(default_factory=set)
    dropped: set[int] = field(default_factory=set)
    size: int = 0
    before: int = 0


class LogAssembler:
    """The messages of one session, in order. Open streamed transactions outlive a reading, and end with the session.

    position: every transaction that committed at or before it was taken whole. alive: called while changes are written
    to disk, which may take long."""

    def __init__(self, budget: SpoolBudget, position: int) -> None:
        self._budget = budget
        self.position = position
        self.alive: Callable[[], None] = lambda: None
        self.streamed: dict[int, Streamed] = {}
        self._stream: Streamed | None = None
        self._stream_began = 0
        self._in_transaction = False
        self._relations: dict[int, LogRelation] = {}
        self._memory: list[Extent] = []
        self._spill_at = 0
        self._others = {
            ord("B"): self._begin,
            ord("C"): self._commit,
            ord("R"): self._relation,
            ord("T"): self._truncate,
            ord("S"): self._stream_start,
            ord("E"): self._stream_stop,
            ord("c"): self._stream_commit,
            ord("A"): self._stream_abort,
        }
        self.reading = self.new_reading()

    def new_reading(self) -> SpooledReading:
        """Begin a reading at the position."""
        self._last: dict[int, Extent] = {}
        self._memory = [
            extent for streamed in self.streamed.values() for extent in streamed.extents if extent.at < 0
        ]
        for streamed in self.streamed.values():
            streamed.before = streamed.size
        self._spill_at = self._budget.memory - sum(len(extent.data) for extent in self._memory)
        self._spilled = self._budget.spilled
        self.reading = SpooledReading(self.position, SpoolFile(self._budget))
        return self.reading

    @property
    def pending(self) -> int:
        """Bytes of the reading that are of transactions which are still open."""
        return sum(streamed.size - streamed.before for streamed in self.streamed.values())

    @property
    def between(self) -> bool:
        """Neither in a transaction nor in a piece of a streamed one."""
        return not self._in_transaction and self._stream is None

    def finish(self, end: int, *, complete: bool) -> SpooledReading:
        """The reading, to this position."""
        for extent in self._last.values():
            extent.seal()
        self.position = end
        self.reading.end, self.reading.complete = end, complete
        self.reading.spilled = self._budget.spilled - self._spilled
        return self.reading

    def discard(self) -> None:
        """Free all that is not in a finished reading."""
        for streamed in self.streamed.values():
            streamed.home.close()
        self.streamed, self._stream = {}, None

    def take(self, body: memoryview) -> bool:
        """One message; True at the end of a transaction, or of a piece of a streamed one. Raises LogMalformed,
        LogSpoolFull, SpoolUnavailable, SpoolDenied."""
        self.reading.messages += 1
        self.reading.size += len(body)
        try:
            kind = body[0]
            if kind in _CHANGES:
                self._change(body)
                return False
            if kind not in _IGNORED:
                self._others[kind](body)
            return not self._in_transaction and self._stream is None
        except (struct.error, IndexError, KeyError) as error:
            kind_text = bytes(body[:1]).decode("ascii", "replace")
            raise LogMalformed(
                f"a message {kind_text!r} of the log, of {len(body)} bytes, makes no sense"
            ) from error

    def take_from(self, fetch: Fetch, until: int, most: int) -> tuple[int, memoryview]:
        """Take messages of the server as they come. Returns the result of `fetch` that ended that: a message at the end
        of a transaction or of a piece of a streamed one, if the position is `until` or later, the reading has as many
        bytes as `most`, or it is time to look around; a message without data; or no message. Raises as `take` does."""
        ends = _ENDS_AT_ONCE
        while True:
            size, message = self._changes_of(fetch) if self._stream is None else self._streamed_changes(fetch)
            if size <= m.HEAD or message[0] != m.DATA:
                return size, message
            if self.take(message[m.HEAD :]):
                ends -= 1
                if self.position >= until or self.reading.size >= most or not ends:
                    return size, message

    def _changes_of(self, fetch: Fetch) -> tuple[int, memoryview]:
        """Take changes that follow others of their table, which costs half of what `take` does; the first message that
        is none, or no message."""
        reading, last, head = self.reading, self._last, m.HEAD
        owner, in_transaction = len(reading.commits), self._in_transaction
        while True:
            size, message = fetch(1)
            if (
                size < _SHORTEST
                or message[0] != m.DATA
                or message[head] not in _CHANGES
                or not in_transaction
            ):
                return size, message
            extent = last.get(m.OID.unpack_from(message, head + 1)[0])
            if extent is None or not extent.open:
                return size, message
            if extent.owner != owner:
                extent.begin_run(owner)
            extent.lengths.append(size - head)
            extent.data += message[head:]
            self._count(extent, size - head)

    def _streamed_changes(self, fetch: Fetch) -> tuple[int, memoryview]:
        """Like `_changes_of`, for a piece of a streamed transaction."""
        assert self._stream is not None
        last, head = self._stream.last, m.HEAD
        while True:
            size, message = fetch(1)
            if size < _SHORTEST or message[0] != m.DATA or message[head] not in _CHANGES:
                return size, message
            owner, oid = m.IN_STREAM.unpack_from(message, head + 1)
            extent = last.get(oid)
            if extent is None or not extent.open or extent.owner != owner:
                return size, message
            extent.lengths.append(size - head - 4)
            extent.data += message[head : head + 1]
            extent.data += message[head + 5 :]
            self._count(extent, size - head)

    def _count(self, extent: Extent, size: int) -> None:
        """A change of this size was added."""
        self.reading.messages += 1
        self.reading.size += size
        if len(extent.data) >= EXTENT:
            extent.seal()
        if self.reading.size >= self._spill_at:
            self._spill()

    @property
    def _open_extents(self) -> dict[int, Extent]:
        """The last extent of each table: of the streamed transaction whose piece is being read, or of the reading."""
        return self._last if self._stream is None else self._stream.last

    def _change(self, body: memoryview) -> None:
        if self._stream is None:
            if not self._in_transaction:
                raise KeyError("a change outside of a transaction")
            (oid,) = m.OID.unpack_from(body, 1)
            self._add(oid, len(self.reading.commits), body)
        else:
            owner, oid = m.IN_STREAM.unpack_from(body, 1)
            self._add(oid, owner, bytes(body[:1]) + body[5:])

    def _add(self, oid: int, owner: int, body: memoryview | bytes) -> None:
        extent = self._open_extents.get(oid)
        if extent is None or not extent.open:
            extent = self._extent(oid)
        if extent.owner != owner:
            extent.begin_run(owner)
            if self._stream is not None:
                self._stream.subtransactions.add(owner)
        extent.lengths.append(len(body))
        extent.data += body
        if len(extent.data) >= EXTENT:
            extent.seal()
        if self.reading.size >= self._spill_at:
            self._spill()

    def _extent(self, oid: int) -> Extent:
        """A new extent for the table, in the streamed transaction or in the reading."""
        stream = self._stream
        if stream is None:
            extent = Extent(self._relations[oid], self.reading.home)
            self.reading.parts.setdefault(oid, []).append(SpooledPart(extent))
            self._last[oid] = extent
        else:
            extent = Extent(stream.relations.get(oid) or self._relations[oid], stream.home)
            stream.extents.append(extent)
            stream.last[oid] = extent
        self._memory.append(extent)
        return extent

    def _spill(self) -> None:
        """Write all that is in memory to disk, except what was rolled back."""
        self._budget.transaction = self._stream.xid if self._stream else self.reading.xids[-1]
        for extent in self._memory:
            if not extent.home.closed:
                extent.write()
                self.alive()
        self._memory, self._spill_at = [], self.reading.size + self._budget.memory

    def _begin(self, body: memoryview) -> None:
        if not self.between:
            raise KeyError("a transaction in another")
        _, _, xid = m.BEGIN.unpack_from(body, 1)
        self._in_transaction = True
        self.reading.xids.append(xid)

    def _commit(self, body: memoryview) -> None:
        if not self._in_transaction:
            raise KeyError("no transaction")
        _, _, end, time = m.COMMIT.unpack_from(body, 1)
        self._in_transaction = False
        self.reading.commits.append(end)
        self._committed(end, time)

    def _committed(self, end: int, time: int) -> None:
        self.position = end
        self.reading.newest = time

    def _relation(self, body: memoryview) -> None:
        stream = self._stream
        relation = m.relation_of(body, 1 if stream is None else 5)
        known = self._relations if stream is None else stream.relations
        known[relation.oid] = relation
        if (extent := self._open_extents.get(relation.oid)) and extent.relation != relation:
            extent.seal()

    def _truncate(self, body: memoryview) -> None:
        """Is a change of each of its tables."""
        stream = self._stream
        oids = m.truncated_tables(body, 1 if stream is None else 5)
        owner = len(self.reading.commits)
        if stream is not None:
            (owner,) = m.OID.unpack_from(body, 1)
        elif not self._in_transaction:
            raise KeyError("a change outside of a transaction")
        text = bytes(body) if stream is None else bytes(body[:1]) + body[5:]
        for oid in oids:
            self._add(oid, owner, text)

    def _stream_start(self, body: memoryview) -> None:
        if not self.between:
            raise KeyError("a piece of a transaction in another")
        xid, first = m.STREAM_START.unpack_from(body, 1)
        if first:
            self._drop(xid)
            self.streamed[xid] = Streamed(xid, SpoolFile(self._budget))
        self._stream, self._stream_began = self.streamed[xid], self.reading.size

    def _stream_stop(self, _body: memoryview) -> None:
        if self._stream is None:
            raise KeyError("no piece of a transaction")
        self._stream.size += self.reading.size - self._stream_began
        self._stream = None

    def _stream_commit(self, body: memoryview) -> None:
        xid, _, _, end, time = m.STREAM_COMMIT.unpack_from(body, 1)
        streamed = self.streamed.pop(xid)
        dropped = frozenset(streamed.dropped)
        for oid, extent in streamed.last.items():
            extent.seal()
            if last := self._last.get(oid):
                last.seal()
        for extent in streamed.extents:
            self.reading.parts.setdefault(extent.relation.oid, []).append(SpooledPart(extent, end, dropped))
        self.reading.homes.append(streamed.home)
        self.reading.xids.extend({xid, *streamed.subtransactions} - dropped)
        self._relations.update(streamed.relations)
        self._committed(end, time)

    def _stream_abort(self, body: memoryview) -> None:
        xid, subtransaction = m.STREAM_ABORT.unpack_from(body, 1)
        if xid == subtransaction:
            self._drop(xid)
        elif xid in self.streamed:
            self.streamed[xid].dropped.add(subtransaction)

    def _drop(self, xid: int) -> None:
        if streamed := self.streamed.pop(xid, None):
            streamed.home.close()
