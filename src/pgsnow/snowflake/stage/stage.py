"""Stages, which hold part files until COPY has read them: their interface, Snowflake's own stage, and the choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pgsnow.model.config.sync_config import LoadMethod
from pgsnow.model.errors import ConfigError, TargetMissing
from pgsnow.model.settings.s3 import S3Settings
from pgsnow.model.settings.settings import Settings
from pgsnow.model.table import TargetName
from pgsnow.snowflake.names import stage_of, stage_path
from pgsnow.snowflake.redacted import Confidential
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.stage.s3_stage import S3Stage
from pgsnow.snowflake.statement import PUT, SqlStatement, Step, Uploaded


class Stage(Protocol):
    """A place for the part files of load batches, with one folder per batch. All steps are idempotent."""

    def put(self, target: TargetName, batch: str, parts: Sequence[Path]) -> tuple[Step, ...]:
        """Upload the files into the batch's folder under their own names; existing files are overwritten.

        Raises LoadMismatch if a file is missing here, or was not accepted.
        """

    def copy(self, target: TargetName, batch: str, into: str, *, force: bool = False) -> str | Confidential:
        """The COPY from the batch's folder into the staging table of the batch `into`. force: load files even if
        they were loaded before."""

    def origin(self, target: TargetName, batch: str) -> str | None:
        """The batch's folder as a stage path from which a COPY with a SELECT can read; None: there is no stage."""

    def remove(self, target: TargetName, *batches: str) -> Step:
        """Remove everything in the folders of these batches, and nothing else. A missing folder is ignored."""

    def location(self, target: TargetName) -> str:
        """The stage, or the bucket and its prefix, as the ledger calls it."""

    def batches(self, session: Session, target: TargetName) -> list[str]:
        """`<batch>/` of every existing folder, including those of other tables."""


class InternalStage:
    """The stage that pgsnow creates in each schema with targets."""

    def put(self, target: TargetName, batch: str, parts: Sequence[Path]) -> tuple[Step, ...]:
        return tuple(
            SqlStatement(sql.put(part, stage_path(target, batch)), PUT, Uploaded(f"{target}: {part.name}"))
            for part in parts
        )

    def copy(self, target: TargetName, batch: str, into: str, *, force: bool = False) -> str:
        return sql.copy_into_staging(target, into, stage_path(target, batch), force=force)

    def origin(self, target: TargetName, batch: str) -> str:
        return stage_path(target, batch)

    def remove(self, target: TargetName, *batches: str) -> Step:
        first, *more = batches
        text = sql.remove_batches(stage_of(target), batches) if more else sql.remove_batch(target, first)
        return SqlStatement(text, missing_ok=True)

    def location(self, target: TargetName) -> str:
        return stage_of(target)

    def batches(self, session: Session, target: TargetName) -> list[str]:
        try:
            listed = session.execute(sql.list_staged(target))
        except TargetMissing:
            return []
        return sorted({_batch_of(name) for name in listed.column("name")})


INTERNAL: Stage = InternalStage()


@dataclass(frozen=True, slots=True)
class Stages:
    """All stages that the settings provide. Kept between ticks; must be created after a fork."""

    s3: S3Stage | None = None

    @classmethod
    def of(cls, settings: Settings) -> Stages:
        if settings.s3 is None:
            return cls()
        return cls(S3Stage(settings.s3, _stage(settings, settings.s3)))

    def serving(self, load: LoadMethod) -> Stage:
        """Raises ConfigError for `load: s3` without a bucket."""
        if load is not LoadMethod.S3:
            return INTERNAL
        if self.s3 is None:
            raise ConfigError("load: s3 needs a bucket — set S3_BUCKET, or write load: stage")
        return self.s3

    @property
    def all(self) -> tuple[Stage, ...]:
        """All stages, because an earlier run with another configuration may have left files in any of them."""
        return (INTERNAL, self.s3) if self.s3 is not None else (INTERNAL,)

    def removal(self, location: str, batches: Sequence[str]) -> Step | None:
        """Remove the files of these batches from the stage or bucket that `Stage.location` calls so; None: it is no
        stage, and not the bucket of these settings."""
        try:
            target = TargetName.parse(location) if location.startswith('"') else None
            if target is not None:
                return INTERNAL.remove(target, *batches)
            if self.s3 is not None and self.s3.url == location:
                return self.s3.remove(TargetName("", "", ""), *batches)
        except ValueError:  # the ledger was edited by hand
            pass
        return None


def _stage(settings: Settings, s3: S3Settings) -> TargetName | None:
    if not s3.stage:
        return None
    return TargetName.parse(s3.stage, database=settings.snowflake.database, schema=settings.snowflake.schema)


def _batch_of(name: str) -> str:
    """`pgsnow_stage/users/17-0/part-0000.parquet` → `users/17-0/`."""
    return "/".join(name.split("/")[1:-1]) + "/"
