"""Checkpoints, and what is stored in their rows: open batches, and the source and target as last seen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from psycopg.types.json import Jsonb

from pgsnow.ledger.claim import Claim
from pgsnow.ledger.errors import UNREADABLE, unreadable
from pgsnow.ledger.history.loaded_files import LoadedFiles
from pgsnow.ledger.queries import Queries, fence_of
from pgsnow.model.checkpoint import Checkpoint, VirtualXids
from pgsnow.model.errors import PgsnowError
from pgsnow.model.evolution.drift import SourceDefinition
from pgsnow.model.table import KnownTarget

_TIME = re.compile(r"\d{4,6}-\d\d-\d\d([ T]\d\d:\d\d.*)?\Z")


@dataclass(frozen=True, slots=True)
class Remembered:
    """A table's state in the ledger. unreadable: JSON in it was damaged, and stops the table's run with this error."""

    checkpoint: Checkpoint | None = None
    definition: SourceDefinition | None = None
    unreadable: PgsnowError | None = None
    target: KnownTarget | None = None
    """The target as it was after its last load; None: not known."""
    created_target: str | None = None
    """Name of the target, if pgsnow has created it."""
    sweep: Mapping[str, Any] | None = None
    """The fields of the SweepState; None: no sweep was recorded yet."""


def _checkpoint(stored: Any) -> Checkpoint | None:
    """The checkpoint of this JSON; None if there is none, or if it is damaged."""
    try:
        return None if stored is None else Checkpoint.from_json(stored)
    except UNREADABLE:
        return None


def _remembered(row: dict[str, Any], schema: str) -> Remembered:
    column, checkpoint, stored = "checkpoint", row["checkpoint"], row["source_schema"]
    try:
        found = None if checkpoint is None else Checkpoint.from_json(checkpoint)
        column = "source_schema"
        definition = None if stored is None else SourceDefinition.from_json(stored)
        column, known = "loaded_columns", None
        if found is not None and row["target_created_on"] is not None:
            known = KnownTarget(
                row["target_created_on"], row["target_rows"], dict(row["loaded_columns"] or {})
            )
        return Remembered(
            found, definition, target=known, created_target=row["created_target"], sweep=row["sweep"]
        )
    except UNREADABLE as error:
        return Remembered(unreadable=unreadable(row["source_table"], column, schema, error))


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """How far each table is read and loaded, in sync_watermarks. Each write is one statement."""

    queries: Queries

    def remembered(self, table: str | None = None) -> dict[str, Remembered]:
        """The state of each table that has one, or of one table, without claiming it: for commands that write
        nothing."""
        rows = self.queries.execute("remembered", table=table)
        return {row["source_table"]: _remembered(row, self.queries.schema) for row in rows}

    def advance(
        self,
        claim: Claim,
        checkpoint: Checkpoint,
        source: SourceDefinition | None = None,
        rows: int | None = None,
    ) -> None:
        """Move the checkpoint after Snowflake committed, and store the source's definition with it (None:
        the stored one stays), and the number of the target's rows (None: not known). Never backward: with the same
        server identity and mode, a smaller x raises LeaseLost.
        """
        moves = Jsonb([_move(claim, checkpoint, source) | {"loaded": True, "target_rows": rows}])
        if not self.queries.execute("advance", moves=moves).rowcount:
            raise self.queries.lease_lost(claim)

    def advance_idle(
        self,
        moves: Sequence[tuple[Claim, Checkpoint]],
        sources: Mapping[str, SourceDefinition] = MappingProxyType({}),
    ) -> list[str]:
        """Move the checkpoints of many idle tables in one statement; `sources` by table. Returns the
        tables whose checkpoint could not move (see `advance`).
        """
        if not moves:
            return []
        rows = Jsonb([_move(claim, to, sources.get(claim.table)) for claim, to in moves])
        moved = {row["source_table"] for row in self.queries.execute("advance", moves=rows)}
        return [claim.table for claim, _ in moves if claim.table not in moved]

    def forget(
        self,
        claim: Claim,
        created_on: str | None = None,
        doubt: str | None = None,
        created_target: str | None = None,
    ) -> None:
        """Delete the checkpoint and the backfill under way: the next read is a full one, from its
        beginning. Staged batches become open batches.

        created_on: of the target, if it is another one than before or not as it was: what is cached of it is deleted,
        too. doubt: as in `doubt`; None: a doubt stays. created_target: its name, if pgsnow has just created it; None:
        what is recorded stays.
        """
        self.queries.fenced(
            "forget", claim, created_on=created_on, doubt=doubt, created_target=created_target
        )

    def open_batch(self, claim: Claim, batch: str) -> None:
        """Record the batch once, before anything of it exists in Snowflake, so that a crash leaves no
        unknown files or tables behind.
        """
        self.queries.fenced("open_chunk_batch" if claim.chunk else "open_batch", claim, batch=batch)

    def close_batches(
        self,
        claim: Claim,
        batches: Iterable[str],
        waiting: Sequence[LoadedFiles] = (),
        *,
        account: str = "",
        location: str = "",
    ) -> bool:
        """Record that nothing of these batches is left in Snowflake but the files of those in `waiting`, which are
        loaded. Returns True if so many files wait to be removed from this location, or for so long, that it should be
        done now."""
        [row] = self.queries.fenced(
            "close_chunk_batches" if claim.chunk else "close_batches",
            claim,
            batches=list(batches),
            waiting=Jsonb([asdict(files) for files in waiting]),
            account=account,
            location=location,
        )
        return bool(row["due"])

    def remember_target(
        self, claim: Claim, columns: Mapping[str, str] | None, known: KnownTarget | None = None
    ) -> None:
        """Cache the target's columns (None deletes them), and remember when it was created and which columns are
        loaded."""
        stored, known = None if columns is None else Jsonb(dict(columns)), known or KnownTarget()
        self.queries.fenced(
            "remember_target",
            claim,
            columns=stored,
            created_on=known.created_on,
            loaded=Jsonb(dict(known.columns)) if known.columns else None,
        )

    def forget_rows(self, claim: Claim) -> None:
        """Record that the number of the target's rows is not known until the checkpoint moves."""
        self.queries.fenced("forget_rows", claim)

    def remember_source(self, claim: Claim, source: SourceDefinition) -> None:
        """Store the source's definition and its columns in the target, without moving the checkpoint."""
        self.queries.fenced("remember_source", claim, source=Jsonb(source.to_json()))

    def doubt(self, claim: Claim, why: str | None) -> None:
        """Record why the target may hold rows that the source has lost; None: it no longer may. Raises
        LeaseLost.
        """
        self.queries.fenced("doubt", claim, why=why)

    def owners(self) -> tuple[str, dict[str, Claim]]:
        """The ledger's id, and what it knows of each table's place, as a claim without the right to write. A
        checkpoint whose JSON is damaged is left out: `remembered` has its error."""
        rows = self.queries.execute("owners").fetchall()
        claims = {
            row["source_table"]: Claim(
                row["source_table"], "", "", 0,
                _checkpoint(row["checkpoint"]),
                ledger=row["ledger"], places=tuple(row["places"]), idle_seconds=row["idle_seconds"],
            )
            for row in rows
            if row["source_table"] is not None
        }  # fmt: skip
        return next((row["ledger"] for row in rows), ""), claims

    def remember_places(self, claim: Claim, places: Sequence[Mapping[str, Any]]) -> None:
        """Store what the table's row is used for. Raises LeaseLost."""
        self.queries.fenced("remember_places", claim, places=Jsonb([dict(place) for place in places]))

    def start_over(self, claim: Claim, above: int, why: str) -> bool:
        """For a target with rows of this fence: if it is later than any that was granted, end the claim, let the next
        one have a later fence, and make the next read a full one. why: as in `doubt`. False, for the claim of a chunk:
        nothing was done, because such a fence was granted, to a later run of the table. Raises LeaseLost.
        """
        if claim.chunk is None:
            return bool(self.queries.fenced("start_over", claim, above=above, why=why).rowcount)
        params = fence_of(claim) | {"above": above, "why": why}
        return bool(self.queries.execute("start_over", **params).rowcount)

    def verified(self, table: str, why: str) -> None:
        """Remove this doubt about a target that was compared with its source. A newer one stays."""
        self.queries.execute("verified", table=table, why=why)

    def virtual_xids(self, source: str) -> VirtualXids:
        """The last saved listing of this source's virtual transactions (empty: none)."""
        row = self.queries.execute("virtual_xids", source=source).fetchone()
        # Any listing is a valid base for the next one, and so is none.
        return VirtualXids() if row is None or not isinstance(row["begun"], dict) else VirtualXids(**row)

    def save_virtual_xids(self, source: str, listing: VirtualXids) -> None:
        """Save a listing in place of the last one."""
        begun = Jsonb(dict(listing.begun))
        self.queries.execute("save_virtual_xids", source=source, taken_at=listing.taken_at, begun=begun)


def applied_until(checkpoint: Checkpoint) -> str | None:
    """The moment before which every commit is in the target, as text; None: the checkpoint contains no
    moment.

    It is `low`; where that is an integer watermark, the newest mark that has a time.
    """
    known = [as_time(checkpoint.low), *(as_time(mark.low) for mark in reversed(checkpoint.trail))]
    return next((text for text in known if text is not None), None)


def as_time(text: str | None) -> str | None:
    """The text if it is a finite date or timestamp as Postgres writes it (not an integer, not an
    infinity).
    """
    return text if text is not None and _TIME.match(text) else None


def _move(claim: Claim, checkpoint: Checkpoint, source: SourceDefinition | None) -> dict[str, Any]:
    return {
        "name": claim.table,
        "fence": claim.fence,
        "checkpoint": checkpoint.to_json() | {"fence": claim.fence},
        "watermark": checkpoint.last_watermark,
        "watermark_time": as_time(checkpoint.last_watermark),
        "applied_until": applied_until(checkpoint),
        "source": None if source is None else source.to_json(),
        "pending": claim.pending,
    }
