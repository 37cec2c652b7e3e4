"""Authentication to Snowflake: the first method for which the environment has credentials.

Source: Snowflake docs, "Connecting to Snowflake with the Python Connector"; parameter names and the list of
authenticators as in snowflake-connector-python 4.8 (connection.py, DEFAULT_CONFIGURATION).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from pgsnow.model.settings.environment import Environment
from pgsnow.model.settings.secret import Secret


class AuthMethod(StrEnum):
    """Authentication methods, in order of preference."""

    KEY_PAIR = "key pair"
    PAT = "programmatic access token"
    OAUTH = "OAuth token"
    CLIENT_CREDENTIALS = "OAuth client credentials"
    WORKLOAD_IDENTITY = "workload identity"
    CONNECTION_NAME = "connections.toml"
    PASSWORD = "password"


@dataclass(frozen=True, slots=True)
class Auth:
    """A method with its connector arguments. pem: a private key, converted for the connector when it connects."""

    method: AuthMethod
    arguments: tuple[tuple[str, str | Secret], ...] = field(default=(), repr=False)
    pem: Secret | None = field(default=None, repr=False)
    passphrase: Secret | None = field(default=None, repr=False)

    @property
    def needs_user(self) -> bool:
        return self.method in (AuthMethod.KEY_PAIR, AuthMethod.PASSWORD)


_EXPLICIT = {
    "SNOWFLAKE_JWT": AuthMethod.KEY_PAIR,
    "PROGRAMMATIC_ACCESS_TOKEN": AuthMethod.PAT,
    "OAUTH": AuthMethod.OAUTH,
    "OAUTH_CLIENT_CREDENTIALS": AuthMethod.CLIENT_CREDENTIALS,
    "WORKLOAD_IDENTITY": AuthMethod.WORKLOAD_IDENTITY,
    "SNOWFLAKE": AuthMethod.PASSWORD,
}
_BY_HAND = frozenset({"EXTERNALBROWSER", "OAUTH_AUTHORIZATION_CODE", "USERNAME_PASSWORD_MFA"})
_PROVIDERS = ("AWS", "AZURE", "GCP", "OIDC")

_TOKEN = ("SNOWFLAKE_TOKEN", "SNOWFLAKE_TOKEN_FILE_PATH")
_OFFERED_BY = (
    (AuthMethod.KEY_PAIR, ("SNOWFLAKE_PRIVATE_KEY_FILE", "SNOWFLAKE_PRIVATE_KEY")),
    (AuthMethod.PAT, ("SNOWFLAKE_PAT",)),
    (AuthMethod.OAUTH, ("SNOWFLAKE_OAUTH_TOKEN",)),
    (AuthMethod.CLIENT_CREDENTIALS, ("SNOWFLAKE_OAUTH_CLIENT_ID", "SNOWFLAKE_OAUTH_CLIENT_SECRET")),
    (AuthMethod.WORKLOAD_IDENTITY, ("SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER",)),  # may use SNOWFLAKE_TOKEN too
    (AuthMethod.PAT, _TOKEN),
    (AuthMethod.CONNECTION_NAME, ("SNOWFLAKE_CONNECTION_NAME",)),
    (AuthMethod.PASSWORD, ("SNOWFLAKE_PASSWORD",)),
)


def auth_from(env: Environment) -> Auth | None:
    """The method named by SNOWFLAKE_AUTHENTICATOR, else the first one with credentials. None if problems were added."""
    method = _chosen(env)
    return _MAKERS[method](env) if method else None


def _chosen(env: Environment) -> AuthMethod | None:
    named = env.get("SNOWFLAKE_AUTHENTICATOR")
    if named is None:
        offered = [method for method, names in _OFFERED_BY if any(env.get(name) for name in names)]
        if offered:
            return offered[0]
        env.add_problem(
            "SNOWFLAKE_PRIVATE_KEY_FILE",
            "is not set, and there are no other credentials",
            "name the private key file of a key pair, or set SNOWFLAKE_PAT, or use another method"
            " (`pgsnow explain settings#snowflake`)",
        )
        return None
    if named.lower().startswith("https://"):
        return AuthMethod.PASSWORD
    if named.upper() in _BY_HAND:
        env.add_problem(
            "SNOWFLAKE_AUTHENTICATOR",
            f"{named} needs a person at each login",
            "use SNOWFLAKE_JWT (a key pair)",
        )
        return None
    explicit = _EXPLICIT.get(named.upper())
    if explicit is None:
        env.add_problem(
            "SNOWFLAKE_AUTHENTICATOR", f"{named!r} is not known", f"write one of {', '.join(_EXPLICIT)}"
        )
    return explicit


def _key_pair(env: Environment) -> Auth:
    passphrase = env.get("SNOWFLAKE_PRIVATE_KEY_FILE_PWD")
    path = env.get("SNOWFLAKE_PRIVATE_KEY_FILE")
    if path:
        arguments = _arguments("SNOWFLAKE_JWT", private_key_file=path)
        if passphrase:
            arguments = (*arguments, ("private_key_file_pwd", Secret(passphrase)))
        return Auth(AuthMethod.KEY_PAIR, arguments)
    pem = env.get("SNOWFLAKE_PRIVATE_KEY")
    if pem is None:
        env.add_problem("SNOWFLAKE_PRIVATE_KEY_FILE", "is not set", "set it to the private key's file (PEM)")
        return Auth(AuthMethod.KEY_PAIR)
    pem = pem.replace("\\n", "\n").strip()
    if "PRIVATE KEY-----" not in pem:
        env.add_problem(
            "SNOWFLAKE_PRIVATE_KEY",
            "is not a PEM private key",
            "paste all of it, from -----BEGIN to -----END",
        )
    elif "ENCRYPTED" in pem and passphrase is None:
        env.add_problem("SNOWFLAKE_PRIVATE_KEY_FILE_PWD", "is not set and the key is encrypted", "set it")
    return Auth(
        AuthMethod.KEY_PAIR,
        _arguments("SNOWFLAKE_JWT"),
        pem=Secret(pem),
        passphrase=Secret(passphrase) if passphrase else None,
    )


def _token(env: Environment, method: AuthMethod, own: str, authenticator: str) -> Auth:
    if token := env.get(own) or env.get("SNOWFLAKE_TOKEN"):
        return Auth(method, _arguments(authenticator, token=Secret(token)))
    if path := env.get("SNOWFLAKE_TOKEN_FILE_PATH"):
        return Auth(method, _arguments(authenticator, token_file_path=path))
    env.add_problem(own, "is not set", "set it, or SNOWFLAKE_TOKEN_FILE_PATH")
    return Auth(method)


def _pat(env: Environment) -> Auth:
    return _token(env, AuthMethod.PAT, "SNOWFLAKE_PAT", "PROGRAMMATIC_ACCESS_TOKEN")


def _oauth(env: Environment) -> Auth:
    return _token(env, AuthMethod.OAUTH, "SNOWFLAKE_OAUTH_TOKEN", "OAUTH")


def _client_credentials(env: Environment) -> Auth:
    fix = "set it; client id, client secret and token request URL are all required"
    arguments = _arguments(
        "OAUTH_CLIENT_CREDENTIALS",
        oauth_client_id=env.need("SNOWFLAKE_OAUTH_CLIENT_ID", fix),
        oauth_client_secret=Secret(env.need("SNOWFLAKE_OAUTH_CLIENT_SECRET", fix)),
        oauth_token_request_url=env.need("SNOWFLAKE_OAUTH_TOKEN_REQUEST_URL", fix),
        oauth_scope=env.get("SNOWFLAKE_OAUTH_SCOPE"),
    )
    return Auth(AuthMethod.CLIENT_CREDENTIALS, arguments)


def _workload_identity(env: Environment) -> Auth:
    named = env.need("SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER", f"write one of {', '.join(_PROVIDERS)}")
    if named and named.upper() not in _PROVIDERS:
        env.add_problem(
            "SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER",
            f"{named!r} is not known",
            f"write one of {', '.join(_PROVIDERS)}",
        )
    token = env.get("SNOWFLAKE_TOKEN")
    arguments = _arguments(
        "WORKLOAD_IDENTITY",
        workload_identity_provider=named.upper(),
        workload_identity_entra_resource=env.get("SNOWFLAKE_WORKLOAD_IDENTITY_ENTRA_RESOURCE"),
        token=Secret(token) if token else None,
        token_file_path=env.get("SNOWFLAKE_TOKEN_FILE_PATH"),
    )
    return Auth(AuthMethod.WORKLOAD_IDENTITY, arguments)


def _connection_name(env: Environment) -> Auth:
    name = env.need("SNOWFLAKE_CONNECTION_NAME", "name a connection of connections.toml")
    return Auth(AuthMethod.CONNECTION_NAME, (("connection_name", name),))


def _password(env: Environment) -> Auth:
    password = env.need("SNOWFLAKE_PASSWORD", "set it, or better SNOWFLAKE_PRIVATE_KEY_FILE")
    named = env.get("SNOWFLAKE_AUTHENTICATOR")
    authenticator = named if named and named.lower().startswith("https://") else "SNOWFLAKE"
    return Auth(AuthMethod.PASSWORD, _arguments(authenticator, password=Secret(password)))


def _arguments(authenticator: str, **more: str | Secret | None) -> tuple[tuple[str, str | Secret], ...]:
    return (
        ("authenticator", authenticator),
        *((key, value) for key, value in more.items() if value is not None),
    )


_MAKERS: dict[AuthMethod, Callable[[Environment], Auth]] = {
    AuthMethod.KEY_PAIR: _key_pair,
    AuthMethod.PAT: _pat,
    AuthMethod.OAUTH: _oauth,
    AuthMethod.CLIENT_CREDENTIALS: _client_credentials,
    AuthMethod.WORKLOAD_IDENTITY: _workload_identity,
    AuthMethod.CONNECTION_NAME: _connection_name,
    AuthMethod.PASSWORD: _password,
}
