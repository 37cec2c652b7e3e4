"""Search for deleted rows where the keys of both sides differ: the transform drops rows, or changes values of the key.

Counts of ranges say nothing there. So the rows are read as the target should have them, and 64 bits of the hash of each
key are kept in memory; keys of the target that are not among them are gone. Two keys with one hash could only keep a
row.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np

from pgsnow.model.batch import Page
from pgsnow.model.key_range import Key, KeyRange
from pgsnow.model.sentences import counted
from pgsnow.model.types.mapping import Field
from pgsnow.postgres.read.by_key import read_all
from pgsnow.sync.compare.value_text import key_of_values
from pgsnow.sync.table.context import RunContext
from pgsnow.sync.table.deletes.first_level import later_snapshot
from pgsnow.sync.table.deletes.search import Findings
from pgsnow.sync.transform.transform import Transform, build_transform

MOST_KEYS = 5_000_000
"""Rows of the source; 40 MB of hashes."""
MOST_BYTES = 2 << 30
"""Bytes of a table whose rows go through a function, all columns of them."""
PLAIN = frozenset({"int2", "int4", "int8", "text", "varchar", "uuid"})
"""Types of key columns whose text in a rejected row is that of the target."""


def find_by_whole_keys(run: RunContext, found: Findings) -> None:
    """Read all keys of the source, through the transform, and find the target's keys that are not among them. The read
    begins after everything that the target contains was read."""
    found.obstacle = why_not(run)
    if found.obstacle:
        return
    known = Known(run)
    with later_snapshot(run) as snap, closing(read_all(snap, run.plan, known.fields)) as pages:
        for page in pages:
            known.add(page)
            if len(known.hashes) > MOST_KEYS:
                found.obstacle = too_many(run)
                return
    if known.is_unsure:
        found.obstacle = (
            "deleted rows are not searched for while rows are rejected whose key the transform changes"
        )
        return
    present = np.sort(np.frombuffer(known.hashes, dtype=np.uint64))
    for keys in in_pages(key for key, _ in run.destination.side().rows([KeyRange()])):
        hashes = np.frombuffer(array("Q", map(hash_of, keys)), dtype=np.uint64)
        at = np.searchsorted(present, hashes)
        is_there = np.zeros(len(hashes), dtype=bool)
        inside = at < len(present)
        is_there[inside] = present[at[inside]] == hashes[inside]
        for key, there in zip(keys, is_there, strict=True):
            if not there:
                found.gone.add(key)
        found.of += len(keys)
    found.rows = found.expected = found.gone.rows


def why_not(run: RunContext) -> str:
    """Why the keys cannot be read as a whole; '' if they can."""
    source, transform = run.plan.source, run.plan.config.transform
    rows = max(run.claim.target.rows or 0, source.estimated_rows)
    if rows > MOST_KEYS:
        return too_many(run)
    if transform is not None and transform.function is not None and source.total_bytes > MOST_BYTES:
        return (
            "deleted rows are not searched for: every row would have to go through the transform's function, and the"
            f" table has {source.total_bytes >> 20} MB (at most {MOST_BYTES >> 20}); write `deletes: off`, or delete"
            f" them with pgsnow run --select {run.claim.table} --full-refresh"
        )
    return ""


def too_many(run: RunContext) -> str:
    return (
        "deleted rows are not searched for: the transform changes keys or drops rows, so that all keys must be held in"
        f" memory, and there are more than {counted(MOST_KEYS, 'row')}; write `deletes: off`, or delete them with"
        f" pgsnow run --select {run.claim.table} --full-refresh"
    )


class Known:
    """Hashes of the keys that the target may have. fields: the columns to read. is_unsure: the key of some row is not
    known, so that no key may be called gone."""

    def __init__(self, run: RunContext) -> None:
        plan, config = run.plan, run.plan.config.transform
        self._run = run
        self._key = plan.key
        self.fields: tuple[Field, ...] = plan.fields
        self._transform: Transform = run.rejected.transform
        if config is not None and config.function is None:  # the key's columns suffice
            self.fields = tuple(field for field in plan.fields if field.source in plan.pk)
            named = {
                name: _of_key(getattr(config, name), plan.pk)
                for name in ("set_null", "hash", "mask", "cast", "rename")
            }
            self._transform = build_transform(config.model_copy(update=named), self.fields)
        changed = {*config.cast, *config.sensitive} if config is not None else set()
        self._plain = changed.isdisjoint(plan.pk) and all(f.type.postgres in PLAIN for f in plan.key)
        self.hashes = array("Q")
        self.is_unsure = False

    def add(self, page: Page) -> None:
        """Add the keys of a page's rows, also of those that are rejected or dropped: the target may have older
        versions, which stay."""
        rows, transformed = page.rows, self._transform.apply(page.rows)
        out = transformed.rows
        self._add(zip(*(out.column(f.source).to_pylist() for f in self._key), strict=True))
        if transformed.rejected or transformed.dropped:
            if not self._plain:
                self.is_unsure |= bool(transformed.rejected)
            else:
                self._add(zip(*(rows.column(f.source).to_pylist() for f in self._key), strict=True))
        if page.rejected:
            self.is_unsure |= not self._plain
            self._add(
                [[row.key[f.source] for f in self._key] for row in page.rejected] if self._plain else ()
            )

    def _add(self, keys: Iterable[Iterable[object]]) -> None:
        self.hashes.extend(hash_of(key_of_values(tuple(key), self._key)) for key in keys)


def _of_key(rule: Any, pk: Sequence[str]) -> Any:
    """A rule of the transform, for the columns of the key alone."""
    if isinstance(rule, Mapping):
        return {name: how for name, how in rule.items() if name in pk}
    return tuple(name for name in rule if name in pk)


def hash_of(key: Key) -> int:
    """64 bits of the key's hash."""
    return int.from_bytes(hashlib.blake2b("\0".join(key).encode(), digest_size=8).digest(), "little")


def in_pages(keys: Iterable[Key], size: int = 10_000) -> Iterable[list[Key]]:
    """The keys in lists of at most this size."""
    page: list[Key] = []
    for key in keys:
        page.append(key)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page
