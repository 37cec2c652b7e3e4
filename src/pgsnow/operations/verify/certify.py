"""The certificate of a comparison, and its differences as the ledger keeps them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pgsnow.model.comparison.certificate import SHOWN_KEYS, Certificate, ComparisonMethod, OpenDifferences
from pgsnow.model.config.options import Deletes
from pgsnow.model.key_range import DifferenceKind
from pgsnow.model.plan import TablePlan
from pgsnow.operations.verify.canonical import plain
from pgsnow.operations.verify.differences import Differences
from pgsnow.operations.verify.open_table import OpenTable
from pgsnow.operations.verify.row_difference import RowDifference
from pgsnow.sync.pipeline.confidential import REDACTED


@dataclass(slots=True)
class Tally:
    """Differing rows of one comparison. keeps: why rows that only the target has stay on purpose; '': they do not.
    counts: kind → rows. first: kind → its first keys, as shown."""

    plan: TablePlan
    keeps: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, list[str]] = field(default_factory=dict)
    began_at: str = field(default_factory=lambda: this_moment())

    def note(self, one: RowDifference) -> None:
        self.counts[str(one.kind)] += one.rows
        shown = self.first.setdefault(str(one.kind), [])
        if len(shown) < SHOWN_KEYS:
            shown.append(shown_key(self.plan, one))

    def certificate(self, by: str, method: ComparisonMethod, found: Differences) -> Certificate:
        """The certificate of the complete comparison."""
        kept = self.counts[DifferenceKind.GHOST] if self.keeps else 0
        return Certificate(
            method,
            by,
            self.began_at,
            this_moment(),
            found.snapshot or None,
            found.counts.source_rows,
            found.counts.ranges,
            sum(self.counts.values()) - kept,
            kept=kept,
        )

    def open_differences(self, counts: dict[str, int] | None = None) -> OpenDifferences | None:
        """counts: those that are left (None: all that were found)."""
        left = wanted(dict(self.counts) if counts is None else counts, keeps=bool(self.keeps))
        if not left:
            return None
        keys = [key for kind in left for key in self.first.get(kind, ())]
        return OpenDifferences(left, self.began_at, tuple(keys[:SHOWN_KEYS]))


def tally_of(table: OpenTable) -> Tally:
    """An empty tally for a comparison that begins now."""
    rule = table.plan.deletes(table.known.created_target)
    return Tally(table.plan, rule.why if rule.deletes is Deletes.OFF else "")


def wanted(counts: dict[str, int], *, keeps: bool) -> dict[str, int]:
    """The differences that should not be there: without rows that stay on purpose."""
    return {
        kind: rows for kind, rows in counts.items() if rows and not (kind == DifferenceKind.GHOST and keeps)
    }


def shown_key(plan: TablePlan, one: RowDifference) -> str:
    """A key as people see it, or a row without a key; values of confidential columns are redacted."""
    rule = plan.config.transform
    hidden = rule.sensitive if rule else frozenset()
    names = plan.pk if len(plan.pk) == len(one.values) else tuple(field.source for field in plan.output)
    pairs = zip(names, one.values, strict=False)
    return ", ".join(REDACTED if name in hidden else str(plain(value)) for name, value in pairs)


def this_moment() -> str:
    """This moment, as an ISO time in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
