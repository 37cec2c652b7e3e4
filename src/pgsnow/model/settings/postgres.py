"""Connection settings of a Postgres server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

from pgsnow.model.settings.dsn import parse_dsn, write_dsn
from pgsnow.model.settings.environment import LIBPQ, Environment
from pgsnow.model.settings.secret import Secret

_SECRET = frozenset(
    {"password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret"}
)
_PLAN = {"PG_HOST": "host", "PG_PORT": "port", "PG_USER": "user", "PG_PASS": "password", "PG_DB": "dbname"}
_FORM = (
    "write postgresql://user:password@host:5432/db (percent-encode special characters), or key=value pairs"
)


class CopyMode(StrEnum):
    """How rows are read from the source: POSTGRES_COPY."""

    AUTO = "auto"
    """Straight from the connection's socket or TLS session where a self-test passes, else through libpq."""
    LIBPQ = "libpq"
    """Always through libpq's own PQgetCopyData."""


@dataclass(frozen=True)
class PostgresSettings:
    """libpq's connection parameters; the secret ones are Secret values."""

    parameters: tuple[tuple[str, str | Secret], ...] = field(repr=False)
    copy: CopyMode = CopyMode.AUTO
    """How rows are read; of the source's settings only."""

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> PostgresSettings:
        """Settings from parameters by libpq's names."""
        return cls(tuple((k, Secret(v) if k in _SECRET else v) for k, v in parameters.items()))

    @classmethod
    def from_dsn(cls, dsn: str) -> PostgresSettings:
        """Settings from a URI or key=value pairs. Raises ValueError, without the text, if it is malformed."""
        return cls.of(parse_dsn(dsn))

    def conninfo(self) -> str:
        """The connection string in libpq's key=value form. It contains the password: secret."""
        return write_dsn({k: v.reveal() if isinstance(v, Secret) else v for k, v in self.parameters})

    def get(self, name: str, default: str = "") -> str:
        """A parameter that is not secret, or `default`."""
        return next((v for k, v in self.parameters if k == name and isinstance(v, str)), default)

    @cached_property
    def display(self) -> str:
        """`host:port/db as user`, for messages."""
        if service := self.get("service"):
            return f"service {service}"
        host = self.get("host") or self.get("hostaddr") or "local socket"
        user = self.get("user") or "the system user"
        return f"{host}:{self.get('port') or '5432'}/{self.get('dbname') or user} as {user}"

    def __repr__(self) -> str:
        return f"PostgresSettings({self.display})"


def source_from(env: Environment) -> PostgresSettings:
    """POSTGRES_DSN, else PG_*, else libpq's own variables; and POSTGRES_COPY. Unusable if problems were added."""
    return replace(_connection_from(env), copy=_copy_from(env))


def _connection_from(env: Environment) -> PostgresSettings:
    if found := _from_dsn(env, "POSTGRES_DSN"):
        return found
    plan = {key: value for name, key in _PLAN.items() if (value := env.get(name))}
    parameters = _libpq(env) | plan
    env.port("PG_PORT")
    if not parameters.keys() & {"host", "hostaddr", "service", "dbname"}:
        env.add_problem("POSTGRES_DSN", "is not set", "set it, or PG_HOST, PG_USER, PG_PASS and PG_DB")
    elif plan and "service" not in parameters:
        for name in ("PG_HOST", "PG_USER", "PG_DB"):
            if _PLAN[name] not in parameters:
                env.need(name, "set it, or POSTGRES_DSN instead of all PG_*")
    return PostgresSettings.of(parameters)


def _copy_from(env: Environment) -> CopyMode:
    value = env.get("POSTGRES_COPY") or CopyMode.AUTO
    if value not in list(CopyMode):
        env.add_problem("POSTGRES_COPY", f"{value!r} is neither auto nor libpq", "write auto, or libpq")
        return CopyMode.AUTO
    return CopyMode(value)


def ledger_from(env: Environment) -> PostgresSettings | None:
    """The ledger's server, from LEDGER_DSN; None if it is not set."""
    return _from_dsn(env, "LEDGER_DSN")


def _from_dsn(env: Environment, name: str) -> PostgresSettings | None:
    dsn = env.get(name)
    if dsn is None:
        return None
    try:
        found = parse_dsn(dsn)
    except ValueError as error:
        env.add_problem(name, f"cannot be read: {error}", _FORM)
        return PostgresSettings.of({})
    return PostgresSettings.of(_libpq(env) | found)


def _libpq(env: Environment) -> dict[str, str]:
    return {key: value for name, key in LIBPQ.items() if (value := env.get(name))}
