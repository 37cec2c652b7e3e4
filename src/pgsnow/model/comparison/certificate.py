"""Certificates: what comparisons of a table with its target have shown, and how far a continuous one is.

The ledger keeps them in one JSON object for each table. They decide nothing about the rows that are read or loaded, so
an object that was damaged by hand counts as an empty one: the table is compared again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

SHOWN_KEYS = 5
"""Keys of differing rows that are stored and shown."""
PACE = 0.9
"""The part of `verify_every` in which a round is planned to end, so that a few missed ticks do not delay it."""
SLACK = 0.1
"""How far a round may be behind its plan, as a part of the table, before an idle table resumes a warehouse for it."""


class ComparisonMethod(StrEnum):
    """How rows were compared: by their keys, by keys and contents, or a sample of them by keys and contents."""

    KEYS = "keys"
    CONTENT = "content"
    SAMPLE = "sample"


@dataclass(frozen=True, slots=True)
class Certificate:
    """The result of one comparison of a table with its target.

    by: what compared them: verify, repair or verify_every. began_at, ended_at: ISO times in UTC of the first and the
    last snapshot. snapshot: all transactions below this id had ended in the last one (None: not known). rows: of the
    source. differences: differing rows, without those in flight. repaired: those of them that were repaired. kept: rows
    that only the target has, which `deletes: off` keeps; no differences. without: columns of the source whose contents
    were not compared.
    """

    method: ComparisonMethod
    by: str
    began_at: str
    ended_at: str
    snapshot: int | None = None
    rows: int = 0
    ranges: int = 0
    differences: int = 0
    repaired: int = 0
    kept: int = 0
    without: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Certificate:
        """Raises what a damaged object causes."""
        known = {name: data[name] for name in cls.__slots__ if name in data}
        without = tuple(map(str, data.get("without", ())))
        found = cls(**{**known, "method": ComparisonMethod(data["method"]), "without": without})
        for moment in (found.began_at, found.ended_at):
            datetime.fromisoformat(moment)
        for name in ("rows", "ranges", "differences", "repaired", "kept"):
            int(getattr(found, name))
        return found

    def plus(self, other: Certificate) -> Certificate:
        """This comparison, continued by the other one."""
        counts = {
            name: getattr(self, name) + getattr(other, name)
            for name in ("rows", "ranges", "differences", "repaired", "kept")
        }
        return replace(self, ended_at=other.ended_at, snapshot=other.snapshot, **counts)


@dataclass(frozen=True, slots=True)
class Round:
    """A continuous comparison under way. so_far: the result of the ranges that are done, which are the first `done`
    of `of`. shape: TablePlan.shape when it began; with another one, it starts over. suspects: the first keys that only
    the target has, found at `suspected_at` (seconds since 1970): they are differences if the next search for deleted
    rows leaves them."""

    so_far: Certificate
    done: int
    of: int
    shape: str
    suspects: tuple[tuple[str, ...], ...] = ()
    suspected_at: float = 0.0

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Round:
        """Raises what a damaged object causes."""
        suspects = tuple(tuple(map(str, key)) for key in data.get("suspects", ()))
        numbers = int(data["done"]), int(data["of"])
        at = float(data.get("suspected_at", 0.0))
        return cls(Certificate.from_json(data["so_far"]), *numbers, str(data["shape"]), suspects, at)

    @property
    def share(self) -> float:
        """The part of the ranges that is done, from 0 to 1."""
        return self.done / max(self.of, 1)


@dataclass(frozen=True, slots=True)
class OpenDifferences:
    """Differences that were found and not repaired. counts: kind → rows. since: when the comparison that found them
    began. keys: the first of them, as shown to people."""

    counts: Mapping[str, int]
    since: str
    keys: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> OpenDifferences:
        """Raises what a damaged object causes."""
        counts = {str(kind): int(count) for kind, count in data["counts"].items()}
        return cls(counts, str(data["since"]), tuple(map(str, data.get("keys", ()))))

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def text(self) -> str:
        """`2 missing, 1 ghost`."""
        return ", ".join(f"{count} {kind}" for kind, count in self.counts.items() if count)

    def plus(self, other: OpenDifferences) -> OpenDifferences:
        """Both together, for two parts of one comparison."""
        kinds = dict.fromkeys((*self.counts, *other.counts))
        counts = {kind: self.counts.get(kind, 0) + other.counts.get(kind, 0) for kind in kinds}
        return OpenDifferences(counts, self.since, (*self.keys, *other.keys)[:SHOWN_KEYS])


@dataclass(frozen=True, slots=True)
class Verification:
    """All that comparisons of one table have left in the ledger. certificates: the newest of each method."""

    certificates: Mapping[ComparisonMethod, Certificate] = field(default_factory=dict)
    round: Round | None = None
    differences: OpenDifferences | None = None

    @classmethod
    def from_json(cls, data: Any) -> Verification:
        """The object that the ledger stores; an empty one for NULL and for a damaged object."""
        try:
            found = [Certificate.from_json(item) for item in (data or {}).get("certificates", {}).values()]
            under_way, open_ones = (data or {}).get("round"), (data or {}).get("differences")
            return cls(
                {certificate.method: certificate for certificate in found},
                None if under_way is None else Round.from_json(under_way),
                None if open_ones is None else OpenDifferences.from_json(open_ones),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return cls()

    def to_json(self) -> dict[str, Any]:
        return {
            "certificates": {str(method): asdict(one) for method, one in self.certificates.items()},
            "round": self.round and asdict(self.round),
            "differences": self.differences and asdict(self.differences),
        }

    @property
    def newest(self) -> Certificate | None:
        """The certificate of the latest comparison."""
        return max(self.certificates.values(), key=lambda one: one.ended_at, default=None)

    def certified(self, certificate: Certificate, found: OpenDifferences | None) -> Verification:
        """After a complete comparison. found: its differences that were not repaired; a comparison that could not see
        some of the earlier ones keeps those."""
        before, stays = self.differences, {}
        if before is not None and certificate.method is ComparisonMethod.SAMPLE:
            stays = dict(before.counts)
        elif before is not None and certificate.method is ComparisonMethod.KEYS:
            stays = {kind: count for kind, count in before.counts.items() if kind == "changed" and count}
        if before is not None and stays:
            found = replace(before, counts={**stays, **(found.counts if found else {})})
        certificates = {**self.certificates, certificate.method: certificate}
        return replace(self, certificates=certificates, differences=found)

    def is_due(self, every: float, now: float, *, awake: bool, swept_at: float = 0.0) -> bool:
        """True if a part of the table must be compared now. every: `verify_every` in seconds. now: seconds since 1970.
        awake: the warehouse is awake for another reason, so that a comparison costs little more. swept_at: when the
        last complete search for deleted rows began."""
        if every <= 0:
            return False
        if self.round is None:
            last = self.certificates.get(ComparisonMethod.CONTENT)
            return last is None or now >= seconds(last.began_at) + every
        if self.round.suspects and swept_at > self.round.suspected_at:
            return True
        if self.round.done >= self.round.of:
            return False
        planned = min((now - seconds(self.round.so_far.began_at)) / (every * PACE), 1.0)
        return planned >= 1.0 or self.round.share < planned - (0.0 if awake else SLACK)


BY_SCHEDULE = "verify_every"
"""`Certificate.by` of a continuous comparison."""


def seconds(moment: str) -> float:
    """Seconds since 1970 of an ISO time. Raises ValueError."""
    found = datetime.fromisoformat(moment)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
