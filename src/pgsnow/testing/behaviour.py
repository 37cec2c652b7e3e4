"""Faults that a fault proxy applies to the bytes that it forwards."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The faults of a proxy, which may be combined. The default forwards everything.

    refuse: new connections are reset at once.
    latency: seconds by which each chunk of bytes is delayed, in each direction.
    reply_delay: seconds by which the beginning of each reply is delayed.
    rate: bytes a second for each direction of each connection.
    blackhole: bytes are read and dropped, until the behaviour changes.
    cut_after: bytes (both ways, all connections, from when this is set) after which every connection is reset, once.
    hold_replies: requests are forwarded, but from the first request that contains these bytes on, the replies of its
      connection are held back until `release()` or `reset()`. Compressed HTTP bodies are searched too.
    """

    refuse: bool = False
    latency: float = 0.0
    reply_delay: float = 0.0
    rate: float | None = None
    blackhole: bool = False
    cut_after: int | None = None
    hold_replies: bytes | None = None
