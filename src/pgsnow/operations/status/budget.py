"""The budget in the status: the credits of today, and the tables that are slowed, as the newest tick decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pgsnow.ledger.errors import unless_missing

if TYPE_CHECKING:
    from pgsnow.ledger.budget.store import SavedBudget
    from pgsnow.ledger.ledger import Ledger
    from pgsnow.model.budget.demand import Pace
    from pgsnow.model.config.sync_config import SyncConfig


@dataclass(frozen=True, slots=True)
class BudgetState:
    """Today's budget. limit: credits; None: no limit. forecast: expected for the whole day. held_until: nothing that
    can wait is loaded before. conflict: why the budget cannot be kept, known since conflict_since; "" if it can.
    paces: the slowed tables."""

    limit: float | None
    spent: float
    forecast: float
    planned_at: datetime
    held_until: datetime | None = None
    conflict: str = ""
    conflict_since: datetime | None = None
    paces: Mapping[str, Pace] = field(default_factory=dict)

    @property
    def slowed(self) -> int:
        """The number of slowed tables."""
        return len(self.paces)

    @property
    def sentence(self) -> str:
        """In one line, without the conflict."""
        tables = f"; {self.slowed} table{'s are' if self.slowed != 1 else ' is'} slowed" if self.paces else ""
        if self.limit is None:
            return f"no limit for today's credits ({self.spent:.2f}){tables}"
        limit = f"{self.limit:g} credit{'s' * (self.limit != 1)}"
        spent = f"{self.spent:.2f} of today's {limit} {'are' if self.limit != 1 else 'is'} spent"
        return f"{spent}, {self.forecast:.2f} expected{tables}"


def budget_of(config: SyncConfig, ledger: Ledger, now: datetime) -> BudgetState | None:
    """The state of the budget; None if none is configured, or no tick has decided today. Raises LedgerUnavailable,
    LedgerAccessDenied."""
    if config.budget is None:
        return None
    saved: SavedBudget | None = unless_missing(ledger.budget.latest, None)
    if saved is None or saved.day != now.astimezone(UTC).date():
        return None
    paces = {table: pace for table, pace in saved.paces.items() if pace.until > now.timestamp()}
    return BudgetState(
        saved.credits_per_day,
        saved.spent,
        saved.forecast,
        saved.planned_at,
        saved.held_until if saved.held_until and saved.held_until > now else None,
        saved.conflict or "",
        saved.conflict_since,
        paces,
    )


def slowed_record(pace: Pace | None) -> dict[str, Any] | None:
    """A slowed table in JSON's types: durations in seconds, moments as text; None: it is not slowed."""
    if pace is None:
        return None
    until, following = (datetime.fromtimestamp(moment, UTC) for moment in (pace.until, pace.next_load))
    return {
        "load_every": pace.load_every,
        "configured": pace.configured,
        "why": pace.why,
        "until": until.isoformat(timespec="seconds"),
        "next_load": following.isoformat(timespec="seconds"),
    }
