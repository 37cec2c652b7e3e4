"""One small known query, read through libpq and past it: both must give the same rows."""

from __future__ import annotations

from typing import Any

import psycopg
import pyarrow as pa

from pgsnow.postgres.copy.batch import CopyColumn
from pgsnow.postgres.copy.copy_out import CopyChannel, OpenChannel, described
from pgsnow.postgres.copy.libpq_channel import LibpqChannel
from pgsnow.postgres.copy.messages import CopyResponse, Receive

BLOCK = 64 * 1024
SILENT_CALLS = 100
"""Calls of `receive` in a row that may give nothing, a tenth of a second each, before the self-test fails."""
# Types of fixed and varying size, NULLs, and one value that is longer than BLOCK and than a TLS record.
QUERY = """
select g as n, g * 4294967296 as big, g::int2 as small, g / 3.0::float8 as double, g % 2 = 0 as flag,
       case when g % 3 > 0 then 'row ' || g end as sparse, (g * 1.01)::numeric(12,2) as price,
       date '2024-02-28' + g as day, timestamptz '2024-02-28 12:00:00+00' + g * interval '1 hour' as moment,
       md5(g::text)::uuid as uid, decode(md5(g::text), 'hex') as bytes, jsonb_build_object('g', g) as document,
       null::text as nothing, case g when 20 then repeat('x', 100000) end as long
from generate_series(1, 40) g
"""


def difference(conn: psycopg.Connection[Any], open_channel: OpenChannel) -> str | None:
    """None if the channel gives the rows that libpq gives; else what differs, as text for people.

    `conn` is idle and in autocommit mode; six round trips, about 200 KB. Raises whatever reading raises, and
    TimeoutError if the channel stays silent. After an error the connection must be closed: nothing more may be sent
    on it, as libpq does not know what is still to be read."""
    # Behind a pooler, all of it needs the same server connection.
    conn.execute("begin isolation level read committed read only")
    columns = described(conn.pgconn, QUERY.encode())
    wanted = _read(LibpqChannel(conn.pgconn), columns)
    found = _read(open_channel(conn.pgconn), columns)
    conn.execute("commit")
    if found.num_rows != wanted.num_rows:
        return f"{found.num_rows} rows instead of {wanted.num_rows}"
    differing = [name for name in wanted.column_names if not found.column(name).equals(wanted.column(name))]
    return f"column {differing[0]} ({wanted.schema.field(differing[0]).type}) differs" if differing else None


def _read(channel: CopyChannel, columns: tuple[CopyColumn, ...]) -> pa.Table:
    try:
        channel.send(f"copy ({QUERY}) to stdout (format binary)".encode())
        return pa.Table.from_batches(CopyResponse(_bounded(channel.receive), columns, BLOCK))
    finally:
        channel.close()


def _bounded(receive: Receive) -> Receive:
    silent = 0

    def bounded(memory: memoryview) -> int:
        nonlocal silent
        got = receive(memory)
        silent = 0 if got else silent + 1
        if silent > SILENT_CALLS:
            raise TimeoutError("the channel gives nothing")
        return got

    return bounded
