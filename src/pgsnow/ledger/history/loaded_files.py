"""sync_loaded_files: staged files that are loaded, and wait to be removed together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pgsnow.ledger.queries import Queries
from pgsnow.model.duration import approximate_duration
from pgsnow.model.sentences import counted


@dataclass(frozen=True, slots=True)
class LoadedFiles:
    """The files of one loaded batch. account: of the stage; "" for a bucket. location: as `Stage.location` names it.
    grace: seconds for which they must stay."""

    batch: str
    account: str
    location: str
    size: int = 0
    grace: float = 0.0


@dataclass(frozen=True, slots=True)
class WaitingFiles:
    """How much waits at one place to be removed. seconds: age of the oldest. tables: whose runs loaded them."""

    account: str
    location: str
    batches: int
    bytes: int
    seconds: float
    tables: tuple[str, ...]

    def __str__(self) -> str:
        batches = counted(self.batches, "loaded batch", "loaded batches")
        files = f"files of {batches} ({self.bytes / 1e6:.1f} MB) of {', '.join(self.tables)}"
        return f"{self.location}: {files} wait to be removed, for {approximate_duration(self.seconds)}"


@dataclass(frozen=True, slots=True)
class LoadedFileStore:
    """Files are added by `Checkpoints.close_batches`, in the statement that closes their batches."""

    queries: Queries

    def take(self, account: str, locations: Sequence[str]) -> dict[str, list[str]]:
        """Batches whose files the caller must remove now, by location: those of these locations, and those of the
        account's other stages that have waited for more than an hour. For an hour, no other caller gets them."""
        found: dict[str, list[str]] = {}
        rows = self.queries.execute("take_loaded_files", account=account, locations=[*locations])
        for row in rows:
            found.setdefault(row["location"], []).append(row["batch"])
        return found

    def overdue(self, account: str) -> bool:
        """True if files of this account, or of a bucket, could have been removed for more than an hour."""
        return self.queries.execute("overdue_files", account=account).rowcount > 0

    def forget(self, account: str, location: str, batches: Collection[str]) -> None:
        """Record that the files of these batches are removed."""
        self.queries.execute("forget_loaded_files", account=account, location=location, batches=list(batches))

    def waiting(self) -> list[WaitingFiles]:
        """How much waits to be removed, by place."""
        rows = self.queries.execute("loaded_files").fetchall()
        return [WaitingFiles(**row | {"tables": tuple(row["tables"])}) for row in rows]
