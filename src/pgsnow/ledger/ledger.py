"""The ledger: pgsnow's state in Postgres, one attribute per kind of state."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING

from pgsnow.ledger.backfills import Backfills
from pgsnow.ledger.checkpoints import Checkpoints
from pgsnow.ledger.comparison.sweeps import Sweeps
from pgsnow.ledger.deferred_loads import DeferredLoads
from pgsnow.ledger.history.loaded_files import LoadedFileStore
from pgsnow.ledger.leases import Leases
from pgsnow.ledger.migrate import migrate, missing_of_complete, recreate_missing
from pgsnow.ledger.queries import Queries
from pgsnow.ledger.rejected_rows import RejectedRowStore
from pgsnow.ledger.run_log import RunLog
from pgsnow.ledger.session import LedgerSession
from pgsnow.postgres.connection import HasConninfo

if TYPE_CHECKING:
    from pgsnow.ledger.alerts.store import AlertStore
    from pgsnow.ledger.budget.store import BudgetStore
    from pgsnow.ledger.comparison.certificates import Certificates
    from pgsnow.ledger.history.checks import Checks
    from pgsnow.ledger.history.heartbeats import Heartbeats
    from pgsnow.ledger.history.history import History
    from pgsnow.ledger.history.ticks import Ticks
    from pgsnow.ledger.requests.requests import Requests
    from pgsnow.ledger.slots.joins import LogPositions
    from pgsnow.ledger.slots.store import Slots

LEASE_SECONDS = 600.0
"""Duration of a lease that is not renewed, if its holder neither releases it nor is known to be dead."""


class Ledger:
    """The tables of one schema, by what they store.

    It connects at first use, once per process (a forked child opens its own connection), and again when the
    connection breaks. Behind a pooler it has no session of its own, and a dead worker's leases have to expire.
    Nothing is sent outside of a call. Times are those of the ledger server's clock, except those of TableReport.

    Every write that takes a Claim is fenced: once a higher fence is granted, it raises LeaseLost and changes
    nothing. All methods may be called from any thread. Errors of the connection and of statements: see
    pgsnow.ledger.errors.
    """

    def __init__(
        self, settings: HasConninfo, schema: str = "public", *, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self._settings = settings
        self._session = LedgerSession(settings, schema)
        self._session.on_missing = partial(missing_of_complete, settings, schema)
        self._lease_seconds = lease_seconds
        self._queries = queries = Queries(self._session)
        self.leases = Leases(queries, lease_seconds)
        self.checkpoints = Checkpoints(queries)
        self.backfills = Backfills(queries, self.leases.chunks)
        self.sweeps = Sweeps(queries)
        self.deferred_loads = DeferredLoads(queries)
        self.loaded_files = LoadedFileStore(queries)
        self.rejected_rows = RejectedRowStore(queries)
        self.run_log = RunLog(queries)

    # What a tick without news does not need is imported at first use.

    @cached_property
    def certificates(self) -> Certificates:
        from pgsnow.ledger.comparison.certificates import Certificates

        return Certificates(self._queries)

    @cached_property
    def alerts(self) -> AlertStore:
        from pgsnow.ledger.alerts.store import AlertStore

        return AlertStore(self._queries)

    @cached_property
    def budget(self) -> BudgetStore:
        from pgsnow.ledger.budget.store import BudgetStore

        return BudgetStore(self._queries)

    @cached_property
    def slots(self) -> Slots:
        from pgsnow.ledger.slots.store import Slots

        return Slots(self._queries, self._lease_seconds)

    @cached_property
    def log_positions(self) -> LogPositions:
        from pgsnow.ledger.slots.joins import LogPositions

        return LogPositions(self._queries)

    @cached_property
    def history(self) -> History:
        from pgsnow.ledger.history.history import History

        return History(self._queries)

    @cached_property
    def ticks(self) -> Ticks:
        from pgsnow.ledger.history.ticks import Ticks

        return Ticks(self._queries)

    @cached_property
    def checks(self) -> Checks:
        from pgsnow.ledger.history.checks import Checks

        return Checks(self._queries)

    @cached_property
    def heartbeats(self) -> Heartbeats:
        from pgsnow.ledger.history.heartbeats import Heartbeats

        return Heartbeats(self._queries)

    @cached_property
    def requests(self) -> Requests:
        from pgsnow.ledger.requests.requests import Requests

        return Requests(self._queries, self._lease_seconds)

    def __repr__(self) -> str:
        return f"Ledger(schema={self._session.schema!r})"

    def migrate(self) -> None:
        """Create or upgrade the ledger's tables. Idempotent; safe when many processes start at once. From now on, a
        statement that misses a table or a column has it created again."""
        migrate(self._settings, self._session.schema)
        self._session.on_missing = partial(recreate_missing, self._settings, self._session.schema)

    def close(self) -> None:
        """Release every claim that this process still holds, and close its connection."""
        self.leases.release_all()
        self._session.close()
