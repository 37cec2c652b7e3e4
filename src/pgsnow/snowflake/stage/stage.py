"""A stage keeps part files until COPY has read them: one interface, and Snowflake's own stage behind it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pgsnow.model.errors import TargetMissing
from pgsnow.model.table import TargetName
from pgsnow.snowflake.names import stage_path
from pgsnow.snowflake.redacted import Confidential
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.statement import PUT, Statement, Step, Uploaded


class Stage(Protocol):
    """A place for the part files of load batches, each batch in a folder of its own name. All steps are idempotent."""

    @property
    def needs_session(self) -> bool:
        """True if files reach it through a session in Snowflake."""

    def put(self, target: TargetName, batch: str, parts: Sequence[Path]) -> tuple[Step, ...]:
        """Upload the files into the batch's folder under their own names, over those that are there.

        Raises LoadMismatch when one of them is not here any more, or was not taken."""

    def copy(self, target: TargetName, batch: str, into: str, *, force: bool = False) -> str | Confidential:
        """The COPY from the batch's folder into the staging table of the batch `into`. force: although the files were
        loaded before."""

    def origin(self, target: TargetName, batch: str) -> str | None:
        """The batch's folder as a stage that a COPY with a SELECT may read; None: there is no stage."""

    def remove(self, target: TargetName, batch: str) -> Step:
        """Remove all that is in the batch's folder, and nothing else. A folder that is not there is fine."""

    def batches(self, session: Session, target: TargetName) -> list[str]:
        """`<batch>/` of every folder there is, other tables' too."""


class InternalStage:
    """The stage that pgsnow creates in each schema with targets."""

    needs_session = True

    def put(self, target: TargetName, batch: str, parts: Sequence[Path]) -> tuple[Step, ...]:
        return tuple(
            Statement(sql.put(target, batch, part), PUT, Uploaded(f"{target}: {part.name}")) for part in parts
        )

    def copy(self, target: TargetName, batch: str, into: str, *, force: bool = False) -> str:
        return sql.copy_into_staging(target, into, stage_path(target, batch), force=force)

    def origin(self, target: TargetName, batch: str) -> str:
        return stage_path(target, batch)

    def remove(self, target: TargetName, batch: str) -> Step:
        return Statement(sql.remove_batch(target, batch), missing_ok=True)

    def batches(self, session: Session, target: TargetName) -> list[str]:
        try:
            listed = session.execute(sql.list_staged(target))
        except TargetMissing:
            return []
        return sorted({_batch_of(name) for name in listed.column("name")})


INTERNAL: Stage = InternalStage()


def _batch_of(name: str) -> str:
    """`pgsnow_stage/users/17-0/part-0000.parquet` → `users/17-0/`."""
    return "/".join(name.split("/")[1:-1]) + "/"
