"""The ledger: pgsnow's state in Postgres, one attribute per kind of state."""

from __future__ import annotations

from functools import partial

from pgsnow.ledger.alerts.store import AlertStore
from pgsnow.ledger.backfills import Backfills
from pgsnow.ledger.budget.store import BudgetStore
from pgsnow.ledger.checkpoints import Checkpoints
from pgsnow.ledger.comparison.certificates import Certificates
from pgsnow.ledger.comparison.sweeps import Sweeps
from pgsnow.ledger.deferred_loads import DeferredLoads
from pgsnow.ledger.history.checks import Checks
from pgsnow.ledger.history.heartbeats import Heartbeats
from pgsnow.ledger.history.history import History
from pgsnow.ledger.history.loaded_files import LoadedFileStore
from pgsnow.ledger.history.ticks import Ticks
from pgsnow.ledger.leases import Leases
from pgsnow.ledger.migrate import migrate, missing_of_complete, recreate_missing
from pgsnow.ledger.queries import Queries
from pgsnow.ledger.rejected_rows import RejectedRowStore
from pgsnow.ledger.requests.requests import Requests
from pgsnow.ledger.run_log import RunLog
from pgsnow.ledger.session import LedgerSession
from pgsnow.ledger.slots.joins import LogPositions
from pgsnow.ledger.slots.store import Slots
from pgsnow.postgres.connection import HasConninfo

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
        queries = Queries(self._session)
        self.leases = Leases(queries, lease_seconds)
        self.checkpoints = Checkpoints(queries)
        self.backfills = Backfills(queries, self.leases.chunks)
        self.sweeps = Sweeps(queries)
        self.log_positions = LogPositions(queries)
        self.deferred_loads = DeferredLoads(queries)
        self.loaded_files = LoadedFileStore(queries)
        self.certificates = Certificates(queries)
        self.rejected_rows = RejectedRowStore(queries)
        self.run_log = RunLog(queries)
        self.alerts = AlertStore(queries)
        self.budget = BudgetStore(queries)
        self.slots = Slots(queries, lease_seconds)
        self.history = History(queries)
        self.ticks = Ticks(queries)
        self.checks = Checks(queries)
        self.heartbeats = Heartbeats(queries)
        self.requests = Requests(queries, lease_seconds)

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
