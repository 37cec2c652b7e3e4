"""Binary COPY to Arrow: every value of every type as it was sent, wherever the network cuts the stream."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgsnow.postgres.copy.batch import CopyColumn, MalformedCopy
from pgsnow.postgres.copy.messages import CopyResponse, ServerError
from pgsnow.postgres.copy.positions import SPARE, find_rows
from tests.examples import examples
from tests.unit.postgres.sent import copy_of, message, refusal, sent

NUMERIC = 1700
TEXTS = st.one_of(
    st.text(max_size=40), st.sampled_from(["", "d" * 30, "d\0\0\0", "東京 \U0001f600", "x" * 700])
)
MOMENTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31))
VALUES: dict[int, st.SearchStrategy[Any]] = {
    16: st.booleans(),
    17: st.binary(max_size=60),
    20: st.integers(-(2**63), 2**63 - 1),
    21: st.integers(-(2**15), 2**15 - 1),
    23: st.integers(-(2**31), 2**31 - 1),
    25: TEXTS,
    700: st.floats(width=32, allow_nan=False),
    701: st.floats(allow_nan=False),
    1082: st.dates(),
    1083: st.integers(0, 86_399_999_999),
    1114: MOMENTS,
    1184: MOMENTS,
    2950: st.uuids().map(str),
    3802: TEXTS,
}


def typmod(precision: int, scale: int) -> int:
    return ((precision << 16) | (scale & 0x7FF)) + 4


def in_pieces(data: bytes, sizes: Iterator[int]) -> Callable[[memoryview], int]:
    """The stream as a socket gives it, a piece at a time; a size of 0 is a pause. At its end the server hangs up."""
    at = 0

    def receive(memory: memoryview) -> int:
        nonlocal at
        if at == len(data):
            raise psycopg.OperationalError("closed")
        piece = data[at : at + min(next(sizes), len(memory))]
        memory[: len(piece)] = piece
        at += len(piece)
        return len(piece)

    return receive


def read(
    data: bytes, columns: Sequence[CopyColumn], sizes: Sequence[int] = (1 << 20,), block: int = 1 << 16
) -> pa.Table:
    """All rows of a stream that is cut into pieces of these sizes, over and over."""
    batches = list(CopyResponse(in_pieces(data, itertools.cycle(sizes)), columns, block))
    return pa.Table.from_batches(batches)


def shown(oid: int, value: Any) -> Any:
    """The value as Arrow gives it back."""
    if value is None:
        return None
    if oid == 1083:
        return (datetime(2000, 1, 1) + timedelta(microseconds=value)).time()
    return value.replace(tzinfo=UTC) if oid == 1184 else value


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[int], list[tuple[Any, ...]]]:
    oids = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=6))
    sparse = draw(st.booleans())
    cells = [st.none() | VALUES[oid] if sparse else VALUES[oid] for oid in oids]
    some = draw(st.lists(st.tuples(*cells), min_size=1, max_size=8))
    tail = draw(st.lists(st.tuples(*cells), max_size=2))
    return oids, some * draw(st.sampled_from([1, 1, 5, 20])) + tail


@settings(max_examples=examples(30), deadline=None)
@given(
    tables(), st.lists(st.integers(0, 400), max_size=4).map(lambda some: [*some, 900]), st.integers(16, 3000)
)
def test_any_table_comes_as_it_was_sent_in_any_pieces(
    table: tuple[list[int], list[tuple[Any, ...]]], sizes: list[int], block: int
) -> None:
    oids, some = table
    columns = [CopyColumn(f"c{at}", oid) for at, oid in enumerate(oids)]
    data = copy_of([[sent(oid, value) for oid, value in zip(oids, row, strict=True)] for row in some])
    found = read(data, columns, sizes, block)
    found.validate(full=True)
    for at, oid in enumerate(oids):
        assert found.column(at).to_pylist() == [shown(oid, row[at]) for row in some]


def test_a_stream_may_be_cut_at_every_byte() -> None:
    columns = [CopyColumn("n", 20), CopyColumn("t", 25)]
    values = [(1, "d"), (None, "dd" * 8), (3, None), (-4, "")]
    data = copy_of([[sent(20, n), sent(25, t)] for n, t in values])
    for cut in range(1, len(data)):
        pieces = iter([cut, len(data)])
        batches = list(CopyResponse(in_pieces(data, pieces), columns))
        got = [tuple(row.values()) for batch in batches for row in batch.to_pylist()]
        assert got == values


@st.composite
def decimals(draw: st.DrawFn) -> tuple[int, int, list[Decimal | None]]:
    precision = draw(st.integers(1, 18))
    scale = draw(st.integers(0, precision))
    most = 10**precision - 1
    whole = st.integers(-most, most) | st.sampled_from([0, 1, -1, most, -most, most // 2])
    value = whole.map(lambda n: Decimal(n).scaleb(-scale))
    return precision, scale, draw(st.lists(st.none() | value, min_size=1, max_size=20))


@settings(max_examples=examples(40), deadline=None)
@given(decimals())
def test_numerics_of_up_to_18_digits_are_decimals_to_the_last_digit(
    given: tuple[int, int, list[Decimal | None]],
) -> None:
    precision, scale, values = given
    data = copy_of([[sent(NUMERIC, value)] for value in values])
    found = read(data, [CopyColumn("n", NUMERIC, typmod(precision, scale))]).column(0)
    assert found.type == pa.decimal128(precision, scale)
    assert found.to_pylist() == values


@settings(max_examples=examples(25), deadline=None)
@given(
    st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=7).map(lambda d: d + 0), min_size=1)
)
def test_other_numerics_are_their_exact_text(values: list[Decimal]) -> None:
    found = read(copy_of([[sent(NUMERIC, value)] for value in values]), [CopyColumn("n", NUMERIC)]).column(0)
    assert [Decimal(text) for text in found.to_pylist()] == values
    assert all("E" not in text for text in found.to_pylist())


def test_a_decimal_column_with_a_value_that_is_none_comes_as_text() -> None:
    values = ["NaN", Decimal("-0.50"), None, Decimal("12345678.00"), Decimal("0.00")]
    found = read(
        copy_of([[sent(NUMERIC, v)] for v in values]), [CopyColumn("n", NUMERIC, typmod(10, 2))]
    ).column(0)
    assert found.to_pylist() == ["NaN", "-0.50", None, "12345678.00", "0.00"]


def test_infinite_moments_wrap_around_to_years_that_no_calendar_has() -> None:
    """What checks.py relies on."""
    extremes = [struct.pack(">q", number) for number in (2**63 - 1, -(2**63))]
    found = read(copy_of([[one] for one in extremes]), [CopyColumn("t", 1114)]).column(0).cast(pa.int64())
    epoch = 946_684_800_000_000
    assert [n.as_py() for n in found] == [2**63 - 1 + epoch - 2**64, -(2**63) + epoch]


def test_types_that_are_not_known_come_as_the_bytes_that_were_sent() -> None:
    found = read(copy_of([[b"\0\1"], [None]]), [CopyColumn("x", 600)]).column(0)
    assert (found.type, found.to_pylist()) == (pa.binary(), [b"\0\1", None])


def test_values_that_look_like_the_beginning_of_a_row_are_not_taken_for_one() -> None:
    trap = b"d" + struct.pack(">Ih", 20, 2) + b"...."
    values = [(trap * n, trap) for n in range(1, 40)]
    found = read(copy_of(values), [CopyColumn("a", 17), CopyColumn("b", 17)])
    assert [tuple(row.values()) for row in found.to_pylist()] == values


@settings(max_examples=examples(8), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), longest=st.sampled_from([4, 60, 400]), count=st.integers(500, 4000))
def test_each_row_of_a_large_block_is_found_whatever_its_values_look_like(
    seed: int, longest: int, count: int
) -> None:
    """Walking from many rows at once gives the positions that walking from row to row gives, also where
    values contain the beginning of a row, or of several in sequence, and where the last row is not complete."""
    random = Random(seed)
    trap = b"d" + struct.pack(">Ih", 6, 2)
    fields = [
        trap * random.randrange(9) if random.random() < 0.1 else random.randbytes(random.randrange(longest))
        for _ in range(2 * count)
    ]
    rows = [
        message(b"d", struct.pack(">hI", 2, len(a)) + a + struct.pack(">I", len(b)) + b)
        for a, b in zip(fields[::2], fields[1::2], strict=True)
    ]
    edges = np.cumsum([3, *map(len, rows)])
    sent = b"..." + b"".join(rows)
    cut = random.choice([0, 1, 9])
    memory = np.frombuffer(sent[: len(sent) - cut] + bytes(SPARE), np.uint8)
    found = find_rows(memory, 3, len(sent) - cut, 2)
    assert found is not None
    whole = edges if cut == 0 else edges[:-1]
    assert [each.listed().tolist() for each in found] == [whole[:-1].tolist(), whole[1:].tolist()]


def test_rows_end_at_another_message_in_the_middle_of_a_large_block() -> None:
    """A notice between the rows is no row, and what follows it is found afterwards."""
    values = [f"{n}" * (1 + n % 7) for n in range(3000)]
    data = copy_of([[sent(25, value)] for value in values])
    middle = data.index(message(b"d", struct.pack(">hI", 1, 4 * 3) + b"1500" * 3)[:7], len(data) // 3)
    noticed = data[:middle] + message(b"N", b"SNOTICE\0Mhello\0\0") + data[middle:]
    assert read(noticed, [CopyColumn("t", 25)]).column(0).to_pylist() == values


def test_many_columns_of_fixed_size_with_nulls_anywhere_are_exact() -> None:
    """Such columns are read together, up to the first with a NULL; there are more here than fit at once."""
    kinds = [25, *[20, 23, 16, 701, 2950, 21] * 4]
    random = Random(1)

    def value(kind: int, row: int) -> Any:
        if random.random() < 0.02 and row % 3:
            return None
        made: dict[int, Any] = {
            25: "x" * (row % 9),
            16: row % 2 == 0,
            701: row / 3,
            2950: str(UUID(int=row**9)),
        }
        return made.get(kind, row - 50)

    rows = [[value(kind, row) for kind in kinds] for row in range(200)]
    data = copy_of([[sent(kind, one) for kind, one in zip(kinds, row, strict=True)] for row in rows])
    found = read(data, [CopyColumn(f"c{at}", kind) for at, kind in enumerate(kinds)])
    assert [list(row.values()) for row in found.to_pylist()] == rows


@pytest.mark.parametrize("tail", [[None], ["y", None], ["yy", "y"]])
def test_rows_of_one_length_may_be_followed_by_shorter_ones(tail: list[str | None]) -> None:
    values = ["x" * 500] * 20 + tail
    found = read(copy_of([[sent(25, value)] for value in values]), [CopyColumn("t", 25)])
    assert found.column(0).to_pylist() == values


def test_no_rows_are_no_batches() -> None:
    nothing = message(b"H", b"\x01\0\0") + copy_of([[]]).partition(b"PGCOPY")[2][:0]
    data = (
        nothing
        + message(b"d", b"PGCOPY\n\xff\r\n\0" + bytes(8))
        + message(b"d", b"\xff\xff")
        + message(b"Z", b"T")
    )
    assert list(CopyResponse(in_pieces(data, itertools.repeat(9)), [CopyColumn("a", 17)])) == []


def test_a_message_much_longer_than_a_block_comes_whole() -> None:
    values = ["a", "b" * 1_000_000, "c"]
    assert (
        read(copy_of([[v.encode()] for v in values]), [CopyColumn("t", 25)], block=4096).column(0).to_pylist()
        == values
    )


def test_a_pause_hands_on_what_has_come() -> None:
    data = copy_of([[sent(20, n)] for n in range(3)])
    answer = iter(CopyResponse(in_pieces(data, iter([len(data) - 40, 0, 100])), [CopyColumn("n", 20)]))
    assert next(answer).num_rows > 0


class TestWhatGoesWrong:
    def test_a_refusal_comes_with_its_code_after_the_rows_before_it(self) -> None:
        data = copy_of([[sent(20, n)] for n in range(3)])
        data = data[: data.index(message(b"c"))] + refusal("22012", "division by zero") + message(b"Z", b"E")
        answer = iter(CopyResponse(in_pieces(data, itertools.repeat(1 << 20)), [CopyColumn("n", 20)]))
        assert next(answer).num_rows == 3
        with pytest.raises(ServerError, match="division by zero") as caught:
            next(answer)
        assert caught.value.sqlstate == "22012"

    def test_the_servers_last_word_counts_more_than_its_hanging_up(self) -> None:
        data = refusal("57P01", "terminating connection")
        with pytest.raises(ServerError) as caught:
            list(CopyResponse(in_pieces(data, iter([len(data)])), [CopyColumn("n", 20)]))
        assert caught.value.sqlstate == "57P01"

    def test_a_connection_that_ends_within_a_row_is_lost(self) -> None:
        data = copy_of([[sent(25, "x" * 100)]])[:-60]
        with pytest.raises(psycopg.OperationalError, match="closed"):
            list(CopyResponse(in_pieces(data, itertools.repeat(50)), [CopyColumn("t", 25)]))

    @pytest.mark.parametrize(
        "columns",
        [
            [CopyColumn("n", 20)],
            [CopyColumn("n", 23), CopyColumn("m", 20)],
            [CopyColumn("n", 20), CopyColumn("m", 25), CopyColumn("o", 25)],
        ],
    )
    def test_rows_of_another_make_are_not_guessed_at(self, columns: list[CopyColumn]) -> None:
        data = copy_of([[sent(20, n), sent(25, "a")] for n in range(50)])
        with pytest.raises(MalformedCopy):
            read(data, columns)

    def test_what_is_no_message_at_all_is_not_waited_for(self) -> None:
        with pytest.raises(MalformedCopy):
            read(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 3, [CopyColumn("n", 20)], sizes=(20, 0))


def test_a_row_that_is_not_complete_is_left_for_later() -> None:
    import numpy as np

    data = message(b"d", struct.pack(">hi", 1, -1)) * 20
    for cut in range(len(data)):
        memory = np.frombuffer(data[:cut] + bytes(64), np.uint8)
        found = find_rows(memory, 0, cut, 1)
        assert (0 if found is None else found[0].count) == cut // 11


def test_dates_and_times_are_those_of_the_calendar() -> None:
    data = copy_of([[sent(1082, date(1970, 1, 1)), sent(1083, 1)]])
    found = read(data, [CopyColumn("d", 1082), CopyColumn("t", 1083)]).to_pylist()
    assert found == [{"d": date(1970, 1, 1), "t": time(0, 0, 0, 1)}]
