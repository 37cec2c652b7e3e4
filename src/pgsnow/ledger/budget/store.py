"""sync_budget: one row for each day with a budget, written by the ticks, read by the status, the metrics and alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from pgsnow.ledger.queries import Queries, cut
from pgsnow.model.budget.demand import Account, BudgetPlan, Pace
from pgsnow.model.budget.history import HourOfDay
from pgsnow.model.cost.forecast import TYPICAL, LoadTime

HABITS_SECONDS = 3600.0
"""How long habits are used until they are computed again."""
HABIT_DAYS = 7
"""Days of runs that habits are computed from."""
LOAD_DAYS = 2
"""Days of runs from which the durations of loads are computed."""
KEPT_DAYS = 100
SHORTEST_LOAD = 0.2
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Habits:
    """When changes of a table arrive, and how long its loads take."""

    hours: Mapping[int, HourOfDay] = field(default_factory=dict)
    load: LoadTime = TYPICAL


@dataclass(frozen=True, slots=True)
class Waiting:
    """Changes of a table that are not loaded. staged_at: of its oldest staged batch; None: none is. rows: in staged
    batches. last_success: start of its last run that succeeded. Moments are seconds since 1970."""

    staged_at: float | None = None
    rows: float = 0.0
    last_success: float | None = None


@dataclass(frozen=True, slots=True)
class BudgetFacts:
    """Facts at `now`, by the ledger's clock (seconds since 1970). spent: credits since the day began. before: of all
    days before. habits: None if they must be computed. decided: tables of which the tick over all tables of the present
    interval has decided to load what is staged."""

    now: float
    spent: float
    before: float
    awake_until: float
    waiting: Mapping[str, Waiting]
    habits: Mapping[str, Habits] | None
    decided: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SavedBudget:
    """The newest plan, as a tick has made it. Its paces hold until the next tick decides."""

    day: date
    planned_at: datetime
    credits_per_day: float | None
    spent: float
    forecast: float
    least: float
    held_until: datetime | None
    conflict: str | None
    conflict_since: datetime | None
    paces: Mapping[str, Pace]


@dataclass(frozen=True, slots=True)
class BudgetStore:
    """Reads what a plan is made from, and keeps the plan."""

    queries: Queries

    def facts(self, tables: Sequence[str], warehouse: str, interval: float) -> BudgetFacts:
        """The facts about these tables. warehouse: the one that loads use. interval: seconds between two ticks."""
        [row] = self.queries.execute(
            "budget_facts",
            tables=[*tables],
            warehouse=warehouse,
            interval=interval,
            habits_seconds=HABITS_SECONDS,
        )
        before = row["credits_before"]
        if before is None:
            before = max(0.0, row["credits"] - row["today"])
        waiting = row["waiting"] if isinstance(row["waiting"], dict) else {}
        return BudgetFacts(
            row["now"],
            max(row["today"], row["credits"] - before, 0.0),
            before,
            row["awake_until"] or 0.0,
            {table: _waiting(found) for table, found in waiting.items()},
            _habits(row["habits"]),
            frozenset(row["decided"] if isinstance(row["decided"], list) else ()),
        )

    def habits(self, now: float) -> dict[str, Habits]:
        """The habits of every table in the whole hours of the last days; tables without a run are missing."""
        until = datetime.fromtimestamp(now, UTC)
        hours: dict[str, dict[int, HourOfDay]] = {}
        since = until - timedelta(days=HABIT_DAYS)
        for row in self.queries.execute("arrivals", since=since, until=until):
            busy, idle, rows = (float(row[name]) for name in ("busy", "idle", "rows_read"))
            hours.setdefault(row["source_table"], {})[row["hour_of_day"]] = HourOfDay(busy, busy + idle, rows)
        recent = self.queries.execute("load_times", since=until - timedelta(days=LOAD_DAYS))
        loads = {row["source_table"]: _load_time(row) for row in recent if row["loads"]}
        return {table: Habits(hours.get(table, {}), loads.get(table, TYPICAL)) for table in {*hours, *loads}}

    def save(
        self, account: Account, plan: BudgetPlan, before: float, habits: Mapping[str, Habits] | None
    ) -> None:
        """Keep the plan of the day. before: credits of all days before. habits: None if they have not changed."""
        stored = None if habits is None else Jsonb({table: _stored(found) for table, found in habits.items()})
        self.queries.execute(
            "save_budget",
            days=KEPT_DAYS,
            now=account.now,
            limit=account.limit,
            credits_before=before,
            spent=account.spent,
            forecast=plan.forecast,
            least=plan.least,
            held=plan.held,
            conflict=cut(plan.conflict),
            paces=Jsonb({table: asdict(pace) for table, pace in plan.paces.items()}),
            loads=Jsonb(sorted(plan.loads)),
            habits=stored,
        )

    def latest(self) -> SavedBudget | None:
        """The newest plan; None: there is none."""
        row = self.queries.execute("latest_budget").fetchone()
        if row is None:
            return None
        paces = row["paces"] if isinstance(row["paces"], dict) else {}
        found: dict[str, Pace] = {}
        for table, fields in paces.items():
            with suppress(TypeError):  # edited by hand, or of another version
                found[table] = Pace(**fields)
        return SavedBudget(**{**row, "paces": found})


def _waiting(found: Any) -> Waiting:
    """Fields that were edited by hand and cannot be read are as if nothing was staged."""
    with suppress(TypeError, ValueError):
        staged_at, rows, last_success = found
        since = None if staged_at is None else datetime.fromisoformat(staged_at).timestamp()
        return Waiting(since, float(sum(rows or [])), last_success)
    return Waiting()


def _load_time(row: Mapping[str, Any]) -> LoadTime:
    """The time of a load without its rows, each of which is assumed to take as long as with any table."""
    fixed = (float(row["warehouse_seconds"]) - TYPICAL.per_row * float(row["rows"])) / float(row["loads"])
    return LoadTime(max(SHORTEST_LOAD, fixed), TYPICAL.per_row)


def _stored(found: Habits) -> list[Any]:
    hours = [[hour, each.busy, each.runs, each.rows] for hour, each in sorted(found.hours.items())]
    return [hours, found.load.fixed, found.load.per_row]


def _habits(stored: Any) -> dict[str, Habits] | None:
    """The stored habits; None if there are none, or they cannot be read."""
    if not isinstance(stored, dict):
        return None
    with suppress(TypeError, ValueError):
        return {
            table: Habits(
                {int(hour): HourOfDay(busy, runs, rows) for hour, busy, runs, rows in hours},
                LoadTime(fixed, per_row),
            )
            for table, (hours, fixed, per_row) in stored.items()
        }
    return None
