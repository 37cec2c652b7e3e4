"""Choice of the stage that a table's part files go through: made here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

from pgsnow.model.config.sync_config import LoadMethod
from pgsnow.model.errors import ConfigError
from pgsnow.model.settings.s3 import S3Settings
from pgsnow.model.settings.settings import Settings
from pgsnow.model.table import TargetName
from pgsnow.snowflake.stage.s3_stage import S3Stage
from pgsnow.snowflake.stage.stage import INTERNAL, Stage


@dataclass(frozen=True, slots=True)
class Stages:
    """All stages that the settings offer. Outlives a tick; to be made after a fork."""

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
        """All stages: an earlier run, under another configuration, may have left files in any."""
        return (INTERNAL, self.s3) if self.s3 is not None else (INTERNAL,)


def _stage(settings: Settings, s3: S3Settings) -> TargetName | None:
    if not s3.stage:
        return None
    return TargetName.parse(s3.stage, database=settings.snowflake.database, schema=settings.snowflake.schema)
