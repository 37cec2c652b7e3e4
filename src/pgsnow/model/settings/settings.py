"""All connection settings, from the environment. docs/settings.md describes each variable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pgsnow.model.settings.environment import Environment
from pgsnow.model.settings.postgres import PostgresSettings, ledger_from, source_from
from pgsnow.model.settings.s3 import S3Settings, s3_from
from pgsnow.model.settings.secret import Secret
from pgsnow.model.settings.snowflake import SnowflakeSettings, snowflake_from

__all__ = ["PostgresSettings", "S3Settings", "Settings", "SnowflakeSettings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """All connections. Secrets in it are not shown by repr, and it cannot be pickled with one."""

    source: PostgresSettings
    ledger: PostgresSettings
    """LEDGER_DSN, else the source."""
    snowflake: SnowflakeSettings
    broker: Secret | None = field(default=None, repr=False)
    s3: S3Settings | None = None
    """The bucket of tables with `load: s3`."""

    @property
    def broker_url(self) -> str | None:
        """CELERY_BROKER_URL, which may contain a password: secret."""
        return self.broker.reveal() if self.broker else None

    def secrets(self) -> tuple[Secret, ...]:
        """Every secret of all connections, to be masked in output."""
        from pgsnow.model.settings.redaction import password_in  # needed only for an unexpected error

        auth = self.snowflake.credentials
        values: list[object] = [value for _, value in self.source.parameters + self.ledger.parameters]
        values += [value for _, value in auth.arguments]
        values += [auth.pem, auth.passphrase]
        if self.s3 is not None and self.s3.keys is not None:
            values += [self.s3.keys.access, self.s3.keys.secret, self.s3.keys.token]
        if self.broker is not None:
            values.append(Secret(password_in(self.broker.reveal())))
        return tuple(value for value in values if isinstance(value, Secret))

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Settings from environment variables. Raises ConfigError with everything that is missing or wrong, each with a
        fix and without secrets."""
        read = Environment(env)
        source, ledger, snowflake = source_from(read), ledger_from(read), snowflake_from(read)
        s3 = s3_from(read)
        read.finish()
        broker = read.get("CELERY_BROKER_URL")
        return cls(source, ledger or source, snowflake, Secret(broker) if broker else None, s3)
