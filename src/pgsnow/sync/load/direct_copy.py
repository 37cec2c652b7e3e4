"""Loader for full reads that copies batches straight into the target, as long as it has no older rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

from pgsnow.ledger.claim import FENCES_PER_CLAIM
from pgsnow.model.batch import LoadBatch, LoadResult
from pgsnow.model.errors import TargetMissing, TargetQueryFailed
from pgsnow.model.table import TargetName
from pgsnow.snowflake.load.direct_copy import (
    can_copy_directly,
    copy_steps,
    delete_attempts,
    has_come_through,
    has_no_older_row,
    remove_duplicates,
)
from pgsnow.snowflake.query import count_rows
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.statement import PUT, execute, result_of
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.loader import Complete, Loaded, TargetRecreated
from pgsnow.sync.load.merge import MergeLoader


@dataclass(frozen=True, slots=True)
class Attempts:
    """The fences under which the rows of a full read may be in the target.

    not_after: rows with this fence or a lower one are from an earlier read (None: all existing rows are). earlier:
    previous attempts at the same rows, which are deleted first. given_up: attempts whose rows are deleted at the end.
    """

    not_after: int | None = None
    earlier: tuple[int, ...] = ()
    given_up: tuple[int, ...] = ()


class DirectCopyLoader:
    """See `Loader`. For full reads: no two rows of one snapshot have the same key, so no MERGE is needed. A batch
    is merged if it is small or COPY does not accept it; all batches are merged if the target has older rows. After
    `finish`, the changes made since the read began must be read:
    docs/decisions/23-straight-into-the-empty-target.md"""

    def __init__(self, load: LoadContext, attempts: Attempts, shadow: TargetName | None = None) -> None:
        """shadow: the shadow table that takes the rows instead of the target."""
        self._load = load
        self._attempts = attempts
        self._into = shadow or load.plan.target
        self._merge = MergeLoader(load, shadow)
        self._may_copy: bool | None = None if can_copy_directly(load.plan) else False
        """None: unknown until the target was inspected."""
        self._found_older = False
        self._copied = False
        self._before: int | None = 0
        """Rows that earlier batches loaded under the run's fence; None: unknown."""

    def load(self, batch: LoadBatch) -> Loaded | TargetRecreated:
        self._load.batches.cleanup(but=(batch.batch,))
        self._load.batches.begin(batch.batch)
        if self._load.target.missing:
            self._create_target(batch)
        outcome = self._copy(batch) or self._merge.merge(batch)
        if self._before is not None:
            # A merged row may have replaced a row of another attempt.
            new = isinstance(outcome, TargetRecreated) or outcome.inserted == batch.rows
            self._before = self._before + batch.rows if new else None
        return outcome

    def _create_target(self, batch: LoadBatch) -> None:
        """Create the target, and upload the files of the first batch meanwhile, if it is copied."""
        load = self._load
        if self._may_copy is False or load.method(batch.rows, batch.size) != "stage":
            with load.recorder.timed("prepare"):
                load.target.create_meanwhile(None)
            return
        parts = load.missing_parts(batch)
        with load.recorder.timed("put"):
            uploaded = load.target.create_meanwhile(lambda: load.upload(batch.batch, parts))
        if uploaded:
            load.uploaded[batch.batch] = frozenset(part.path for part in batch.parts)

    def finish(self) -> Complete:
        not_after = self._attempts.not_after
        if not_after is None and self._found_older:
            not_after = self._load.table.claim.fence - 1
        elif not_after is None and not self._copied:
            return Complete()
        plan, given_up, table = self._load.plan, self._attempts.given_up, self._load.table
        try:
            if self._has_loaded_rows_only() and not_after is None and not given_up:
                return Complete()
            events = self._load.session.do(
                lambda session: remove_duplicates(session, plan, not_after, given_up)
            )
            self._load.target.note_fence(None)
            if events or self._attempts.not_after is not None:  # other processes may have loaded rows, too
                table.rows = self._load.session.do(lambda session: count_rows(session, plan.target))
        except TargetMissing:  # if it was dropped, all batches went with it: the next run reads them again
            self._load.target.make_fit(inspect=True)
            raise
        self._load.recorder.events.extend(events)
        return Complete()

    def _has_loaded_rows_only(self) -> bool:
        """True if the target, created by this run, has as many rows as were loaded: they are of one snapshot, so that
        it has each key once. SHOW TABLES knows it, and needs no warehouse."""
        load, table = self._load, self._load.table
        if not table.created:
            return False
        return load.session.do(load.target.note_creation) == table.rows and not load.session.failed

    def _copy(self, batch: LoadBatch) -> Loaded | None:
        """The outcome of a direct copy; None: the batch must be merged."""
        load = self._load
        origin = load.stage.origin(load.plan.target, batch.batch)
        if self._may_copy is False or origin is None or load.method(batch.rows, batch.size) != "stage":
            return None
        attempts = count()
        try:
            if self._may_copy is None:
                self._may_copy = load.session.do(self._prepare)
            if not self._may_copy:
                return None
            load.batches.leaves(batch.batch, files=True)
            result = load.session.do(
                lambda session: self._attempt(session, batch, origin, again=next(attempts) > 0)
            )
        except TargetQueryFailed as refused:
            # A rejected COPY has changed nothing. A MERGE may succeed, and inspects the target again.
            load.recorder.events.append(f"{batch.batch} is merged: {refused}")
            self._may_copy = False
            load.batches.begin(batch.batch)
            return None
        self._copied = True
        if self._into == load.plan.target:
            is_known = load.table.claim.chunk is None and not load.session.failed
            load.target.note_fence(batch.fence if is_known else None)
        if not load.session.failed:
            load.batches.loaded(batch.batch, batch.size)
        load.table.add_rows(None if load.session.failed else batch.rows)
        load.recorder.loaded(batch, result)
        return Loaded(batch.rows)

    def _prepare(self, session: Session) -> bool:
        """Inspect the table, and delete rows of earlier attempts; False: it has rows of other reads, with which rows of
        this one must be merged. Idempotent."""
        not_after = self._attempts.not_after
        if self._into == self._load.plan.target and self._load.table.rows == 0 and self._load.table.created:
            return True  # by this run, which has added nothing yet
        after = None if not_after is None else not_after + FENCES_PER_CLAIM
        if has_no_older_row(session, self._into, not_after, after):
            delete_attempts(session, self._into, self._attempts.earlier)
            return True
        self._found_older = True
        return False

    def _attempt(self, session: Session, batch: LoadBatch, origin: str, *, again: bool) -> LoadResult:
        load = self._load
        if again and has_come_through(session, self._into, batch, self._before):
            return LoadResult(inserted=batch.rows)
        steps = copy_steps(
            load.plan, self._into, batch,
            stage=load.stage, origin=origin, parts=load.missing_parts(batch), audited=load.audited(),
        )  # fmt: skip
        phases = []
        for done in execute(session, steps):
            if done.event is not None:
                load.recorder.tell(done.event)
            if done.phase == PUT:
                # A run that takes over the table removes the files first, so a late COPY finds none, and cancels a COPY
                # that has begun.
                load.batches.running(session.number)
                load.batches.record(batch.batch)
            phases.append(done)
        return replace(result_of(phases), inserted=batch.rows)
