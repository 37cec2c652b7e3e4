"""Arrays decoded from binary COPY: the JSON text is the one that the server's to_json writes."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pyarrow as pa
import pytest

from pgsnow.model.types.type_rules import DECODED_ARRAYS
from pgsnow.postgres.copy.batch import JSON_ARRAYS
from pgsnow.postgres.copy.copy_out import rows
from pgsnow.postgres.copy.socket_channel import SocketChannel
from tests.integration.postgres.lab import Lab

ELEMENTS = {
    "bool": "g % 3 = 0",
    "int2": "g - 50",
    "int4": "g * 1000003",
    "int8": "-g * 4294967296",
    "uuid": "md5(g::text)::uuid",
    "text": "case when g % 5 = 0 then chr(g % 31 + 1) || '\"\\\\' || g else repeat('ä', g % 40) end",
    "varchar": "'v' || g",
    "bpchar": "('c' || g)::char(6)",
    "name": "('n' || g)::name",
}
"""An expression for the value number g."""
ROWS = 400
# No elements, one, some; more than other rows have; NULLs at each end and alone; several dimensions; a NULL array.
ARRAYS = """
select n, case
  when n % 11 = 0 then null
  when n % 7 = 0 and {nulls} < 1000 then array[null]::{kind}[]
  when n = 100 then (select array_agg({value} order by g) from generate_series(1, 30) g)
  when n = 101 then array_fill((select {value} from generate_series(7, 7) g), array[2, 3, 2], array[-1, 0, 5])
  when n = 102 then array[[null, (select {value} from generate_series(5, 5) g)]]
  when n = 103 then array[null, (select {value} from generate_series(5, 5) g), null]
  when n > 380 then (select array_agg(case when g % {nulls} > 0 then {value} end order by g)
                     from generate_series(1, 60 + n % 30) g)
  else coalesce((select array_agg({value} order by g) from generate_series(n, n + n % 4 - 1) g), '{{}}') end as a
from generate_series(1, {rows}) n
"""


@pytest.fixture
def conn(lab: Lab) -> Iterator[psycopg.Connection]:
    with psycopg.connect(lab.dsn, autocommit=True) as conn:
        yield conn


@pytest.mark.parametrize("kind", ELEMENTS)
def test_an_array_is_the_json_that_the_server_writes(conn: psycopg.Connection, kind: str) -> None:
    """Decoding on this side changes no character: escapes, NULLs, several dimensions and lower bounds included."""
    for nulls, count in ((2, ROWS), (1000, ROWS), (1000, 8)):
        query = ARRAYS.format(kind=kind, value=ELEMENTS[kind], nulls=nulls, rows=count)
        found = pa.Table.from_batches(
            rows(conn, f"select a, to_json(a)::text as wanted from ({query}) as t order by n", SocketChannel)
        )
        found.validate(full=True)
        assert found.column("a").to_pylist() == found.column("wanted").to_pylist()


def test_exactly_the_arrays_that_the_decoder_knows_are_sent_as_they_are() -> None:
    """An array that is sent without to_json and not decoded would stop its table; one decoded for nothing costs the
    server time."""
    assert set(JSON_ARRAYS) == DECODED_ARRAYS
