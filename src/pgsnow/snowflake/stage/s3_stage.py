# ruff: noqa: ARG002  (what is staged here is not Snowflake's: neither its session nor the target matters)
"""Part files through a bucket of the user's own: written there by us, read from there by Snowflake.

Source: Snowflake docs, "COPY INTO <table>" (externalLocation, STORAGE_INTEGRATION, CREDENTIALS).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pgsnow.model.settings.s3 import S3Settings
from pgsnow.model.settings.secret import Secret
from pgsnow.model.table import TargetName
from pgsnow.snowflake.names import folder_of
from pgsnow.snowflake.quoting import qualified, text
from pgsnow.snowflake.redacted import Confidential
from pgsnow.snowflake.session import Session
from pgsnow.snowflake.sql import statements as sql
from pgsnow.snowflake.stage.bucket import Bucket


class S3Stage:
    """Below S3_PREFIX, a folder a batch."""

    def __init__(self, settings: S3Settings, stage: TargetName | None) -> None:
        """stage: the external stage that stands for `settings.url`, if Snowflake is to read through one."""
        self._settings = settings
        self._stage = stage
        self.bucket = Bucket(settings)

    def put(self, session: Session, target: TargetName, batch: str, parts: Sequence[Path]) -> None:
        self.upload(batch, parts)

    def upload(self, batch: str, parts: Sequence[Path]) -> None:
        """As `put`; Snowflake has no part in it."""
        self.bucket.upload({self.key(batch) + part.name: part for part in parts})

    def copy(self, target: TargetName, batch: str, into: str, *, force: bool = False) -> str | Confidential:
        def written(show: Callable[[Secret], str]) -> str:
            return sql.copy_into_staging(target, into, self._origin(batch, show), force=force)

        hidden = tuple(secret for _, secret in self._credentials())
        if not hidden:
            return written(str)
        return Confidential(written(str), Secret(written(Secret.reveal)), hidden)

    def origin(self, target: TargetName, batch: str) -> str | None:
        return f"@{qualified(self._stage)}/{folder_of(batch)}" if self._stage is not None else None

    def remove(self, session: Session, target: TargetName, batch: str) -> None:
        self.bucket.clear(self.key(batch))

    def batches(self, session: Session, target: TargetName) -> list[str]:
        begin = len(self._settings.prefix) + 1
        keys = self.bucket.keys(f"{self._settings.prefix}/")
        return sorted({key[begin:].rpartition("/")[0] + "/" for key in keys})

    def tell_put(self, target: TargetName, batch: str, part: Path) -> str:
        return f"-- upload {part.name} to {self._settings.url}{folder_of(batch)}"

    def tell_remove(self, target: TargetName, batch: str) -> str:
        return f"-- delete {self._settings.url}{folder_of(batch)}"

    def list_through_stage(self, folder: str) -> str | None:
        """The LIST of a folder below S3_PREFIX as Snowflake sees it; None without an external stage."""
        return f"LIST @{qualified(self._stage)}/{folder}" if self._stage is not None else None

    def key(self, batch: str) -> str:
        """What the keys of the batch's objects begin with. The closing slash keeps batch 1 apart from batch 10."""
        return f"{self._settings.prefix}/{folder_of(batch)}"

    def _origin(self, batch: str, show: Callable[[Secret], str]) -> str:
        """What COPY reads from, with its right to do so."""
        if self._stage is not None:
            return f"@{qualified(self._stage)}/{folder_of(batch)}"
        place = text(self._settings.url + folder_of(batch))
        if self._settings.integration:
            return f"{place} STORAGE_INTEGRATION={self._settings.integration}"
        named = " ".join(f"{name}={text(show(secret))}" for name, secret in self._credentials())
        return f"{place} CREDENTIALS=({named})"

    def _credentials(self) -> list[tuple[str, Secret]]:
        """What goes into the text of COPY: nothing, if Snowflake has a stage or an integration."""
        keys = self._settings.keys
        if self._stage is not None or self._settings.integration or keys is None:
            return []
        named = [("AWS_KEY_ID", keys.access), ("AWS_SECRET_KEY", keys.secret)]
        return [*named, ("AWS_TOKEN", keys.token)] if keys.token else named
