# ruff: noqa: ARG002  (these files do not go through Snowflake: neither its session nor the target matters)
"""Part files in the user's own bucket: written by pgsnow, read by Snowflake.

Source: Snowflake docs, "COPY INTO <table>" (externalLocation, STORAGE_INTEGRATION, CREDENTIALS).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgsnow.model.settings.s3 import S3Settings
from pgsnow.model.settings.secret import Secret
from pgsnow.model.table import TargetName
from pgsnow.snowflake.names import folder_of, qualified, text
from pgsnow.snowflake.redacted import Confidential
from pgsnow.snowflake.session import Result, Session
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.stage.bucket import Bucket
from pgsnow.snowflake.statement import PUT, Step


@dataclass(frozen=True, slots=True)
class Upload:
    """Upload of files into a bucket. folder: the prefix of their keys."""

    bucket: Bucket
    folder: str
    parts: tuple[Path, ...]
    text: str
    phase: str = PUT
    proof: None = None

    def send(self, session: Session | None = None) -> Sequence[Result]:
        """Raises what Bucket.upload raises. Snowflake is not involved."""
        self.bucket.upload({self.folder + part.name: part for part in self.parts})
        return ()


@dataclass(frozen=True, slots=True)
class Removal:
    """Removal of all objects in these folders of a bucket."""

    bucket: Bucket
    folders: tuple[str, ...]
    text: str
    phase: str = ""
    proof: None = None

    def send(self, session: Session | None = None) -> Sequence[Result]:
        """Raises what Bucket.clear raises."""
        for folder in self.folders:
            self.bucket.clear(folder)
        return ()


class S3Stage:
    """Folders of batches below S3_PREFIX."""

    def __init__(self, settings: S3Settings, stage: TargetName | None) -> None:
        """stage: the external stage for `settings.url`, if Snowflake reads through one."""
        self._settings = settings
        self._stage = stage
        self.url = settings.url
        self.bucket = Bucket(settings)

    def put(self, target: TargetName, batch: str, parts: Sequence[Path]) -> tuple[Upload, ...]:
        shown = (
            f"-- upload {', '.join(part.name for part in parts)} to {self._settings.url}{folder_of(batch)}"
        )
        return (Upload(self.bucket, self.key(batch), tuple(parts), shown),)

    def copy(self, target: TargetName, batch: str, into: str, *, force: bool = False) -> str | Confidential:
        def written(show: Callable[[Secret], str]) -> str:
            return sql.copy_into_staging(target, into, self._origin(batch, show), force=force)

        hidden = tuple(secret for _, secret in self._credentials())
        if not hidden:
            return written(str)
        return Confidential(written(str), Secret(written(Secret.reveal)), hidden)

    def origin(self, target: TargetName, batch: str) -> str | None:
        return f"@{qualified(self._stage)}/{folder_of(batch)}" if self._stage is not None else None

    def remove(self, target: TargetName, *batches: str) -> Step:
        shown = ", ".join(self._settings.url + folder_of(batch) for batch in batches)
        return Removal(self.bucket, tuple(map(self.key, batches)), f"-- delete {shown}")

    def location(self, target: TargetName) -> str:
        return self.url

    def batches(self, session: Session, target: TargetName) -> list[str]:
        begin = len(self._settings.prefix) + 1
        keys = self.bucket.keys(f"{self._settings.prefix}/")
        return sorted({key[begin:].rpartition("/")[0] + "/" for key in keys})

    def list_through_stage(self, folder: str) -> str | None:
        """LIST of a folder below S3_PREFIX as Snowflake sees it; None without an external stage."""
        return f"LIST @{qualified(self._stage)}/{folder}" if self._stage is not None else None

    def key(self, batch: str) -> str:
        """The prefix of the keys of the batch's objects. The closing slash separates batch 1 from batch 10."""
        return f"{self._settings.prefix}/{folder_of(batch)}"

    def _origin(self, batch: str, show: Callable[[Secret], str]) -> str:
        """The location from which COPY reads, with its credentials or integration."""
        if self._stage is not None:
            return f"@{qualified(self._stage)}/{folder_of(batch)}"
        place = text(self._settings.url + folder_of(batch))
        if self._settings.integration:
            return f"{place} STORAGE_INTEGRATION={self._settings.integration}"
        named = " ".join(f"{name}={text(show(secret))}" for name, secret in self._credentials())
        return f"{place} CREDENTIALS=({named})"

    def _credentials(self) -> list[tuple[str, Secret]]:
        """Credentials in the text of COPY: none if Snowflake has a stage or an integration."""
        keys = self._settings.keys
        if self._stage is not None or self._settings.integration or keys is None:
            return []
        named = [("AWS_KEY_ID", keys.access), ("AWS_SECRET_KEY", keys.secret)]
        return [*named, ("AWS_TOKEN", keys.token)] if keys.token else named
