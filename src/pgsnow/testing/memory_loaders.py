"""The loaders of a table in memory, one for each way to load. `Loader` has their contract."""

from __future__ import annotations

from dataclasses import dataclass

from pgsnow.ledger.claim import FENCES_PER_CLAIM
from pgsnow.model.batch import LoadBatch, LoadResult
from pgsnow.model.config.sync_config import LoadMethod, TableMode
from pgsnow.model.deferred_batch import Layout, StagedBatch
from pgsnow.model.errors import TargetMissing, TargetQueryFailed
from pgsnow.model.metadata_columns import FENCE_COLUMN
from pgsnow.model.table import TargetName
from pgsnow.snowflake.load.direct_copy import can_copy_directly
from pgsnow.snowflake.names import staging_table
from pgsnow.sync.load.choose import LoadFacts
from pgsnow.sync.load.direct_copy import Attempts
from pgsnow.sync.load.loader import Complete, Deferred, Loaded, Loader, TargetRecreated
from pgsnow.sync.pipeline.load_batches import batch_name
from pgsnow.testing.memory_changes import MemoryChanges
from pgsnow.testing.memory_content import MemoryContentLoader, announce_replaced, replace_content
from pgsnow.testing.memory_target import MemoryTarget, read_rows
from pgsnow.testing.warehouse import MemoryTable, Row, last_of_each


def choose_memory_loader(target: MemoryTarget, facts: LoadFacts) -> Loader:
    """The loader that these facts call for, as `pgsnow.sync.load.choose.choose` picks it."""
    if facts.deferred:
        return MemoryDeferredLoader(target)
    if (work := facts.backfill) is not None:
        if work.shadow:
            return MemoryShadowLoader(
                target, batch_name(target.plan, work.fence, 0), work.attempts, facts.other_keys
            )
        return MemoryCopyLoader(target, work.attempts)
    if facts.full_read and facts.replaces:
        appends = target.plan.config.mode is TableMode.APPEND and not facts.requested
        return MemoryContentLoader(
            target, appends=appends, relaxed=facts.reshaped, other_keys=facts.other_keys
        )
    if facts.full_read and facts.first and not facts.resumable:
        return MemoryCopyLoader(target, Attempts())
    return MemoryMergeLoader(target)


@dataclass(slots=True)
class MemoryMergeLoader:
    """Merges each batch by its key. shadow: the shadow table that takes the rows instead of the target."""

    target: MemoryTarget
    shadow: TargetName | None = None

    def load(self, batch: LoadBatch) -> Loaded | TargetRecreated:
        self.target.batches.cleanup(but=(batch.batch,))
        self.target.batches.begin(batch.batch)
        return self.merge(batch)

    def merge(self, batch: LoadBatch) -> Loaded | TargetRecreated:
        """As `load`, for a batch that is begun."""
        target, recreated = self.target, False
        try:
            result = target.retried(lambda: self._attempt(batch))
        except TargetQueryFailed as rejected:
            if self.shadow is not None:
                if isinstance(rejected, TargetMissing):
                    target.check_shadow(self.shadow)
                raise
            before = target.columns
            recreated = target.make_fit(inspect=True)
            if not recreated and target.columns == before and not isinstance(rejected, TargetMissing):
                raise
            result = target.retried(lambda: self._attempt(batch))
        target.recorder.loaded(batch, result)
        if self.shadow is None:
            target.add_rows(result.inserted - result.deleted)
            if batch.changes is None:
                target.check_counts(result.inserted + result.updated, batch.rows)
        return TargetRecreated() if recreated else Loaded(result.inserted)

    def finish(self) -> Complete:
        return Complete()

    def _attempt(self, batch: LoadBatch) -> LoadResult:
        target, plan = self.target, self.target.plan
        rows, key = target.fill(batch), [f.target for f in plan.key]
        if batch.changes is not None:
            names, follows = [f.target for f in plan.output], not batch.batch.endswith("-0")
            changes = MemoryChanges(target, names, key, batch.fence, batch.changes, follows)
            with target.step("merge", batch.batch):
                result = changes.apply(rows)
            target.recorder.tell("merged")
            return result
        with target.step("merge", batch.batch):
            table = target.warehouse.table(self.shadow or plan.target)
            names = [f.target for f in plan.output]
            new = [target.written(row, names, batch.fence) for row in last_of_each(rows, key)]
            counts = table.merge(new, key, batch.fence)
        target.recorder.tell("merged")
        return target.result(*counts)


