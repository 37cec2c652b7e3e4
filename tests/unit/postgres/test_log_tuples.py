"""Messages of the log as columns: what was sent is found, and what is damaged is an error."""

from __future__ import annotations

from struct import Struct

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pgsnow.model.errors import ChangesMalformed
from pgsnow.model.log.relation import LogColumn, LogRelation
from pgsnow.postgres.replication.reading import ChangeBlock
from pgsnow.postgres.replication.values.tuples import RawChanges, raw_changes

OID = 16_390
NAMES = ("id", "a", "b")
RELATION = LogRelation(
    OID, "public", "t", "d", tuple(LogColumn(name, 25, -1, name == "id") for name in NAMES)
)
UNCHANGED = object()
VALUE = st.none() | st.text("abc", max_size=4)
ROW = st.tuples(st.text("abc", max_size=4), VALUE, VALUE | st.just(UNCHANGED))
Row = tuple[object, ...]


def cell(value: object) -> bytes:
    if value is None or value is UNCHANGED:
        return b"n" if value is None else b"u"
    data = str(value).encode()
    return b"t" + len(data).to_bytes(4) + data


def row(tag: bytes, values: Row) -> bytes:
    return tag + len(values).to_bytes(2) + b"".join(map(cell, values))


def message(kind: str, new: Row, old: Row) -> bytes:
    """I, U (without the old row), K (an update with the old key), D, T."""
    key = row(b"K", (old[0], None, None))
    if kind == "T":
        return Struct(">cIBI").pack(b"T", 1, 0, OID)
    body = {"I": row(b"N", new), "U": row(b"N", new), "K": key + row(b"N", new), "D": key}[kind]
    return (b"U" if kind == "K" else kind.encode()) + OID.to_bytes(4) + body


def block(messages: list[bytes]) -> ChangeBlock:
    lengths = np.array([len(one) for one in messages], np.int64)
    return ChangeBlock(RELATION, memoryview(b"".join(messages)), lengths, np.arange(len(messages)))


def rows_of(raw: RawChanges, at: np.ndarray) -> list[Row | None]:
    """The tuples with these numbers."""
    columns = []
    for name in NAMES:
        column = raw.columns[name]
        missing = np.zeros(len(column.texts), bool) if column.unchanged is None else column.unchanged
        columns.append(
            [
                UNCHANGED if left else text
                for text, left in zip(column.texts.to_pylist(), missing, strict=True)
            ]
        )
    return [None if place < 0 else tuple(column[place] for column in columns) for place in at.tolist()]


CHANGES = st.lists(st.tuples(st.sampled_from("IUKDT"), ROW, ROW), min_size=1, max_size=5)


@given(CHANGES)
def test_every_row_is_found(changes: list[tuple[str, Row, Row]]) -> None:
    """New rows and old keys in the order of their messages, with NULLs and with values that were left out."""
    raw = raw_changes(block([message(*change) for change in changes]), NAMES)
    assert bytes(raw.kinds).decode() == "".join("U" if kind == "K" else kind for kind, _, _ in changes)
    assert rows_of(raw, raw.new) == [new if kind in "IUK" else None for kind, new, _ in changes]
    assert rows_of(raw, raw.old) == [
        (old[0], None, None) if kind in "KD" else None for kind, _, old in changes
    ]


@given(CHANGES, st.data())
def test_messages_that_are_cut_are_an_error(changes: list[tuple[str, Row, Row]], data: st.DataObject) -> None:
    """Wherever a message ends too early, also if its length says so."""
    messages = [message(*change) for change in changes]
    at = data.draw(st.integers(0, len(messages) - 1))
    messages[at] = messages[at][: data.draw(st.integers(0, len(messages[at]) - 1))]
    with pytest.raises(ChangesMalformed, match=r"public\.t"):
        raw_changes(block(messages), NAMES)
    whole = block([message(*change) for change in changes])
    shorter = ChangeBlock(RELATION, whole.data[:-1], whole.lengths, whole.commits)
    with pytest.raises(ChangesMalformed):
        raw_changes(shorter, NAMES)


@given(CHANGES, st.data())
def test_a_damaged_byte_never_moves_a_value(changes: list[tuple[str, Row, Row]], data: st.DataObject) -> None:
    """Whatever byte of a message has another value: it is an error, or all values are at their places as before, except
    those whose own byte it is."""
    intact = block([message(*change) for change in changes])
    damaged = bytearray(intact.data)
    at = data.draw(st.integers(0, len(damaged) - 1))
    byte = data.draw(st.integers(0, 255))
    assume(byte != damaged[at])
    was = damaged[at]
    damaged[at] = byte
    try:
        found = raw_changes(
            ChangeBlock(RELATION, memoryview(bytes(damaged)), intact.lengths, intact.commits), NAMES
        )
    except ChangesMalformed:
        return
    raw = raw_changes(intact, NAMES)
    differing = [
        (one, other)
        for name in NAMES
        for one, other in zip(
            raw.columns[name].texts.cast("binary").to_pylist(),
            found.columns[name].texts.cast("binary").to_pylist(),
            strict=True,
        )
        if one != other
    ]
    assert len(differing) <= 1
    for one, other in differing:
        assert len(one) == len(other)
        assert was in b"abc"


@given(st.lists(st.binary(min_size=8, max_size=60), min_size=1, max_size=3))
def test_anything_else_is_an_error(messages: list[bytes]) -> None:
    """Bytes that are no messages of the table lead to no other error than the one for damaged ones."""
    assume(any(one[1:5] != OID.to_bytes(4) for one in messages if one[:1] != b"T"))
    with pytest.raises(ChangesMalformed):
        raw_changes(block(messages), NAMES)
