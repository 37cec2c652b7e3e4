"""The batches of one table that may have left something in Snowflake, until that is swept."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from pgsnow.model.errors import PgsnowError
from pgsnow.snowflake.load.merge import sweep
from pgsnow.snowflake.session import Session
from pgsnow.sync.load.context import LoadContext
from pgsnow.sync.load.session import RunSession


class OpenBatches:
    """Those that the claim came with, and those of this run. The ledger knows of each before Snowflake does."""

    def __init__(self, delivery: LoadContext, session: RunSession) -> None:
        self._delivery = delivery
        self._session = session
        self._open: list[str] = list(delivery.claim.open_batches)
        self._left = frozenset(delivery.claim.open_batches)
        self.kept: str | None = None
        """It is not to be swept before it is told otherwise."""
        self.without_table: AbstractSet[str] = frozenset()
        """Those of this run that have no staging table."""

    def hold(self, batch: str) -> None:
        """The ledger knows of it. Raises LeaseLost if the table is another run's by now."""
        self._delivery.ledger.checkpoints.open_batch(self._delivery.claim, batch)

    def begin(self, batch: str) -> None:
        """The ledger knows of it before anything of it is anywhere; it is swept when it is time. Raises LeaseLost."""
        self.hold(batch)
        if batch not in self._open:
            self._open.append(batch)

    def take_over(self, batches: Sequence[str]) -> None:
        """Sweep these too, when it is time, wherever others have put them."""
        new = [batch for batch in batches if batch not in self._open]
        self._open.extend(new)
        self._left |= frozenset(new)

    def wait(self, batches: Sequence[str]) -> None:
        """They are not to be swept: the ledger says that they wait to be loaded."""
        self._open[:] = [batch for batch in self._open if batch not in batches]

    def sweep(self, *but: str) -> None:
        """Remove the staging of every batch known to be open but these, of this run and of earlier ones."""
        swept = [batch for batch in self._open if batch not in (*but, self.kept)]
        if not swept:
            return
        with self._delivery.progress.timed("sweep"):
            self._session.do(lambda session: self._sweep(session, swept))
            self._delivery.ledger.checkpoints.close_batches(self._delivery.claim, swept)
        self._open[:] = [batch for batch in self._open if batch not in swept]
        self._delivery.progress.tell("swept")

    def abandon(self) -> None:
        """The table is another run's by now, which has removed what it found. What this one has put there since would
        stay for ever, so its own batches are removed here; no other run has a batch of these names. Never raises what
        Snowflake does."""
        ours = [batch for batch in self._open if batch not in self._left and batch != self.kept]
        if ours:
            with contextlib.suppress(PgsnowError):
                self._session.once(lambda session: self._sweep(session, ours))

    def _sweep(self, session: Session, batches: Sequence[str]) -> None:
        """An earlier run may have had another configuration, and its files in another place."""
        for batch in batches:
            stagings = self._delivery.stagings.all if batch in self._left else (self._delivery.staging,)
            tables = batch not in self.without_table
            sweep(session, self._delivery.plan.target, [batch], stagings, tables=tables)
