"""The result of the comparison of one table, and the commands that fix what it found."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pgsnow.model.comparison.certificate import Certificate, OpenDifferences
from pgsnow.model.sentences import counted

MOST_REPAIRED = 100_000
"""Differing keys of a table that are repaired one by one; with more, whole tables are loaded again."""
SHOWN = 20
"""Differences kept for each table; further ones are only counted."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. kind: missing (not in the target), ghost (not in the source), duplicate (in the target more often
    than its key allows), value (`column` differs) or stale (the target has an older version of a rejected row;
    `reason`: why it was rejected)."""

    kind: str
    key: tuple[Any, ...]
    column: str | None = None
    source: Any = None
    target: Any = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Fix:
    """A command, and the sentence that says what it is for."""

    problem: str
    command: str


@dataclass(slots=True)
class Verdict:
    """Result of the comparison of one table. error, advice: why it could not be compared, and how to fix that."""

    table: str
    target: str
    source_rows: int = 0
    target_rows: int = 0
    quarantined: int = 0
    """Rows with an open entry in sync_errors. They are not expected in the target."""
    stale: int = 0
    """Those of which the target has an older version, which are differences."""
    staged: int = 0
    """Rows that are staged and not loaded yet, which count as differences."""
    difference_count: int = 0
    differences: list[Difference] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    """Kind → number of all differences of that kind, also of those that are not in `differences`."""
    error: str | None = None
    advice: str | None = None
    identified: bool = True
    """Rows of the target have a key, or an identity (`mode: append`)."""
    whole: bool = False
    """The table is read as a whole, and its target's content is replaced or added to as a whole."""
    repairable: bool = False
    """`pgsnow repair` can load or remove single rows."""
    ghosts_stay: bool = False
    """With `deletes: off`, rows that only the target has are removed on request alone."""
    was_unverified: str | None = None
    """The doubt that this comparison has ended."""
    in_flight: int = 0
    """Keys that differ because their rows changed after the last read. They are not among the differences."""
    ranges: int = 0
    """Ranges of keys (of their hashes, where rows are compared on our side) whose digests were compared."""
    equal_ranges: int = 0
    statements: int = 0
    """Statements for digests and keys that Snowflake was sent."""
    compared: str = "content"
    """content, or keys: of rows with a key, whether they exist."""
    sample: float | None = None
    """Percent of the ranges that were compared; None: all. Rows are counted in the compared ones."""
    certificate: Certificate | None = None
    """For the ledger; None: the table was not compared."""
    open_differences: OpenDifferences | None = None
    """For the ledger: the differing rows, without those that stay on purpose."""

    @property
    def equal(self) -> bool:
        return self.difference_count == 0 and self.error is None

    def note(self, difference: Difference, count: int = 1) -> None:
        """count: how many differences it stands for."""
        self.difference_count += count
        self.counts[difference.kind] = self.counts.get(difference.kind, 0) + count
        if len(self.differences) < SHOWN:
            self.differences.append(difference)

    def fixes(self) -> Iterator[Fix]:
        """The commands that fix what was found, and change nothing else; in the order in which to run them."""
        name, found = shlex.quote(self.table), Counter(self.counts)
        waits = self.staged > 0 and found["missing"] + found["value"] > 0
        if waits:
            problem = f"{_count(self.staged, 'staged row')} not loaded yet, which may explain differences"
            yield Fix(problem, f"pgsnow run --select {name} --load")
        if not self._is_repaired(found):
            yield from self._fixes_of_everything(name, found, waits=waits)
        elif not waits or found["ghost"] or found["duplicate"]:
            more = " --delete-ghosts" if found["ghost"] and self.ghosts_stay else ""
            yield Fix("loads exactly these rows again, or removes them", f"pgsnow repair {name}{more}")
        if self.stale:
            replay = f"pgsnow errors replay --table {name}"
            yield Fix("loads stale rows, once what `pgsnow errors list` shows is fixed", replay)
        elif self.quarantined:
            problem = f"{_count(self.quarantined, 'rejected row')} not in the target"
            yield Fix(problem, f"pgsnow errors list --table {name}")

    def _fixes_of_everything(self, name: str, found: Counter[str], *, waits: bool) -> Iterator[Fix]:
        """The commands for a table whose rows cannot be repaired one by one."""
        run, lost = f"pgsnow run --select {name}", found["missing"] + found["value"]
        if lost and not waits and not (found["ghost"] and not self._keeps_ghosts):
            yield Fix("rows are loaded again, and none is deleted", f"{run} --reread")
        if found["ghost"] and self._keeps_ghosts:
            problem = "replaces the content; a refresh deletes no row while rows are rejected"
            yield Fix(problem, f"pgsnow resync {name}")
        elif found["ghost"] or (found["duplicate"] and not self.identified):
            yield Fix(
                "rows are loaded again, and those without a source are deleted", f"{run} --full-refresh"
            )
        elif found["duplicate"]:
            yield Fix("removes rows beyond the newest of each key", f"pgsnow resync {name} --duplicates-only")

    def _is_repaired(self, found: Counter[str]) -> bool:
        """True if `pgsnow repair` fixes what was found of rows that are not rejected."""
        rows = found["missing"] + found["value"] + found["ghost"] + found["duplicate"]
        return self.repairable and 0 < rows <= MOST_REPAIRED

    @property
    def _keeps_ghosts(self) -> bool:
        """True if a full refresh would delete nothing: it may not, while rows of the table are rejected."""
        return self.quarantined > 0 and not self.whole


def _count(count: int, noun: str) -> str:
    return f"{counted(count, noun)} {'is' if count == 1 else 'are'}"
