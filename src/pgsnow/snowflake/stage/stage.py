"""Where part files wait until COPY has read them: one interface, and Snowflake's own stage behind it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pgsnow.model.errors import LoadMismatch, TargetMissing
from pgsnow.model.table import TargetName
from pgsnow.snowflake.names import stage_path
from pgsnow.snowflake.redacted import Confidential
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import statements as sql


class Stage(Protocol):
    """A place for the part files of batches, each batch in a folder of its own name. Every method is idempotent."""

    def put(self, session: Session, target: TargetName, batch: str, parts: Sequence[Path]) -> None:
        """The files, into the batch's folder under their own names; over those that are there.

        Raises LoadMismatch when one of them is not here any more, or was not taken."""

    def copy(self, target: TargetName, batch: str, into: str, *, force: bool = False) -> str | Confidential:
        """The COPY of the batch's folder into the staging table of the batch `into`. force: what was loaded too."""

    def origin(self, target: TargetName, batch: str) -> str | None:
        """The batch's folder as a stage that a COPY with a SELECT may read; None: there is no stage."""

    def remove(self, session: Session, target: TargetName, batch: str) -> None:
        """All that is in the batch's folder, and nothing else. What is not there is fine."""

    def batches(self, session: Session, target: TargetName) -> list[str]:
        """`<batch>/` of every folder there is, other tables' too."""

    def tell_put(self, target: TargetName, batch: str, part: Path) -> str:
        """What `put` does, for people: a statement or an SQL comment."""

    def tell_remove(self, target: TargetName, batch: str) -> str:
        """What `remove` does, for people."""


class InternalStage:
    """The stage that pgsnow makes in each schema with targets."""

    def put(self, session: Session, target: TargetName, batch: str, parts: Sequence[Path]) -> None:
        for part in parts:
            done = session.execute(sql.put(target, batch, part))
            if done.column("status") != ["UPLOADED"]:
                raise LoadMismatch(f"{target}: {part.name} was not uploaded: {done.column('status')}")

    def copy(self, target: TargetName, batch: str, into: str, *, force: bool = False) -> str:
        return sql.copy_into_staging(target, into, stage_path(target, batch), force=force)

    def origin(self, target: TargetName, batch: str) -> str:
        return stage_path(target, batch)

    def remove(self, session: Session, target: TargetName, batch: str) -> None:
        with contextlib.suppress(TargetMissing):
            session.execute(sql.remove_batch(target, batch))

    def batches(self, session: Session, target: TargetName) -> list[str]:
        try:
            listed = session.execute(sql.list_staged(target))
        except TargetMissing:
            return []
        return sorted({_batch_of(name) for name in listed.column("name")})

    def tell_put(self, target: TargetName, batch: str, part: Path) -> str:
        return sql.put(target, batch, part)

    def tell_remove(self, target: TargetName, batch: str) -> str:
        return sql.remove_batch(target, batch)


INTERNAL: Stage = InternalStage()


def _batch_of(name: str) -> str:
    """`pgsnow_stage/users/17-0/part-0000.parquet` → `users/17-0/`."""
    return "/".join(name.split("/")[1:-1]) + "/"
