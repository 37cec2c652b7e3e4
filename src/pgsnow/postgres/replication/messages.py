"""Messages of a replication session and of pgoutput that are read one by one.

https://www.postgresql.org/docs/current/protocol-replication.html,
https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from struct import Struct

from pgsnow.model.errors import LogMalformed
from pgsnow.model.log.relation import LogColumn, LogRelation

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
DATA, KEEPALIVE = ord("w"), ord("k")
HEAD = 25
"""Bytes before the message of pgoutput in a message with data: its kind, begin and end in the log, and the time."""
KEEPALIVE_BODY = Struct(">BQqB")
"""Kind, position of the server, time, and whether it asks for an answer."""
OID = Struct(">I")
IN_STREAM = Struct(">II")
"""Head of a change in a streamed transaction: the (sub)transaction's id and the table's oid."""
COMMIT = Struct(">BQQq")
"""Flags, begin and end of the commit record, and its time in microseconds since EPOCH."""
BEGIN = Struct(">QqI")
"""Begin of the commit record, its time, and the transaction's id."""
STREAM_START = Struct(">IB")
STREAM_COMMIT = Struct(">IBQQq")
STREAM_ABORT = Struct(">II")
_STATUS = Struct(">cQQQqB")
_TRUNCATE = Struct(">IB")
_COLUMNS = Struct(">cH")
_COLUMN = Struct(">Ii")
_UNIX_EPOCH = 946_684_800


def status_update(confirmed: int, *, reply: bool = False) -> bytes:
    """Tells the server that changes up to this position are safe here. reply: it should answer at once."""
    now = int((time.time() - _UNIX_EPOCH) * 1_000_000)
    return _STATUS.pack(b"r", confirmed, confirmed, confirmed, now, reply)


def moment(microseconds: int) -> datetime:
    """The time that a message has."""
    return EPOCH + timedelta(microseconds=microseconds)


def relation_of(body: memoryview, at: int) -> LogRelation:
    """A relation message, from its oid at this position. Raises LogMalformed."""
    data = bytes(body)
    try:
        (oid,) = OID.unpack_from(data, at)
        schema, at = _name(data, at + OID.size)
        table, at = _name(data, at)
        identity, count = _COLUMNS.unpack_from(data, at)
        at += _COLUMNS.size
        columns = []
        for _ in range(count):
            name, after = _name(data, at + 1)
            type_oid, modifier = _COLUMN.unpack_from(data, after)
            columns.append(LogColumn(name, type_oid, modifier, key=bool(data[at] & 1)))
            at = after + _COLUMN.size
        if at != len(data):
            raise ValueError(f"{len(data) - at} bytes too many")
        return LogRelation(oid, schema or "pg_catalog", table, identity.decode(), tuple(columns))
    except Exception as error:  # struct.error, ValueError, IndexError, UnicodeDecodeError
        raise LogMalformed(f"a relation message of the log cannot be read: {error}") from error


def truncated_tables(body: memoryview, at: int) -> tuple[int, ...]:
    """The oids that a truncate message has, from its number of tables at this position. Raises struct.error."""
    count, _options = _TRUNCATE.unpack_from(body, at)
    return Struct(f">{count}I").unpack_from(body, at + _TRUNCATE.size)


def _name(data: bytes, at: int) -> tuple[str, int]:
    """A text that ends with a zero byte, and where the next field begins."""
    end = data.index(0, at)
    return data[at:end].decode(), end + 1
