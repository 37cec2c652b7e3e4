"""Where the servers are and how to log in, as the environment says it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from pgsnow.model.errors import ConfigError
from pgsnow.model.settings.environment import VARIABLES
from pgsnow.model.settings.postgres import CopyMode
from pgsnow.model.settings.settings import Settings

POSTGRES = {"POSTGRES_DSN": "postgresql://app:secret@db.example:5433/shop"}
SNOWFLAKE = {
    "SNOWFLAKE_ACCOUNT": "org-acc",
    "SNOWFLAKE_USER": "LOADER",
    "SNOWFLAKE_DATABASE": "ANALYTICS",
    "SNOWFLAKE_WAREHOUSE": "WH",
}
PASSWORD = {"SNOWFLAKE_PASSWORD": "pw"}
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(passphrase: bytes | None = None) -> str:
    cipher = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, cipher).decode()


def settings(**env: str) -> Settings:
    return Settings.from_env({**POSTGRES, **SNOWFLAKE, **PASSWORD, **env})


def snowflake(**env: str) -> Settings:
    """With these credentials alone."""
    return Settings.from_env({**POSTGRES, **SNOWFLAKE, **env})


def problems(env: Mapping[str, str]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        Settings.from_env(env)
    return caught.value.problems


def test_the_plan_s_variables_are_enough() -> None:
    plan = {"PG_HOST": "h", "PG_USER": "u", "PG_PASS": "it's", "PG_DB": "d", "PG_PORT": "5433"}
    found = Settings.from_env({**plan, **SNOWFLAKE, **PASSWORD, "SNOWFLAKE_SCHEMA": "RAW"})
    assert found.source.conninfo() == "host='h' port='5433' user='u' password='it\\'s' dbname='d'"
    assert found.source.display == "h:5433/d as u"
    assert found.ledger is found.source
    assert (found.snowflake.database, found.snowflake.schema, found.snowflake.warehouse) == (
        "ANALYTICS",
        "RAW",
        "WH",
    )


def test_the_schema_is_public_unless_set() -> None:
    assert settings().snowflake.schema == "PUBLIC"


def test_the_dsn_goes_before_pg_variables_and_those_before_libpq_s() -> None:
    assert settings(PG_HOST="other").source.display == "db.example:5433/shop as app"
    env = {
        "PGHOST": "a",
        "PG_HOST": "b",
        "PG_USER": "u",
        "PG_DB": "d",
        "PGPASSWORD": "p",
        **SNOWFLAKE,
        **PASSWORD,
    }
    assert Settings.from_env(env).source.conninfo() == "host='b' password='p' user='u' dbname='d'"


def test_libpq_s_own_variables_are_enough() -> None:
    env = {
        "PGHOST": "/run/pg",
        "PGDATABASE": "d",
        "PGUSER": "u",
        "PGSSLMODE": "require",
        **SNOWFLAKE,
        **PASSWORD,
    }
    assert Settings.from_env(env).source.conninfo() == "host='/run/pg' dbname='d' user='u' sslmode='require'"
    service = Settings.from_env({"PGSERVICE": "shop", **SNOWFLAKE, **PASSWORD}).source
    assert service.display == "service shop"


def test_libpq_s_password_completes_a_dsn_without_one() -> None:
    found = settings(POSTGRES_DSN="postgresql://u@h/d", PGPASSWORD="p").source
    assert "password='p'" in found.conninfo()


def test_reading_past_libpq_is_the_default_and_can_be_switched_off() -> None:
    assert settings().source.copy is CopyMode.AUTO
    assert settings(POSTGRES_COPY="libpq").source.copy is CopyMode.LIBPQ
    assert (
        settings(POSTGRES_COPY="auto", POSTGRES_DSN="", PG_HOST="h", PG_USER="u", PG_DB="d").source.copy
        == "auto"
    )


def test_the_ledger_may_live_elsewhere() -> None:
    found = settings(LEDGER_DSN="host=ledger dbname=l user=u")
    assert found.ledger.display == "ledger:5432/l as u"


def test_empty_variables_count_as_unset() -> None:
    """A copied template leaves many empty."""
    found = settings(LEDGER_DSN="", SNOWFLAKE_ROLE=" ", SNOWFLAKE_PRIVATE_KEY="", SNOWFLAKE_HOST="")
    assert found.ledger is found.source
    assert "role" not in found.snowflake.connect_kwargs()


def test_everything_missing_is_told_at_once_with_its_fix() -> None:
    found = problems({})
    assert [problem.split(": ")[1] for problem in found] == [
        "POSTGRES_DSN",
        "SNOWFLAKE_PRIVATE_KEY_FILE",
        "SNOWFLAKE_ACCOUNT",
        "SNOWFLAKE_USER",
        "SNOWFLAKE_DATABASE",
        "SNOWFLAKE_WAREHOUSE",
    ]
    assert all(" — " in problem and problem.startswith("environment: ") for problem in found)


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"POSTGRES_DSN": "mysql://u:hunter@h/d"}, "POSTGRES_DSN: cannot be read: it is neither"),
        (
            {"POSTGRES_DSN": "postgresql://u:hunter@h:port/d"},
            "POSTGRES_DSN: cannot be read: a port is not a number",
        ),
        ({"POSTGRES_COPY": "fast"}, "POSTGRES_COPY: 'fast' is neither auto nor libpq"),
        ({"LEDGER_DSN": "hunter"}, "LEDGER_DSN: cannot be read"),
        ({"SNOWFLAKE_PORT": "0"}, "SNOWFLAKE_PORT: '0' is not a port"),
        ({"SNOWFLAKE_PROTOCOL": "ftp"}, "SNOWFLAKE_PROTOCOL: 'ftp' is not known"),
        ({"SNOWFLAKE_ACCOUNT": "https://a.example.org/"}, "SNOWFLAKE_ACCOUNT: 'https://a.example"),
        ({"SNOWFLAKE_AUTHENTICATOR": "magic"}, "SNOWFLAKE_AUTHENTICATOR: 'magic' is not known"),
        (
            {"SNOWFLAKE_AUTHENTICATOR": "externalbrowser"},
            "SNOWFLAKE_AUTHENTICATOR: externalbrowser needs a person",
        ),
        ({"SNOWFLAKE_AUTHENTICATOR": "OAUTH"}, "SNOWFLAKE_OAUTH_TOKEN: is not set"),
        ({"SNOWFLAKE_AUTHENTICATOR": "SNOWFLAKE_JWT"}, "SNOWFLAKE_PRIVATE_KEY_FILE: is not set"),
        ({"SNOWFLAKE_PRIVATE_KEY": "hunter"}, "SNOWFLAKE_PRIVATE_KEY: is not a PEM private key"),
        (
            {"SNOWFLAKE_PRIVATE_KEY": pem(b"pass")},
            "SNOWFLAKE_PRIVATE_KEY_FILE_PWD: is not set and the key is enc",
        ),
        (
            {"SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER": "IBM"},
            "SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER: 'IBM' is not known",
        ),
    ],
)
def test_a_wrong_variable_is_told_without_its_secret(env: dict[str, str], expected: str) -> None:
    (found,) = problems({**POSTGRES, **SNOWFLAKE, **PASSWORD, **env})
    assert found.startswith(f"environment: {expected}")
    assert "hunter" not in found


def test_pg_variables_must_be_complete() -> None:
    found = problems({"PG_USER": "u", "PGDATABASE": "d", "PG_PORT": "x", **SNOWFLAKE, **PASSWORD})
    assert [problem.split(": ")[1] for problem in found] == ["PG_PORT", "PG_HOST"]


CREDENTIALS: list[tuple[dict[str, str], str, dict[str, object]]] = [
    (
        {"SNOWFLAKE_PRIVATE_KEY_FILE": "/k.p8", "SNOWFLAKE_PRIVATE_KEY_FILE_PWD": "p"},
        "key pair",
        {"authenticator": "SNOWFLAKE_JWT", "private_key_file": "/k.p8", "private_key_file_pwd": "p"},
    ),
    (
        {"SNOWFLAKE_PAT": "t"},
        "programmatic access token",
        {"authenticator": "PROGRAMMATIC_ACCESS_TOKEN", "token": "t"},
    ),
    ({"SNOWFLAKE_OAUTH_TOKEN": "t"}, "OAuth token", {"authenticator": "OAUTH", "token": "t"}),
    (
        {
            "SNOWFLAKE_OAUTH_CLIENT_ID": "i",
            "SNOWFLAKE_OAUTH_CLIENT_SECRET": "s",
            "SNOWFLAKE_OAUTH_TOKEN_REQUEST_URL": "https://idp/token",
            "SNOWFLAKE_OAUTH_SCOPE": "session:role:R",
        },
        "OAuth client credentials",
        {
            "authenticator": "OAUTH_CLIENT_CREDENTIALS",
            "oauth_client_id": "i",
            "oauth_client_secret": "s",
            "oauth_token_request_url": "https://idp/token",
            "oauth_scope": "session:role:R",
        },
    ),
    (
        {"SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER": "oidc", "SNOWFLAKE_TOKEN_FILE_PATH": "/t"},
        "workload identity",
        {"authenticator": "WORKLOAD_IDENTITY", "workload_identity_provider": "OIDC", "token_file_path": "/t"},
    ),
    (
        {"SNOWFLAKE_TOKEN": "t"},
        "programmatic access token",
        {"authenticator": "PROGRAMMATIC_ACCESS_TOKEN", "token": "t"},
    ),
    ({"SNOWFLAKE_CONNECTION_NAME": "prod"}, "connections.toml", {"connection_name": "prod"}),
    ({"SNOWFLAKE_PASSWORD": "p"}, "password", {"authenticator": "SNOWFLAKE", "password": "p"}),
]


@pytest.mark.parametrize(("env", "method", "arguments"), CREDENTIALS)
def test_each_credential_becomes_the_connector_s_arguments(
    env: dict[str, str], method: str, arguments: dict[str, object]
) -> None:
    found = snowflake(**env).snowflake
    assert found.auth == method
    named = {
        "account": "org-acc",
        "user": "LOADER",
        "database": "ANALYTICS",
        "schema": "PUBLIC",
        "warehouse": "WH",
    }
    assert found.connect_kwargs() == named | arguments


@pytest.mark.parametrize("first", range(len(CREDENTIALS)))
def test_of_several_credentials_the_stronger_is_used(first: int) -> None:
    """The order is that of the list above, whatever else is set."""
    env = {name: value for each, _, _ in CREDENTIALS[first:] for name, value in each.items()}
    assert snowflake(**env).snowflake.auth == CREDENTIALS[first][1]


@pytest.mark.parametrize(
    ("named", "method"),
    [
        ("snowflake", "password"),
        ("OAuth", "OAuth token"),
        ("PROGRAMMATIC_ACCESS_TOKEN", "programmatic access token"),
    ],
)
def test_an_authenticator_by_name_overrules_the_order(named: str, method: str) -> None:
    env = {"SNOWFLAKE_AUTHENTICATOR": named, "SNOWFLAKE_PRIVATE_KEY_FILE": "/k", "SNOWFLAKE_TOKEN": "t"}
    assert settings(**env).snowflake.auth == method


def test_okta_is_named_by_its_address() -> None:
    found = settings(SNOWFLAKE_AUTHENTICATOR="https://acme.okta.com").snowflake.connect_kwargs()
    assert (found["authenticator"], found["password"]) == ("https://acme.okta.com", "pw")


@pytest.mark.parametrize("passphrase", [None, "open sesame"])
@pytest.mark.parametrize("newline", ["\n", "\\n"])
def test_a_private_key_in_a_variable_is_handed_over_as_der(passphrase: str | None, newline: str) -> None:
    env = {"SNOWFLAKE_PRIVATE_KEY": pem(passphrase.encode() if passphrase else None).replace("\n", newline)}
    if passphrase:
        env["SNOWFLAKE_PRIVATE_KEY_FILE_PWD"] = passphrase
    found = snowflake(**env).snowflake.connect_kwargs()
    assert found["authenticator"] == "SNOWFLAKE_JWT"
    opened = serialization.load_der_private_key(found["private_key"], None)
    assert isinstance(opened, rsa.RSAPrivateKey)
    assert opened.private_numbers() == KEY.private_numbers()


def test_a_private_key_with_the_wrong_passphrase_is_told_without_either() -> None:
    found = snowflake(
        SNOWFLAKE_PRIVATE_KEY=pem(b"right"), SNOWFLAKE_PRIVATE_KEY_FILE_PWD="wrong-one"
    ).snowflake
    with pytest.raises(ConfigError, match="SNOWFLAKE_PRIVATE_KEY: cannot be opened") as caught:
        found.connect_kwargs()
    assert "wrong-one" not in str(caught.value)


def test_a_connection_by_name_needs_no_account_user_or_warehouse() -> None:
    found = Settings.from_env(
        {**POSTGRES, "SNOWFLAKE_CONNECTION_NAME": "prod", "SNOWFLAKE_DATABASE": "D"}
    ).snowflake
    assert found.connect_kwargs() == {"connection_name": "prod", "database": "D", "schema": "PUBLIC"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]"])
def test_a_password_to_this_machine_is_no_reason_to_warn(host: str) -> None:
    found = settings(SNOWFLAKE_HOST=host, SNOWFLAKE_PORT="55500", SNOWFLAKE_PROTOCOL="http").snowflake
    assert found.warnings == ()
    assert found.display == f"org-acc at {host}:55500 as LOADER (password)"


def test_a_password_or_http_elsewhere_is() -> None:
    (password,) = settings().snowflake.warnings
    assert "SNOWFLAKE_PRIVATE_KEY_FILE" in password
    both = settings(SNOWFLAKE_HOST="sf.example", SNOWFLAKE_PROTOCOL="http").snowflake.warnings
    assert len(both) == 2
    assert snowflake(SNOWFLAKE_PAT="t").snowflake.warnings == ()


class Recorder(dict[str, str]):
    """An environment that remembers what was asked of it."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.asked.add(name)
        return super().get(name, default)


def every_way() -> Iterator[dict[str, str]]:
    yield {}
    yield {"PG_HOST": "h"}
    for env, _, _ in CREDENTIALS:
        yield {**POSTGRES, **SNOWFLAKE, **env}
    yield {
        "SNOWFLAKE_PRIVATE_KEY": pem(),
        "SNOWFLAKE_AUTHENTICATOR": "SNOWFLAKE_JWT",
        **POSTGRES,
        **SNOWFLAKE,
    }
    yield {"S3_BUCKET": "lake", **POSTGRES, **SNOWFLAKE}


def test_the_list_of_variables_is_what_is_read() -> None:
    """So that the documented list is neither short nor long."""
    asked: set[str] = set()
    for env in every_way():
        recorder = Recorder(env)
        with suppress(ConfigError):
            Settings.from_env(recorder)
        asked |= recorder.asked
    assert asked == set(VARIABLES)
