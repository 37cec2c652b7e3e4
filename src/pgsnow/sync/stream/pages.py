"""Pages of changes of one table, from the blocks that were read from the log."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import pyarrow as pa

from pgsnow.model.batch import Page
from pgsnow.model.errors import KeyNotLogged, LogUnusable
from pgsnow.model.log.relation import LogRelation
from pgsnow.model.plan import TablePlan
from pgsnow.postgres.connection import Source
from pgsnow.postgres.convert.convert import Converted, Converter
from pgsnow.postgres.read.prefetch import Prefetcher
from pgsnow.postgres.replication.reading import ChangeBlock
from pgsnow.postgres.replication.values.decode import FULL, ChangeDecoder
from pgsnow.postgres.replication.values.tuples import (
    DELETE,
    INSERT,
    TRUNCATE,
    UPDATE,
    Numbers,
    RawChanges,
    RawColumn,
    joined,
    raw_changes,
)
from pgsnow.sync.stream.change_page import ChangeCounts, ChangePage
from pgsnow.sync.stream.compaction import Compacted, compacted, key_codes

PAGE_CHANGES = 65_536
PAGE_BYTES = 8 * 1024 * 1024
"""Changes, and bytes of their messages, after which a page is full."""
PARTS_AHEAD = 4
"""Blocks whose values were found before they are decoded, at most."""


def change_pages(
    blocks: Iterable[ChangeBlock], plan: TablePlan, source: Source
) -> Generator[ChangePage, None, None]:
    """The changes in the order of their commits, in pages of some 100,000 changes. A page does not depend on an earlier
    one, but what its rows lack is in the target only when all earlier pages were loaded: see BatchKeys.

    All pages but the first are made in two threads while the caller uses the ones before: one finds the values in the
    messages, the other decodes them. Close the iterator to end them. source: asked to convert values of types that only
    it knows, over one of its connections, by one thread at a time. Raises RelationChanged, KeyNotLogged,
    ChangesMalformed (pages that were given before are right), SourceUnavailable, SourceAccessDenied.
    """
    maker = _PageMaker(plan, source)
    parts = maker.parts(blocks)
    first, following = next(_groups(parts), ([], None))
    if first:
        yield maker.page(first)
    if following is None:
        return
    with (
        Prefetcher(chain([following], parts), ready=PARTS_AHEAD) as found,
        Prefetcher((maker.page(group) for group, _ in _groups(found)), ready=1) as pages,
    ):
        yield from pages


@dataclass(frozen=True, slots=True)
class _Part:
    """The changes of a block, not yet decoded, and the bytes of its messages."""

    relation: LogRelation
    changes: RawChanges
    size: int


def _groups(parts: Iterable[_Part]) -> Iterator[tuple[list[_Part], _Part | None]]:
    """The parts of each page; and the first one of the next page, None after the last. The rows of a page come from one
    replica identity."""
    group, count, size = list[_Part](), 0, 0
    for part in parts:
        full = count >= PAGE_CHANGES or size >= PAGE_BYTES
        if group and (full or group[0].relation.identity != part.relation.identity):
            yield group, part
            group, count, size = [], 0, 0
        group.append(part)
        count, size = count + part.changes.count, size + part.size
    if group:
        yield group, None


class _PageMaker:
    """Makes the pages of one table."""

    def __init__(self, plan: TablePlan, source: Source) -> None:
        self._plan = plan
        self._table = str(plan.source.name)
        self._decoder = ChangeDecoder(plan, source)
        self._names = [field.source for field in plan.fields]
        # Not only where the database does not check its texts: they were on a disk meanwhile.
        self._converter = Converter(plan, checks_text=True)
        self._keys = Converter(self._decoder.key_plan(), checks_text=True)

    def parts(self, blocks: Iterable[ChangeBlock]) -> Iterator[_Part]:
        """The changes of each block. Asks nothing of the source."""
        wanted = self._decoder.wanted
        for block in blocks:
            yield _Part(block.relation, raw_changes(block, wanted), len(block.data))

    def page(self, parts: list[_Part]) -> ChangePage:
        """One page of the changes of some blocks with the same replica identity."""
        for part in parts:
            self._decoder.check(part.relation)
        whole_old = parts[0].relation.identity == FULL
        changes = joined([part.changes for part in parts])
        parts.clear()
        counts = _counts(changes)
        truncates = np.flatnonzero(changes.kinds == TRUNCATE)
        if len(truncates):
            changes = changes.part(slice(int(truncates[-1]) + 1, None))
        changes = self._with_whole_keys(changes, whole_old=whole_old)
        keys = {
            field.source: self._decoder.decoded(field, changes.columns[field.source].texts)
            for field in self._decoder.key
        }
        found = compacted(changes, key_codes([*keys.values()]), whole_old=whole_old)
        computed = dict[str, pa.Array]()
        if self._decoder.evaluates(changes.columns):
            found, computed = self._selected(changes, found)
        lacking = _any_of(found.lacking, self._names)
        converted = self._rows(
            changes,
            found,
            {name: key.take(pa.array(found.values[name])) for name, key in keys.items()} | computed,
        )
        deleted = self._keys.convert(_taken(keys, found.deleted_keys))
        commits = pa.array(changes.commits[found.rows])
        return ChangePage(
            page=Page(converted.rows, converted.rejected, converted.changed),
            commits=_good(commits, converted),
            unchanged=None if lacking is None else _good(self._unchanged(found), converted),
            moved=None if lacking is None else self._moved(keys, found, lacking, converted),
            deleted=deleted.rows,
            deleted_commits=_good(pa.array(changes.commits[found.deleted]), deleted),
            truncates=len(truncates) > 0,
            counts=counts,
        )

    def _with_whole_keys(self, changes: RawChanges, *, whole_old: bool) -> RawChanges:
        """The key of a new row that did not change may be left out where it is stored out of line (TOAST); the old row
        has it then. Raises KeyNotLogged for an old row without it."""
        columns = dict(changes.columns)
        for name in self._plan.pk:
            column = columns[name]
            old = changes.old[changes.old >= 0]
            if len(old) and not whole_old and column.texts.take(pa.array(old)).null_count:
                raise KeyNotLogged(
                    f"{self._table}: a deleted row in the log lacks {name}, a column of its key"
                )
            if column.unchanged is not None:
                columns[name] = self._with_old(name, column, changes)
        return replace(changes, columns=columns)

    def _with_old(self, name: str, column: RawColumn, changes: RawChanges) -> RawColumn:
        assert column.unchanged is not None
        both = (changes.new >= 0) & (changes.old >= 0)
        new, old = changes.new[both], changes.old[both]
        at = np.arange(len(column.texts))
        left_out = column.unchanged[new]
        at[new[left_out]] = old[left_out]
        if column.unchanged[at].any():
            raise KeyNotLogged(f"{self._table}: a changed row in the log lacks {name}, a column of its key")
        return RawColumn(column.texts.take(pa.array(at)), None)

    def _selected(self, changes: RawChanges, found: Compacted) -> tuple[Compacted, dict[str, pa.Array]]:
        """The rows that meet `where`; others count as deleted. And the columns that are generated, by name. Raises
        LogUnusable if a row lacks a value that decides, as it did not change."""
        if needed := found.lacking.keys() & self._decoder.inputs:
            raise LogUnusable(
                f"{self._table}: changed rows in the log lack {', '.join(sorted(needed))}, of which `where` or a"
                " generated column may be made",
                advice=f"ALTER TABLE {self._table} REPLICA IDENTITY FULL makes Postgres log these values, too.",
            )
        texts = {name: column.take(found.values[name]) for name, column in changes.columns.items()}
        met, computed = self._decoder.evaluated(texts)
        dropped = ~met.to_numpy(zero_copy_only=False)
        return found.without(dropped, changes), {
            name: column.filter(met) for name, column in computed.items()
        }

    def _rows(self, changes: RawChanges, found: Compacted, ready: Mapping[str, pa.Array]) -> Converted:
        """The rows that are there in the end, converted; what they lack is NULL. ready: columns that are decoded."""
        arrays = []
        for field in self._plan.fields:
            name = field.source
            column = ready.get(name)
            if column is None:
                column = self._decoder.decoded(field, changes.columns[name].take(found.values[name]))
            arrays.append(column)
        return self._converter.convert(pa.RecordBatch.from_arrays(arrays, names=self._names))

    def _unchanged(self, found: Compacted) -> pa.Array:
        """ChangePage.unchanged, before bad rows are left out."""
        names = [name for name in self._names if name in found.lacking]
        masks = np.stack([found.lacking[name] for name in names], axis=1)
        combinations, which = np.unique(masks, axis=0, return_inverse=True)
        places = [self._names.index(name) for name in names]
        texts = [
            "".join(f".{place}" for place, missing in zip(places, row, strict=True) if missing) + "."
            if any(row)
            else None
            for row in combinations.tolist()
        ]
        return pa.array(texts, pa.string()).take(pa.array(which.reshape(-1)))

    def _moved(
        self, keys: Mapping[str, pa.Array], found: Compacted, lacking: Numbers, rows: Converted
    ) -> pa.RecordBatch | None:
        """ChangePage.moved. Raises LogUnusable if a former key is one that the target cannot hold."""
        moved = lacking & found.moved
        if rows.good is not None:
            good = rows.good.to_numpy(zero_copy_only=False)
            moved, origins = moved[good], found.origins[good]
        else:
            origins = found.origins
        if not moved.any():
            return None
        former = self._keys.convert(_taken(keys, origins[moved]))
        if former.rejected:
            raise LogUnusable(
                f"{self._table}: the key of a row changed, and the target cannot hold its former key"
            )
        at = np.cumsum(moved) - 1
        order = pa.array(at, mask=~moved)
        return former.rows.take(order)


def _counts(changes: RawChanges) -> ChangeCounts:
    found = np.bincount(changes.kinds, minlength=256)
    return ChangeCounts(*(int(found[kind]) for kind in (INSERT, UPDATE, DELETE, TRUNCATE)))


def _taken(keys: Mapping[str, pa.Array], at: Numbers) -> pa.RecordBatch:
    order = pa.array(at)
    return pa.RecordBatch.from_arrays([key.take(order) for key in keys.values()], names=[*keys])


def _good(values: pa.Array, converted: Converted) -> pa.Array:
    """The values of the good rows."""
    return values if converted.good is None else values.filter(converted.good)


def _any_of(masks: Mapping[str, Numbers], names: Sequence[str]) -> Numbers | None:
    """Rows that are set in one of these masks; None: there are no masks."""
    chosen = [masks[name] for name in names if name in masks]
    if not chosen:
        return None
    found: Numbers = np.logical_or.reduce(chosen)
    return found
