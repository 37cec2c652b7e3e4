"""The fault proxy finds a statement in what a client sends, however it is cut up or compressed."""

from __future__ import annotations

import gzip
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.testing.requests import RequestReader


def post(body: bytes, *, compressed: bool) -> bytes:
    sent = gzip.compress(body) if compressed else body
    encoding = b"Content-Encoding: gzip\r\n" if compressed else b""
    return b"POST /q HTTP/1.1\r\nHost: x\r\n" + encoding + b"content-length: %d\r\n\r\n" % len(sent) + sent


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(cuts=st.lists(st.integers(0, 10_000), max_size=12), compressed=st.booleans(), before=st.integers(0, 3))
def test_a_statement_is_found_exactly_once_when_its_request_is_complete(
    cuts: list[int], compressed: bool, before: int
) -> None:
    """Requests before and after it on the same connection do not count."""
    wanted = post(b'{"sqlText": "MERGE INTO T"}', compressed=compressed)
    other = post(b'{"sqlText": "SELECT 1"}', compressed=compressed)
    stream = other * before + wanted + other
    reader, answers = RequestReader(), []
    for chunk in chunks(stream, cuts):
        answers.append(reader.saw(chunk, b"MERGE INTO"))
    assert answers.count(True) == 1
    complete = len(other) * before + len(wanted)
    read_by_then = sum(len(chunk) for chunk in chunks(stream, cuts)[: answers.index(True) + 1])
    assert read_by_then >= complete


@given(cut=st.integers(0, 40))
def test_bytes_across_two_chunks_of_a_plain_stream_are_found(cut: int) -> None:
    stream = b"Q\x00\x00\x00\x20UPDATE users SET name = 'x'\x00"
    reader = RequestReader()
    assert [reader.saw(stream[:cut], b"UPDATE users"), reader.saw(stream[cut:], b"UPDATE users")].count(
        True
    ) == 1


@pytest.mark.parametrize("compressed", [True, False])
def test_other_statements_are_not_found(compressed: bool) -> None:
    assert not RequestReader().saw(post(b"COPY INTO T", compressed=compressed), b"MERGE INTO")
