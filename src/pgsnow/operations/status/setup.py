"""The newest result of `pgsnow check`, as the ledger keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pgsnow.ledger.errors import unless_missing
from pgsnow.ledger.ledger import Ledger
from pgsnow.operations.check.result import CheckResult, Level


@dataclass(frozen=True, slots=True)
class Setup:
    """The newest `pgsnow check`. at: when it ran; None: never. by: `host:pid` of the command, version: of its pgsnow.
    checks: in their order."""

    at: datetime | None
    by: str = ""
    version: str = ""
    checks: tuple[CheckResult, ...] = ()

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """Checks that failed."""
        return tuple(check for check in self.checks if check.level is Level.FAILED)


def setup_of(ledger: Ledger) -> Setup:
    """The newest result; one without checks if none was saved. Raises LedgerUnavailable, LedgerAccessDenied."""
    saved = unless_missing(ledger.checks.latest, None)
    if saved is None:
        return Setup(None)
    return Setup(saved.at, saved.holder, saved.version, tuple(map(_check, saved.results)))


def _check(stored: Mapping[str, Any]) -> CheckResult:
    """A stored result; a level of a later version counts as a warning."""
    level = stored.get("level")
    known = Level(level) if level in set(Level) else Level.WARNING
    texts = (str(stored.get(name) or "") for name in ("detail", "fix"))
    return CheckResult(str(stored.get("name") or ""), known, *texts)
