"""Environment variables: the list of all that pgsnow reads, and a reader that collects problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pgsnow.model.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable."""

    name: str
    secret: bool = False


LIBPQ = {
    "PGHOST": "host",
    "PGHOSTADDR": "hostaddr",
    "PGPORT": "port",
    "PGDATABASE": "dbname",
    "PGUSER": "user",
    "PGPASSWORD": "password",
    "PGPASSFILE": "passfile",
    "PGSERVICE": "service",
    "PGSERVICEFILE": "servicefile",
    "PGSSLMODE": "sslmode",
    "PGSSLROOTCERT": "sslrootcert",
    "PGSSLCERT": "sslcert",
    "PGSSLKEY": "sslkey",
    "PGCHANNELBINDING": "channel_binding",
    "PGTARGETSESSIONATTRS": "target_session_attrs",
    "PGOPTIONS": "options",
}
"""libpq's own variables and the connection parameters they stand for (PostgreSQL docs, "Environment Variables").
pgsnow reads them too, because libpq does not see those in a `.env` file."""

_PLAIN = (
    "PG_HOST",
    "PG_PORT",
    "PG_USER",
    "PG_DB",
    "POSTGRES_COPY",
    "SNOWFLAKE_ACCOUNT",
    "SNOWFLAKE_USER",
    "SNOWFLAKE_WAREHOUSE",
    "SNOWFLAKE_DATABASE",
    "SNOWFLAKE_SCHEMA",
    "SNOWFLAKE_ROLE",
    "SNOWFLAKE_HOST",
    "SNOWFLAKE_PORT",
    "SNOWFLAKE_PROTOCOL",
    "SNOWFLAKE_AUTHENTICATOR",
    "SNOWFLAKE_PRIVATE_KEY_FILE",
    "SNOWFLAKE_TOKEN_FILE_PATH",
    "SNOWFLAKE_OAUTH_CLIENT_ID",
    "SNOWFLAKE_OAUTH_TOKEN_REQUEST_URL",
    "SNOWFLAKE_OAUTH_SCOPE",
    "SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER",
    "SNOWFLAKE_WORKLOAD_IDENTITY_ENTRA_RESOURCE",
    "SNOWFLAKE_CONNECTION_NAME",
    "S3_BUCKET",
    "S3_PREFIX",
    "S3_REGION",
    "S3_ENDPOINT_URL",
    "S3_STAGE",
    "S3_STORAGE_INTEGRATION",
)
_SECRET = (
    "POSTGRES_DSN",
    "PG_PASS",
    "LEDGER_DSN",
    "SNOWFLAKE_PASSWORD",
    "SNOWFLAKE_PRIVATE_KEY",
    "SNOWFLAKE_PRIVATE_KEY_FILE_PWD",
    "SNOWFLAKE_PAT",
    "SNOWFLAKE_TOKEN",
    "SNOWFLAKE_OAUTH_TOKEN",
    "SNOWFLAKE_OAUTH_CLIENT_SECRET",
    "CELERY_BROKER_URL",
    "S3_ACCESS_KEY",
    "S3_SECRET",
    "S3_SESSION_TOKEN",
)

VARIABLES: Mapping[str, Variable] = {
    variable.name: variable
    for variable in (
        *(Variable(name) for name in _PLAIN),
        *(Variable(name, secret=True) for name in _SECRET),
        *(Variable(name, secret=key == "password") for name, key in LIBPQ.items()),
    )
}


@dataclass(frozen=True, slots=True)
class Environment:
    """Reads variables and collects problems with them. An empty variable counts as unset, as in a copied template."""

    values: Mapping[str, str] = field(repr=False)
    problems: list[str] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        """The value without leading and trailing blanks; secrets are returned unchanged. None if unset."""
        value = self.values.get(name)
        if value is None or not value.strip():
            return None
        return value if VARIABLES[name].secret else value.strip()

    def need(self, name: str, fix: str) -> str:
        """The value. If it is not set, adds a problem and returns ''."""
        value = self.get(name)
        if value is None:
            self.add_problem(name, "is not set", fix)
        return value or ""

    def port(self, name: str) -> int | None:
        """The value as a TCP port; None if it is unset or wrong, which adds a problem."""
        value = self.get(name)
        if value is None:
            return None
        if value.isascii() and value.isdigit() and 0 < int(value) < 65536:
            return int(value)
        self.add_problem(name, f"{value!r} is not a port", "write a number from 1 to 65535")
        return None

    def add_problem(self, name: str, what: str, fix: str) -> None:
        """Adds a problem. `what` must not contain a secret."""
        self.problems.append(f"environment: {name}: {what} — {fix}")

    def finish(self) -> None:
        """Raises ConfigError if there are problems."""
        if self.problems:
            raise ConfigError(
                self.problems, advice="Set these in the environment or in .env: `pgsnow explain settings`."
            )
