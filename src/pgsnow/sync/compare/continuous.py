"""When a continuous comparison (`verify_every`) is due, and what keeps a table from being compared so. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pgsnow.model.comparison.certificate import Verification
from pgsnow.model.plan import TablePlan


def obstacle(plan: TablePlan) -> str | None:
    """Why a table with this plan cannot be compared continuously; None: it can."""
    rule = plan.config.transform
    if plan.whole:
        return f"with mode {plan.config.mode}, its content is read as a whole"
    if not plan.target_key:
        return "its rows have no key"
    if not plan.has_xmin:
        return "without the system column xmin, rows in flight cannot be told from differences"
    if rule is not None and rule.function:
        return "its transform calls a function, which may drop rows"
    if rule is not None and set(plan.pk) & {*rule.sensitive, *rule.cast}:
        return "its transform changes the key"
    return None


def is_due(plan: TablePlan, stored: Any, sweep: Mapping[str, Any] | None, now: float, *, awake: bool) -> bool:
    """True if ranges of this table must be compared in a run now. stored: `Claim.verification`. sweep: `Claim.sweep`.
    now: seconds since 1970. awake: as in Verification.is_due."""
    every = plan.config.verify_every
    if every <= 0 or obstacle(plan) is not None:
        return False
    swept_at = float((sweep or {}).get("swept_at") or 0.0)
    return Verification.from_json(stored).is_due(every, now, awake=awake, swept_at=swept_at)
