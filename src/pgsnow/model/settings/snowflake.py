"""Connection settings of Snowflake."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from pgsnow.model.errors import ConfigError
from pgsnow.model.settings.environment import Environment
from pgsnow.model.settings.secret import Secret
from pgsnow.model.settings.snowflake_auth import Auth, AuthMethod, auth_from


@dataclass(frozen=True, slots=True)
class SnowflakeSettings:
    """Names are as written in the environment, '' if not given. host, port and protocol are only for emulators and
    private links."""

    account: str
    user: str
    database: str
    schema: str
    warehouse: str
    role: str
    host: str
    port: int | None
    protocol: str
    credentials: Auth = field(repr=False)
    warnings: tuple[str, ...] = ()
    """Settings that work but should be changed, one sentence each."""

    @property
    def auth(self) -> str:
        """The name of the authentication method."""
        return self.credentials.method.value

    @property
    def display(self) -> str:
        """`account as user (key pair)`, for messages."""
        where = self.account or str(dict(self.credentials.arguments).get("connection_name", ""))
        if self.host:
            where += f" at {self.host}:{self.port}" if self.port else f" at {self.host}"
        return f"{where} as {self.user or 'the token’s user'} ({self.auth})"

    def connect_kwargs(self) -> dict[str, Any]:
        """Arguments for snowflake.connector.connect, with credentials: secret. Raises ConfigError if the private key
        cannot be opened."""
        named = {
            "account": self.account,
            "user": self.user,
            "database": self.database,
            "schema": self.schema,
            "warehouse": self.warehouse,
            "role": self.role,
            "host": self.host,
            "port": self.port,
            "protocol": self.protocol,
        }
        credentials: dict[str, Any] = {
            key: value.reveal() if isinstance(value, Secret) else value
            for key, value in self.credentials.arguments
        }
        if self.credentials.pem is not None:
            credentials["private_key"] = _der(self.credentials.pem, self.credentials.passphrase)
        return {key: value for key, value in named.items() if value} | credentials


def snowflake_from(env: Environment) -> SnowflakeSettings:
    """Snowflake's settings, from SNOWFLAKE_*. Unusable if problems were added."""
    auth = auth_from(env)
    by_name = auth is not None and auth.method is AuthMethod.CONNECTION_NAME
    host = env.get("SNOWFLAKE_HOST") or ""
    return SnowflakeSettings(
        account=_account(env, needed=not by_name),
        user=_user(env, auth),
        database=env.need("SNOWFLAKE_DATABASE", "name the database that targets without one are in"),
        schema=env.get("SNOWFLAKE_SCHEMA") or "PUBLIC",
        warehouse=(env.get("SNOWFLAKE_WAREHOUSE") or "")
        if by_name
        else env.need("SNOWFLAKE_WAREHOUSE", "name the warehouse that loads, such as PGSNOW_WH"),
        role=env.get("SNOWFLAKE_ROLE") or "",
        host=host,
        port=env.port("SNOWFLAKE_PORT"),
        protocol=_protocol(env),
        credentials=auth or Auth(AuthMethod.PASSWORD),
        warnings=tuple(_warnings(env, auth, host)),
    )


_PAGE = re.compile(r"(?:https?://app\.snowflake\.com/|\A)(\w+)/(\w+)(?:/.*)?\Z", re.IGNORECASE | re.DOTALL)
"""The account in the address of a page of the web interface, or as ORG/ACCOUNT."""
_ACCOUNT = re.compile(
    r"(?:https?://)?(?P<identifier>\w[\w-]*(?:\.[\w-]+){0,3}?)(?:\.snowflakecomputing\.(?:com|cn)(?::\d+)?/?)?",
    re.IGNORECASE | re.ASCII,
)
"""An account identifier (ORG-ACCOUNT, ORG.ACCOUNT, or LOCATOR.REGION.CLOUD), or the address that it is part of.
https://docs.snowflake.com/en/user-guide/admin-account-identifier"""


def _account(env: Environment, *, needed: bool) -> str:
    account = env.get("SNOWFLAKE_ACCOUNT")
    if account is None:
        return (
            env.need("SNOWFLAKE_ACCOUNT", "set the account identifier, such as myorg-account1")
            if needed
            else ""
        )
    found = _ACCOUNT.fullmatch(_PAGE.sub(r"\1-\2", account))
    if found is None:
        env.add_problem(
            "SNOWFLAKE_ACCOUNT",
            f"{account!r} is not an account identifier",
            "write ORG-ACCOUNT, such as myorg-account1",
        )
        return account
    identifier = found["identifier"]
    organization, dot, name = identifier.partition(".")
    is_locator = "-" in name or "." in name or name.lower() in ("privatelink", "global")
    return f"{organization}-{name}" if dot and not is_locator else identifier


def _user(env: Environment, auth: Auth | None) -> str:
    if auth is None or auth.needs_user:
        return env.need("SNOWFLAKE_USER", "name the Snowflake user that loads, such as PGSNOW")
    return env.get("SNOWFLAKE_USER") or ""


def _protocol(env: Environment) -> str:
    protocol = env.get("SNOWFLAKE_PROTOCOL") or ""
    if protocol not in ("", "http", "https"):
        env.add_problem("SNOWFLAKE_PROTOCOL", f"{protocol!r} is not known", "write https, or leave it out")
    return protocol


def _warnings(env: Environment, auth: Auth | None, host: str) -> list[str]:
    if _is_loopback(host):
        return []
    found = []
    if auth is not None and auth.method is AuthMethod.PASSWORD:
        found.append(
            "SNOWFLAKE_PASSWORD: Snowflake is phasing out logins with only a password; use a key pair"
            " (SNOWFLAKE_PRIVATE_KEY_FILE) for a user of TYPE = SERVICE."
        )
    if env.get("SNOWFLAKE_PROTOCOL") == "http":
        found.append("SNOWFLAKE_PROTOCOL: http sends rows and credentials unencrypted; use https.")
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _der(pem: Secret, passphrase: Secret | None) -> bytes:
    """The key as unencrypted DER, which the connector expects of a key that is not in a file (its auth/keypair.py)."""
    from cryptography.hazmat.primitives import serialization as form

    try:
        key = form.load_pem_private_key(
            pem.reveal().encode(), password=passphrase.reveal().encode() if passphrase else None
        )
    except (ValueError, TypeError):
        raise ConfigError(
            "environment: SNOWFLAKE_PRIVATE_KEY: cannot be opened — check the key and SNOWFLAKE_PRIVATE_KEY_FILE_PWD"
        ) from None
    return key.private_bytes(form.Encoding.DER, form.PrivateFormat.PKCS8, form.NoEncryption())
