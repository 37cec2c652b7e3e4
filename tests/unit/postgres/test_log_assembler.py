"""Messages of pgoutput, sorted by transaction and table."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.errors import LogMalformed
from pgsnow.postgres.replication.assemble import LogAssembler
from pgsnow.postgres.replication.spool import SpoolBudget
from pgsnow.postgres.replication.spooled import SpooledReading

HEAD = b"w" + bytes(24)
TABLE = 7
NOWHERE = Path("/nowhere")


def relation(xid: bytes = b"") -> bytes:
    columns = struct.pack(">H", 1) + b"\1id\0" + struct.pack(">Ii", 23, -1)
    return b"R" + xid + struct.pack(">I", TABLE) + b"public\0t\0d" + columns


def insert(key: int, xid: bytes = b"") -> bytes:
    text = str(key).encode()
    return b"I" + xid + struct.pack(">I", TABLE) + b"N\0\1t" + struct.pack(">I", len(text)) + text


def begin(xid: int) -> bytes:
    return b"B" + struct.pack(">QqI", 0, 0, xid)


def commit(end: int) -> bytes:
    return b"C" + struct.pack(">BQQq", 0, end - 1, end, 0)


STREAM = struct.pack(">I", 5)
MESSAGES = [
    *(begin(1), relation(), insert(1), insert(2), commit(10)),
    *(b"S" + STREAM + b"\1", relation(STREAM), insert(3, STREAM), b"E"),
    *(begin(2), insert(4), commit(20)),
    *(b"S" + STREAM + b"\0", insert(5, struct.pack(">I", 6)), insert(6, STREAM), b"E"),
    *(b"A" + STREAM + struct.pack(">I", 6), b"c" + STREAM + struct.pack(">BQQq", 0, 29, 30, 0)),
]
ROWS = [(insert(key), end) for key, end in ((1, 10), (2, 10), (4, 20), (3, 30), (6, 30))]


def read(messages: list[bytes], *, whole: bool = True) -> SpooledReading:
    """The reading after these messages, as libpq delivers them or one by one."""
    log = LogAssembler(SpoolBudget(NOWHERE, 0), 0)
    if whole:
        coming = iter(messages)

        def fetch(_async: int) -> tuple[int, memoryview]:
            message = next(coming, None)
            framed = memoryview(b"" if message is None else HEAD + message)
            return len(framed), framed

        while log.take_from(fetch, 1 << 62, 1 << 62)[0]:
            pass
    else:
        for message in messages:
            log.take(memoryview(message))
    return log.finish(log.position, complete=True)


def rows(reading: SpooledReading) -> list[tuple[bytes, int]]:
    found = []
    for block in reading.blocks(TABLE):
        at = 0
        for length, end in zip(block.lengths.tolist(), block.commits.tolist(), strict=True):
            found.append((bytes(block.data[at : at + length]), end))
            at += length
    return found


@pytest.mark.parametrize("whole", [True, False])
def test_order_of_commits(whole: bool) -> None:
    """Changes come in the order in which their transactions committed; those of a subtransaction that was rolled back
    are left out, and the id of a streamed transaction is taken out of its messages."""
    reading = read(MESSAGES, whole=whole)
    assert rows(reading) == ROWS
    assert reading.committed == {1, 2, 5}
    assert (reading.end, reading.messages) == (30, len(MESSAGES))


@given(st.data())
def test_damaged_messages(data: st.DataObject) -> None:
    """A message that is cut, repeated, or lost leads to an error, or changes nothing but the rows of its own
    transaction."""
    at = data.draw(st.integers(0, len(MESSAGES) - 1))
    message = MESSAGES[at]
    damaged = data.draw(
        st.one_of(
            st.integers(0, len(message) - 1).map(lambda n: [message[:n]]),
            st.just([]),
            st.just([message, message]),
        )
    )
    try:
        found = rows(read([*MESSAGES[:at], *damaged, *MESSAGES[at + 1 :]]))
    except LogMalformed:
        return
    ends = sorted({end for _, end in ROWS})
    mine = {10: range(5), 20: range(9, 12), 30: (*range(5, 9), *range(12, 18))}
    for end in ends:
        if at not in mine[end]:
            assert [row for row in found if row[1] == end] == [row for row in ROWS if row[1] == end]
