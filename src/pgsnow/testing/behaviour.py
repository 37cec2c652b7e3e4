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
    hold_request: the first request that contains these bytes is not forwarded before `release()`.
    refuse_request: the first request that contains these bytes is not forwarded, and its connection is reset, once.
    lose_reply: the first request that contains these bytes is forwarded; when its reply arrives, its connection is
      reset, once. Of these four, one at a time.
    skip: number of requests with these bytes that pass before.
    """

    refuse: bool = False
    latency: float = 0.0
    reply_delay: float = 0.0
    rate: float | None = None
    blackhole: bool = False
    cut_after: int | None = None
    hold_replies: bytes | None = None
    hold_request: bytes | None = None
    refuse_request: bytes | None = None
    lose_reply: bytes | None = None
    skip: int = 0

    @property
    def wanted(self) -> bytes | None:
        """The bytes that are searched for in requests."""
        return self.hold_replies or self.hold_request or self.refuse_request or self.lose_reply