@dataclass(slots=True)
class MemoryCopyLoader:
    """Copies batches directly while the table holds no older row; else merges them."""

    target: MemoryTarget
    attempts: Attempts
    shadow: TargetName | None = None
    _may_copy: bool | None = None
    _found_older: bool = False
    _copied: bool = False

    def __post_init__(self) -> None:
        if not can_copy_directly(self.target.plan):
            self._may_copy = False

    @property
    def table(self) -> MemoryTable:
        """The target, or the shadow table. Raises TargetMissing."""
        return self.target.warehouse.table(self.shadow or self.target.plan.target)

    def load(self, batch: LoadBatch) -> Loaded | TargetRecreated:
        self.target.batches.cleanup(but=(batch.batch,))
        self.target.batches.begin(batch.batch)
        return self._copy(batch) or MemoryMergeLoader(self.target, self.shadow).merge(batch)

    def finish(self) -> Complete:
        not_after = self.attempts.not_after
        if not_after is None and self._found_older:
            not_after = self.target.claimed.claim.fence - 1
        elif not_after is None and not self._copied:
            return Complete()
        events = self._remove_duplicates(not_after)
        if events or self.attempts.not_after is not None:
            self.target.claimed.rows = len(self.table.rows)
        self.target.recorder.events.extend(events)
        return Complete()

    def _copy(self, batch: LoadBatch) -> Loaded | None:
        """None: the batch is to be merged."""
        target = self.target
        if self._may_copy is False or not target.is_staged(batch):
            return None
        try:
            if self._may_copy is None:
                not_after = self.attempts.not_after
                after = None if not_after is None else not_after + FENCES_PER_CLAIM
                self._found_older = self.table.has_row_up_to(not_after, after)
                self._may_copy = not self._found_older
            if not self._may_copy:
                return None
            self._delete(self.attempts.earlier)
            target.batches.leaves(batch.batch, files=True)
            target.retried(lambda: self._attempt(batch))
        except TargetQueryFailed as rejected:
            target.recorder.events.append(f"{batch.batch} is merged: {rejected}")
            self._may_copy = False
            target.batches.begin(batch.batch)
            return None
        self._copied = True
        target.add_rows(batch.rows)
        target.recorder.loaded(batch, target.result(batch.rows))
        return Loaded(batch.rows)

    def _attempt(self, batch: LoadBatch) -> None:
        target, rows = self.target, read_rows(batch)
        if batch.batch in self.table.copied:  # the reply to an earlier attempt was lost
            return
        target.put(batch, rows)
        target.batches.record(batch.batch)
        with target.step("copy", batch.batch):
            names = [f.target for f in target.plan.output]
            self.table.insert(target.written(row, names, batch.fence) for row in rows)
            self.table.copied.add(batch.batch)
        target.recorder.tell("copied")

    def _delete(self, fences: tuple[int, ...]) -> int:
        return self.table.delete(lambda row: row[FENCE_COLUMN] in fences)

    def _remove_duplicates(self, not_after: int | None) -> list[str]:
        """As pgsnow.snowflake.load.direct_copy.remove_duplicates."""
        if not_after is not None and self.table.has_row_up_to(not_after):
            late = self._keep_newest(since=not_after + 1) if can_copy_directly(self.target.plan) else 0
            return [f"removed {late} rows that had come late, of a load that was given up"] if late else []
        gone, twice = self._delete(self.attempts.given_up), self._keep_newest()
        events = [f"deleted {gone} rows that attempts which were given up had left"] if gone else []
        moved = f"removed {twice} rows that had moved while they were read, and were there twice"
        return [*events, moved] if twice else events

    def _keep_newest(self, since: int = 0) -> int:
        """Remove rows of whose key there is a newer row, with this fence or a higher one; how many."""
        key = [f.target for f in self.target.plan.key]
        newest: dict[tuple[object, ...], Row] = {}
        for row in self.table.rows:
            known = newest.setdefault(tuple(row[name] for name in key), row)
            if (row[FENCE_COLUMN] or 0) > (known[FENCE_COLUMN] or 0):
                newest[tuple(row[name] for name in key)] = row
        kept = {id(row) for row in newest.values() if (row[FENCE_COLUMN] or 0) >= since}
        overtaken = {at for at, row in newest.items() if id(row) in kept}
        return self.table.delete(
            lambda row: id(row) not in kept and tuple(row[name] for name in key) in overtaken
        )


class MemoryShadowLoader(MemoryCopyLoader):
    """Loads chunks into a shadow table, whose rows `finish` puts in place of the target's content."""

    def __init__(self, target: MemoryTarget, batch: str, attempts: Attempts, other_keys: bool) -> None:
        super().__init__(target, attempts, staging_table(target.plan.target, batch))
        self._batch = batch
        self._other_keys = other_keys

    def finish(self) -> Complete:
        target = self.target
        target.batches.record(self._batch)
        try:
            replaced = target.retried(self._put_in_place)
        except TargetMissing:
            target.check_shadow(staging_table(target.plan.target, self._batch))
            raise
        announce_replaced(target, replaced)
        return Complete(replaced=True)

    def _put_in_place(self) -> int:
        target = self.target
        with target.step("replace", self._batch):
            self._delete(self.attempts.given_up)
            self._keep_newest()
            names = [f.target for f in target.plan.output]
            fence = target.claimed.claim.fence
            rows = [target.written(row, names, fence) for row in self.table.rows]
            return replace_content(target, rows, other_keys=self._other_keys)


@dataclass(slots=True)
class MemoryDeferredLoader:
    """Stages the batch's files for a later run."""

    target: MemoryTarget

    def load(self, batch: LoadBatch) -> Deferred | TargetRecreated:
        target, rows = self.target, read_rows(batch)
        target.batches.begin(batch.batch)
        try:
            target.retried(lambda: target.put(batch, rows))
        except TargetQueryFailed:
            if target.make_fit(inspect=True):
                return TargetRecreated()
            target.retried(lambda: target.put(batch, rows))
        target.recorder.bytes_staged += batch.size
        place, layout = str(LoadMethod.STAGE), Layout.of(target.plan)
        staged = StagedBatch(
            batch.batch,
            batch.fence,
            batch.rows,
            batch.size,
            batch.first_row,
            place,
            layout,
            changes=batch.changes,
        )
        return Deferred(staged)

    def finish(self) -> Complete:
        return Complete()
