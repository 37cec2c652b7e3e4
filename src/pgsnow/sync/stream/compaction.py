"""Changes compacted to the last one of each key: which rows are there in the end, and where their values are.

A change is at most two events, in this order: the row leaves its former key (a delete, or an update that changes the
key), and it is there under its present key (an insert, or an update). The last event of a key tells what becomes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pgsnow.postgres.replication.values.tuples import DELETE, INSERT, UPDATE, Numbers, RawChanges

_SPREAD = 4
"""Numbers in the range of a page's ids for each of them, up to which they are used as they are."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """rows: numbers of the changes that made the rows that are there in the end, in order. values: by column the number
    of the tuple that has each row's value. lacking: by column which rows have no value, as it did not change; only
    columns with such rows. origins: for each row the number of a tuple with the key that it had before the first
    change. moved: which rows have another key than that. deleted: numbers of the changes after which their key is
    gone; deleted_keys: numbers of tuples with those keys."""

    rows: Numbers
    values: dict[str, Numbers]
    lacking: dict[str, Numbers]
    origins: Numbers
    moved: Numbers
    deleted: Numbers
    deleted_keys: Numbers

    def without(self, dropped: Numbers, changes: RawChanges) -> Compacted:
        """The rows but these (booleans), which count as deleted."""
        kept = ~dropped
        gone = self.rows[dropped]
        return Compacted(
            self.rows[kept],
            {name: values[kept] for name, values in self.values.items()},
            {name: lacking[kept] for name, lacking in self.lacking.items() if lacking[kept].any()},
            self.origins[kept],
            self.moved[kept],
            np.concatenate([self.deleted, gone]),
            np.concatenate([self.deleted_keys, changes.new[gone]]),
        )


def compacted(changes: RawChanges, codes: Numbers, *, whole_old: bool) -> Compacted:
    """codes: for each tuple a number that stands for its key. whole_old: old tuples are whole rows (REPLICA IDENTITY
    FULL). The changes have no truncate."""
    count = changes.count
    is_row = changes.kinds != DELETE
    has_old = changes.old >= 0
    before = np.where(has_old, codes[changes.old], -1)
    after = np.where(is_row, codes[changes.new], -1)
    before = np.where(has_old | (changes.kinds == INSERT), before, after)
    leaves = has_old & ((changes.kinds == DELETE) | (before != after))
    last = np.full(int(codes.max(initial=0)) + 1, -1, np.int64)
    events = _in_turns(np.where(leaves, before, -1), np.where(is_row, after, -1))
    times = np.flatnonzero(events >= 0)
    last[events[times]] = times
    ends = np.sort(last[last >= 0])
    rows, deleted = ends[ends % 2 == 1] // 2, ends[ends % 2 == 0] // 2
    unknown = {
        name: column.unchanged for name, column in changes.columns.items() if column.unchanged is not None
    }
    if not unknown:
        values = dict.fromkeys(changes.columns, changes.new[rows])
        none = np.zeros(len(rows), bool)
        return Compacted(rows, values, {}, changes.new[rows], none, deleted, changes.old[deleted])
    former = np.where(changes.kinds == INSERT, -1, _former(events, count))
    first = _followed(former, np.ones(count, bool))[rows]
    values, lacking = dict[str, Numbers](), dict[str, Numbers]()
    for name in changes.columns:
        values[name] = changes.new[rows]
        if name in unknown:
            missing = np.where(is_row, unknown[name][changes.new], False)
            at = np.where(missing & has_old, changes.old, changes.new) if whole_old else changes.new
            missing &= unknown[name][at]
            source = _followed(former, missing)[rows]
            values[name] = at[source]
            if missing[source].any():
                lacking[name] = missing[source]
    origins = np.where(has_old, changes.old, changes.new)[first]
    moved = before[first] != after[rows]
    moved &= changes.kinds[first] == UPDATE
    return Compacted(rows, values, lacking, origins, moved, deleted, changes.old[deleted])


def key_codes(keys: Sequence[pa.Array]) -> Numbers:
    """For each row a number that stands for its key: equal keys have the same one."""
    codes: Numbers | None = None
    for key in keys:
        own, size = _codes_of(key)
        codes = own if codes is None else np.unique(codes * size + own, return_inverse=True)[1]
    if codes is None:
        raise ValueError("a key without columns")
    return codes.reshape(-1)


def _codes_of(key: pa.Array) -> tuple[Numbers, int]:
    """For each value a number that stands for it, and how many numbers there may be. Whole numbers that are close to
    each other, as new ids are, stand for themselves, which costs a tenth of a hash table."""
    if pa.types.is_signed_integer(key.type) and len(key) and not key.null_count:
        values = key.to_numpy(zero_copy_only=False).astype(np.int64)
        low, high = int(values.min()), int(values.max())
        if high - low < _SPREAD * len(values):
            return values - low, high - low + 1
    encoded = key.dictionary_encode()
    size = len(encoded.dictionary) + 1
    return encoded.indices.fill_null(size - 1).to_numpy(zero_copy_only=False).astype(np.int64), size


def _in_turns(first: Numbers, second: Numbers) -> Numbers:
    """The keys of both events of each change, one change after another."""
    events = np.empty(2 * len(first), np.int64)
    events[0::2], events[1::2] = first, second
    return events


def _former(events: Numbers, count: int) -> Numbers:
    """For each change the one that made the row which it changes; -1: the row is older than all changes, or new."""
    times = np.flatnonzero(events >= 0)
    order = times[np.argsort(events[times], kind="stable")]
    earlier = np.full(len(events), -1, np.int64)
    same = events[order[1:]] == events[order[:-1]]
    earlier[order[1:][same]] = order[:-1][same]
    own = np.where(events[0::2] >= 0, earlier[0::2], earlier[1::2])
    made = (own >= 0) & (own % 2 == 1)
    found: Numbers = np.where(made, own // 2, -1)
    return found[:count]


def _followed(former: Numbers, onward: Numbers) -> Numbers:
    """For each change the nearest one of its row, going back, at which `onward` is False, or the first one."""
    here = np.arange(len(former))
    at = np.where(onward & (former >= 0), former, here)
    while True:
        further = at[at]
        if (further == at).all():
            return at
        at = further
