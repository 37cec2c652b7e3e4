"""A target in memory to which pages of changes are applied as the loader does: by load batches, whose rows take what
they lack from the target as it was before the batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pgsnow.model.plan import TablePlan
from pgsnow.sync.stream.batch_keys import BatchKeys
from pgsnow.sync.stream.change_page import ChangeCounts, ChangePage

Key = tuple[Any, ...]


@dataclass
class TargetRows:
    plan: TablePlan
    rows: dict[Key, dict[str, Any]] = field(default_factory=dict)
    counts: ChangeCounts = field(default_factory=ChangeCounts)
    batches: int = 0
    incomplete: set[Key] | None = None
    """The target may have the changes already: keys of rows that are read from the source, as the target has no row
    with their key, or as they had another key before. None: there must be no such row."""

    def load(self, pages: Iterable[ChangePage]) -> None:
        """Apply the pages, in as few batches as BatchKeys admits."""
        batch, keys = list[ChangePage](), BatchKeys(self.plan.pk)
        for page in pages:
            self.counts += page.counts
            if not keys.admits(page):
                self._apply(batch)
                batch, keys = [], BatchKeys(self.plan.pk)
            batch.append(page)
            keys.add(page)
        self._apply(batch)

    def _apply(self, batch: list[ChangePage]) -> None:
        if not batch:
            return
        self.batches += 1
        if batch[0].truncates:
            self.rows = {}
        before = dict(self.rows)
        for page in batch:
            rows, gone = page.page.rows.to_pylist(), page.deleted.to_pylist()
            assert [len(page.commits), len(page.deleted_commits)] == [len(rows), len(gone)]
            for key in gone:
                self.rows.pop(self._key(key), None)
            for at, row in enumerate(rows):
                kept = self._kept(page, at, row, before)
                if kept is not None:
                    self.rows[self._key(row)] = {**row, **kept}

    def _kept(
        self, page: ChangePage, at: int, row: Mapping[str, Any], before: dict[Key, dict[str, Any]]
    ) -> dict[str, Any] | None:
        """The columns that the row does not have, from the target; None: it has no such row."""
        lacking = page.unchanged[at].as_py() if page.unchanged is not None else None
        if lacking is None:
            return {}
        former = page.moved.slice(at, 1).to_pylist()[0] if page.moved is not None else {}
        moved = any(value is not None for value in former.values())
        names = [self.plan.fields[int(place)].source for place in lacking.strip(".").split(".")]
        assert [row[name] for name in names] == [None] * len(names)
        if self.incomplete is not None and (moved or self._key(row) not in before):
            self.incomplete.add(self._key(row))
            return None
        kept = before[self._key(former if moved else row)]
        return {name: kept[name] for name in names}

    def _key(self, row: Mapping[str, Any]) -> Key:
        return tuple(row[name] for name in self.plan.pk)
