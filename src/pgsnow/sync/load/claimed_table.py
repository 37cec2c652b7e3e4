"""One claimed table's entry in the ledger: all writes of a run to it are made here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.ledger import Ledger
from pgsnow.model.backfill import Backfill, Range
from pgsnow.model.checkpoint import LEDGER_WENT_BACK, SELECTION, Checkpoint
from pgsnow.model.comparison.certificate import Verification
from pgsnow.model.comparison.sweep import DueSweep, SweepResult, SweepState
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.errors import LedgerOutdated, PgsnowError
from pgsnow.model.evolution.drift import SourceDefinition
from pgsnow.model.key_range import Key
from pgsnow.model.table import KnownTarget

if TYPE_CHECKING:
    from pgsnow.sync.runtime.owner import Settled


@dataclass(slots=True)
class ClaimedTable:
    """Writes the ledger's entry of a claimed table, and keeps `claim` equal to it, so that another attempt at the
    run can continue from it. Every method raises LeaseLost once another run has claimed the table."""

    ledger: Ledger
    claim: Claim
    rows: int | None = None
    """Rows of the target now, if nobody else changes it; None: not known."""
    because: str | None = None
    """Why everything must be read, though the run may have begun to read changes: the target was created, or is not as
    it was after the last load. The ledger has no checkpoint of the table any more."""
    sweep: DueSweep | None = None
    """The search for deleted rows that this run has to do; None: none is due, or it is done."""
    state: SweepState | None = None
    """State to record after a comparison with the source; None: deleted rows are not searched for."""
    created: bool = False
    """This run has created the target: it has no rows but those that the run loads."""
    incomplete: list[Key] = field(default_factory=list)
    """Keys (canonical texts) of rows of which the log did not have all columns, and the target not the others: they
    must be read from the source before the batches count as loaded."""
    settled: int = 0
    """The position in the log up to which its changes may be in rows that were read in this way; 0: none were."""
    take_over: bool = False
    """A person requested that the target belongs to this table from now on."""

    def advance(self, checkpoint: Checkpoint, source: SourceDefinition | None = None) -> None:
        """Move the checkpoint to what Snowflake has committed, and store the source's definition (None: keep the
        stored one). A checkpoint that lies before the stored one means that the server was restored to an older
        state: everything was read in that case, and the ledger starts over."""
        before = self.claim.checkpoint
        if before is not None and before.identity == checkpoint.identity and checkpoint.x < before.x:
            self.ledger.checkpoints.forget(self.claim)
        self.ledger.checkpoints.advance(self.claim, checkpoint, source, self.rows)
        self.claim = replace(
            self.claim, checkpoint=checkpoint, stored_definition=source or self.claim.stored_definition
        )

    def forget(self) -> None:
        """Delete the checkpoint and the current backfill. Batches that were staged and not loaded become open ones."""
        self.ledger.checkpoints.forget(self.claim)
        self.claim = replace(self.claim, checkpoint=None, staged=())

    def begin_again(
        self, created_on: str, because: str, doubt: str | None = None, created: str | None = None
    ) -> None:
        """As `forget`, because the target, created then, does not have the rows that were loaded. What is remembered of
        it is deleted, too. doubt: why it may hold other rows than its source, until everything has been read; None: it
        is empty. created: the target's name, if this run has created it. A doubt that is recorded already stays, unless
        everything may be read without an end of it."""
        if not (self.claim.unverified or SELECTION).startswith(SELECTION):
            doubt = None
        self.ledger.checkpoints.forget(self.claim, created_on, doubt, created)
        self.created = self.created or created is not None
        self.claim = replace(
            self.claim, checkpoint=None, staged=(), target_columns=None, target=KnownTarget(created_on),
            unverified=doubt or self.claim.unverified, created_target=created or self.claim.created_target,
        )  # fmt: skip
        self.because = because

    @contextmanager
    def creating(self) -> Iterator[None]:
        """Around a CREATE of the target that forgets the checkpoint afterwards (`begin_again`). A run that is killed in
        between leaves a target that is not the one that is remembered; if none is, the ledger says first that there is
        none, unless the CREATE fails."""
        claim, remember = self.claim, self.ledger.checkpoints.remember_target
        unknown = claim.target.created_on is None and (
            claim.checkpoint is not None or claim.chunk is not None
        )
        if unknown:
            remember(claim, None, replace(claim.target, created_on=""))
        try:
            yield
        except PgsnowError as error:
            if unknown and not error.transient:
                remember(claim, claim.target_columns, claim.target)
            raise

    def remember_target(
        self, columns: Mapping[str, str] | None, created_on: str | None = None, altered: Collection[str] = ()
    ) -> None:
        """Cache the target's columns, name → type (None: they must be looked up again), and when it was created (None:
        that stays). altered: columns that this run is about to alter: it is not known what they are until then."""
        known = self.claim.target
        loaded = {name: kind for name, kind in (columns or known.columns).items() if name not in altered}
        known = KnownTarget(created_on or known.created_on, known.rows, loaded)
        self.ledger.checkpoints.remember_target(self.claim, columns, known)
        self.claim = replace(self.claim, target_columns=columns, target=known)

    def add_rows(self, number: int | None) -> None:
        """Follow the number of rows in the target: so many more. None: it is not known any more."""
        self.rows = None if number is None or self.rows is None else self.rows + number

    def remember_source(self, source: SourceDefinition) -> None:
        """Store the source's definition without moving the checkpoint."""
        self.ledger.checkpoints.remember_source(self.claim, source)
        self.claim = replace(self.claim, stored_definition=source)

    def doubt(self, why: str | None) -> None:
        """Record why the target may hold rows that the source has lost; None: it no longer may."""
        if why != self.claim.unverified:
            self.ledger.checkpoints.doubt(self.claim, why)
            self.claim = replace(self.claim, unverified=why)

    def owner_of(self, target: str, comment: str) -> Settled | None:
        """The comment that the target must get, so that it names this table as its owner; None: this is the claim of a
        chunk, whose backfill has written it, or no place is recorded yet. Raises NotTheOwner."""
        from pgsnow.sync.runtime.owner import settle_owner  # rare

        settled = settle_owner(self.claim, target, comment, take_over=self.take_over)
        return settled if self.claim.chunk is None else None

    def mark_of(self, target: str) -> str:
        """The mark of a target that is created now."""
        from pgsnow.sync.runtime.owner import settle_owner  # rare

        settled = settle_owner(self.claim, target, "", take_over=True)
        return settled.mark if settled else ""

    def remember_mark(self, mark: str) -> None:
        """Record that the target names this table as its owner."""
        if self.claim.chunk is not None or not self.claim.places:
            return
        here, *before = self.claim.places
        places = ({**here, "mark": mark}, *before)
        self.ledger.checkpoints.remember_places(self.claim, places)
        self.claim = replace(self.claim, places=places)

    def remember_live_view(self, *, made: bool) -> None:
        """Record that the target gets a live view, or has none any more; also if that is recorded already."""
        if not self.claim.places:
            return
        here, *before = self.claim.places
        places = ({**here, "live_view": made}, *before)
        self.ledger.checkpoints.remember_places(self.claim, places)
        self.claim = replace(self.claim, places=places)

    def remember_created(self, target: str) -> None:
        """Record that pgsnow has created this target."""
        self.ledger.sweeps.created(self.claim, target)
        self.claim = replace(self.claim, created_target=target)

    def check_fence(self, newest: int) -> None:
        """Raises LedgerOutdated if the target has a row with a later fence (`newest`) than any that the ledger has
        granted: a run could not replace it. The ledger then starts over, above this fence."""
        doubt = f"{LEDGER_WENT_BACK}: it may hold rows that the source has lost, until pgsnow verify passes"
        if newest > self.claim.fence and self.ledger.checkpoints.start_over(self.claim, newest, doubt):
            raise LedgerOutdated(f"{self.claim.table}: {LEDGER_WENT_BACK}; this run could not replace them")

    def begin_backfill(
        self,
        layout: str,
        checkpoint: Checkpoint,
        ranges: Sequence[Range],
        *,
        prunes: bool,
        reason: str,
        replaces: bool,
    ) -> Backfill:
        """Begin a new backfill, which replaces the checkpoint and any current backfill."""
        work = self.ledger.backfills.begin(
            self.claim, layout, checkpoint, ranges, prunes=prunes, reason=reason, replaces=replaces
        )
        self.claim = replace(self.claim, checkpoint=None)
        return work

    def sweep_done(self, state: SweepState, result: SweepResult) -> None:
        """Record that the target was compared with the source, of which `state` was read before: by a sweep, or by a
        full read after which it has no other rows. The number of its rows is the one that `add_rows` has followed."""
        done = replace(
            state, swept_at=self.claim.granted_at, seconds=result.seconds, rest=result.rest,
            pending_since=None, pending_why="", tried_at=0.0, tried_seconds=0.0,
        )  # fmt: skip
        self.ledger.sweeps.done(self.claim, done, self.rows)
        self.claim = replace(self.claim, sweep=asdict(done), pending=None)
        self.sweep = None

    def end_differences(self) -> None:
        """Record that no row differs any more: a full read has loaded all rows, and removed the others."""
        stored = Verification.from_json(self.claim.verification)
        if stored.differences is not None:
            stored = replace(stored, differences=None)
            self.ledger.certificates.save(self.claim, stored)
            self.claim = replace(self.claim, verification=stored.to_json())

    def stage(
        self, batches: Sequence[StagedBatch], checkpoint: Checkpoint, source: SourceDefinition | None
    ) -> None:
        """Record that these batches are staged, to be loaded later, and that the table was read up to `checkpoint`."""
        self.ledger.deferred_loads.stage(self.claim, batches, checkpoint, source, self.rows)
        staged = (*self.claim.staged, *batches)
        self.claim = replace(
            self.claim,
            checkpoint=checkpoint,
            staged=staged,
            stored_definition=source or self.claim.stored_definition,
        )

    def staged_loaded(self) -> None:
        """Record that every staged batch is in the target: everything that was read is loaded."""
        self.ledger.deferred_loads.loaded(self.claim, self.rows)
        self.claim = replace(self.claim, staged=())

    def kept_uploaded(self, batches: Sequence[StagedBatch]) -> None:
        """Record that the files of these staged batches are no longer in `log_spool_dir` alone."""
        self.ledger.deferred_loads.uploaded(self.claim, batches)
        names = {batch.batch for batch in batches}
        staged = (replace(b, kept=None) if b.batch in names else b for b in self.claim.staged)
        self.claim = replace(self.claim, staged=tuple(staged))

    def discard_staged(self) -> None:
        """Discard the staged batches: the checkpoint goes back to what was loaded."""
        checkpoint = self.ledger.deferred_loads.discard(self.claim)
        self.claim = replace(self.claim, checkpoint=checkpoint, staged=())
