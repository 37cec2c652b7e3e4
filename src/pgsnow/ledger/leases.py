"""Leases: which run may sync a table. A lease is a row that carries the fence, and an advisory lock that
shows that its holder is alive.

The fence alone protects: every write names it. The lock only makes it quick to replace a dead holder:
Postgres drops it with the holder's session, while the lease itself still has minutes to run. A holder whose
session is cut (its own network, a server restart) loses the lock; until its next renew() any other run may
claim the table, and if one does, everything the old holder still writes raises LeaseLost. If none does, the
old holder continues undisturbed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from pgsnow import __version__
from pgsnow.ledger.checkpoints import as_time
from pgsnow.ledger.chunk_leases import ChunkLeases
from pgsnow.ledger.claim import FENCES_PER_CLAIM, Claim, Refusal
from pgsnow.ledger.errors import UNREADABLE, unreadable
from pgsnow.ledger.queries import Queries, statement
from pgsnow.ledger.session import LedgerConnection, lock_key
from pgsnow.model.checkpoint import Checkpoint
from pgsnow.model.deferred_batch import StagedBatch
from pgsnow.model.errors import PgsnowError
from pgsnow.model.evolution.drift import SourceDefinition
from pgsnow.model.table import KnownTarget

SWEEP_NUMBERS = ("swept_at", "seconds", "pending_since", "unsure_since", "unsure_until")
LOCKED, BACKING_OFF = "locked", "backing off"

NO_ENTRIES: Mapping[str, str] = MappingProxyType({})

Row = dict[str, Any]
_BATCH = re.compile(r"(?:[\w.-]+/\d+-\d+|session:\d+)\Z", re.ASCII)
"""An open batch: the name of a load batch, or a session (sync/load/open_batches.py)."""


class Leases:
    """Claims tables; renews and releases claims of tables and of chunks."""

    def __init__(self, queries: Queries, lease_seconds: float) -> None:
        self._session = queries.session
        self._schema = queries.schema
        self._lease_seconds = lease_seconds
        self.chunks = ChunkLeases(queries, lease_seconds)

    def claim(
        self,
        tables: Sequence[str],
        *,
        run_id: str,
        holder: str,
        min_age: float | Mapping[str, float] = 0.0,
        entries: Mapping[str, str] = NO_ENTRIES,
        early: float = 0.0,
        asked_by: str = "command",
        interval: float = 0.0,
    ) -> tuple[list[Claim], list[Refusal]]:
        """Claim those tables that no run holds. One round trip, or three if a table has no row yet.

        A holder whose session is gone (killed, cut off) holds nothing. min_age: seconds since the start of
        the last run that succeeded, for all tables or by table (missing: 0); a table that ran more recently
        is refused as 'not due' (a second beat, a repeated message, a table with a longer interval), unless a
        backfill of it is under way. entries: by table, the hash of its configuration; a table that has failed several
        times with the same one is refused as 'backing off' until `early` seconds before its next attempt. A table
        without a hash is tried at once. asked_by: schedule, command or `request N`; it goes into the run log. interval:
        seconds between two ticks, if this is one over all tables: it is noted for `Ticks.seen`; 0: it is none.
        """
        names = list(dict.fromkeys(tables))
        if not names:
            return [], []
        ages = {name: min_age.get(name, 0.0) if isinstance(min_age, Mapping) else min_age for name in names}
        wanted = {
            name: {"min_age": age, "entry": entries.get(name), "early": early} for name, age in ages.items()
        }
        tick = {
            "run_id": run_id, "holder": holder, "asked_by": asked_by, "interval": interval, "version": __version__,
        }  # fmt: skip
        found = self._session.run(lambda connection: self._claim_all(connection, wanted, tick))
        claims = [_claim(found[n], tick, self._schema) for n in names if found[n]["fence"] is not None]
        self._session.process.claims.update({(claim.table, claim.chunk): claim for claim in claims})
        return claims, [_refusal(found[name]) for name in names if found[name]["fence"] is None]

    def renew(self, claims: Iterable[Claim]) -> None:
        """Extend these claims. Lost ones are left out silently; their next write raises LeaseLost."""
        every = list(claims)
        if tables := [claim for claim in every if claim.chunk is None]:
            self._session.run(lambda connection: self._renew(connection, tables))
        if chunks := [claim for claim in every if claim.chunk is not None]:
            self.chunks.renew(chunks)

    def release(self, claims: Iterable[Claim]) -> None:
        """Give these claims back. If the ledger cannot store that, the session is ended, so that the next run, also of
        this process, does not have to wait until they expire. Never raises LeaseLost."""
        every, granted = list(claims), self._session.process.claims
        try:
            if tables := [claim for claim in every if claim.chunk is None]:
                self._session.run(lambda connection: self._release(connection, tables))
            if chunks := [claim for claim in every if claim.chunk is not None]:
                self.chunks.release(chunks)
        except PgsnowError:
            self._session.close()
            raise
        for claim in every:
            known = granted.get((claim.table, claim.chunk))
            if known is not None and known.fence == claim.fence:  # not a newer one of its table or chunk
                del granted[claim.table, claim.chunk]

    def release_all(self) -> None:
        """Release all claims of this process. A server that does not answer has dropped the locks anyway."""
        granted = self._session.process.claims
        try:
            self.release(granted.values())
        except PgsnowError:
            granted.clear()

    def _claim_all(
        self, connection: LedgerConnection, wanted: Mapping[str, Row], tick: Row
    ) -> dict[str, Row]:
        """Grants and refusals by table, after adding a row for each table that has none."""
        found = self._try(connection, wanted, tick)
        missing = {name: terms for name, terms in wanted.items() if name not in found}
        if missing:
            connection.execute(statement("add_tables", self._schema), {"names": list(missing)})
            found |= self._try(connection, missing, tick)
        return found

    def _try(self, connection: LedgerConnection, wanted: Mapping[str, Row], tick: Row) -> dict[str, Row]:
        asked = [
            {
                "name": name,
                "key": lock_key(self._schema, name),
                "locked": name in connection.locked,
                **terms,
            }
            for name, terms in wanted.items()
        ]
        params = {
            "wanted": Jsonb(asked),
            **tick,
            "lease_seconds": self._lease_seconds,
            "reserved": FENCES_PER_CLAIM,
            "has_own_session": connection.has_own_session,
        }
        try:
            rows = connection.execute(statement("claim", self._schema), params).fetchall()
        except psycopg.Error:
            self._undo_locks(connection, list(wanted))
            raise
        connection.locked |= {
            row["source_table"]: row["fence"] for row in rows if row["fence"] and row["has_lock"]
        }
        return {row["source_table"]: row for row in rows}

    def _undo_locks(self, connection: LedgerConnection, names: list[str]) -> None:
        """Drop locks that a failed statement took: it has granted nothing, but a rollback keeps advisory
        locks.
        """
        if not connection.closed:
            keys = [lock_key(self._schema, name) for name in names if name not in connection.locked]
            connection.execute(statement("unlock", self._schema), {"keys": keys})

    def _renew(self, connection: LedgerConnection, claims: list[Claim]) -> None:
        params = {
            "claims": self._as_json(connection, claims),
            "lease_seconds": self._lease_seconds,
            "has_own_session": connection.has_own_session,
        }
        rows = connection.execute(statement("renew", self._schema), params)
        fences = {claim.table: claim.fence for claim in claims}
        connection.locked |= {
            row["source_table"]: fences[row["source_table"]] for row in rows if row["has_lock"]
        }

    def _release(self, connection: LedgerConnection, claims: list[Claim]) -> None:
        connection.execute(statement("release", self._schema), {"claims": self._as_json(connection, claims)})
        for claim in claims:
            if connection.locked.get(claim.table) == claim.fence:
                del connection.locked[claim.table]

    def _as_json(self, connection: LedgerConnection, claims: list[Claim]) -> Jsonb:
        return Jsonb(
            [
                {
                    "name": claim.table,
                    "fence": claim.fence,
                    "run_id": claim.run_id,
                    "key": lock_key(self._schema, claim.table),
                    "locked": connection.locked.get(claim.table) == claim.fence,
                }
                for claim in claims
            ]
        )


def _claim(row: Row, tick: Row, schema: str) -> Claim:
    granted = Claim(
        row["source_table"], tick["run_id"], tick["holder"], row["fence"], None,
        asked_by=tick["asked_by"],
        has_requests=row["has_requests"],
        granted_at=row["granted_at"],
        lasting_failures=row["lasting_failures"],
        failed_entry=row["failed_entry"],
    )  # fmt: skip
    stored, reset_to, column = row["source_schema"], None, "checkpoint"
    written, shown = row["written_watermark"], row["last_watermark"]
    if row["checkpoint"] is not None and row["watermark_text"] != written:
        reset_to = row["watermark_text"] or ""
    elif row["checkpoint"] is not None and (shown is not None or as_time(written) is not None):
        try:
            at = datetime.fromisoformat(written or "").replace(tzinfo=None)
            length = min(len(shown), len("2026-01-31 12:00:00"))  # one that was made by hand may be a date
            after = at + timedelta(seconds=0.5)  # or without a fraction
            is_ours = shown[:length] in (at.isoformat(" ")[:length], after.isoformat(" ")[:length])
        except (
            ValueError,
            TypeError,
            OverflowError,
        ):  # NULL on one side, or a year that Python does not have
            is_ours = written is not None and shown is not None and shown[:4] == written[:4]
        reset_to = None if is_ours else shown or ""
    try:
        checkpoint = None if row["checkpoint"] is None else Checkpoint.from_json(row["checkpoint"])
        checkpoint_fence = (row["checkpoint"] or {}).get("fence")
        column = "open_batches"
        if not all(map(_BATCH.match, row["open_batches"])):
            raise ValueError("not a batch's name")
        column = "staged"
        staged = tuple(StagedBatch.from_json(batch) for batch in row["staged"] or ())
        staged_at = datetime.fromisoformat(row["staged"][0]["staged_at"]).timestamp() if staged else 0.0
        if row["staged"] == {}:
            raise TypeError("not a list")
        column = "source_schema"
        definition = None if stored is None else SourceDefinition.from_json(stored)
        column = "places"
        places = tuple(dict(place) for place in row["places"])
        column = "sweep"
        sweep = dict(row["sweep"] or {})
        texts = [value for name, value in sweep.items() if name in SWEEP_NUMBERS and isinstance(value, str)]
        if texts or any(len(leaf) != 2 for leaf in dict(sweep.get("leaves") or {}).values()):
            raise TypeError("not the state of a sweep")
        column = "target_columns"
        if not all(isinstance(kind, str) for kind in dict(row["target_columns"] or {}).values()):
            raise TypeError("not a type's name")
    except UNREADABLE as error:
        return replace(granted, unreadable=unreadable(row["source_table"], column, schema, error))
    return replace(
        granted,
        checkpoint=checkpoint,
        open_batches=tuple(row["open_batches"]),
        target_columns=row["target_columns"],
        target=KnownTarget(row["target_created_on"], row["target_rows"], row["loaded_columns"] or {}),
        has_open_errors=row["has_open_errors"],
        stored_definition=definition,
        staged=staged,
        staged_at=staged_at,
        unverified=row["unverified"],
        verification=row["verification"],
        checkpoint_fence=checkpoint_fence,
        sweep=row["sweep"],
        created_target=row["created_target"],
        reset_to=reset_to,
        ledger=row["ledger"] or "",
        places=places,
        idle_seconds=row["idle_seconds"],
    )


def _refusal(row: Row) -> Refusal:
    if row["refusal"] == BACKING_OFF:
        until, error = row["next_attempt_at"], row["last_error"]
        return Refusal(
            row["source_table"], BACKING_OFF, until=until, error=error, has_requests=row["has_requests"]
        )
    if row["refusal"]:
        return Refusal(row["source_table"], row["refusal"], has_requests=row["has_requests"])
    return Refusal(
        row["source_table"],
        LOCKED,
        row["lease_holder"],
        row["lease_since"],
        has_requests=row["has_requests"],
    )
