"""No settings class gives a secret away unasked."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_runs
from hypothesis import strategies as st

from pgsnow.model.errors import ConfigError
from pgsnow.model.settings.environment import VARIABLES
from pgsnow.model.settings.secret import Secret
from pgsnow.model.settings.settings import Settings

UNTIMED = settings_of_runs(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""

MARK = "hunter-two"
PLAIN = {
    "SNOWFLAKE_ACCOUNT": "a",
    "SNOWFLAKE_USER": "u",
    "SNOWFLAKE_DATABASE": "d",
    "SNOWFLAKE_WAREHOUSE": "w",
}
PG = {
    "PG_HOST": "h",
    "PG_USER": "u",
    "PG_DB": "d",
    "PG_PASS": MARK,
    "LEDGER_DSN": f"postgresql://u:{MARK}@h/l",
}
KEY = f"-----BEGIN PRIVATE KEY-----\n{MARK}\n-----END PRIVATE KEY-----"

ENVIRONMENTS = [
    {
        "SNOWFLAKE_PAT": MARK,
        "S3_BUCKET": "lake",
        "S3_ACCESS_KEY": MARK,
        "S3_SECRET": MARK,
        "S3_SESSION_TOKEN": MARK,
    },
    {"SNOWFLAKE_PASSWORD": MARK},
    {"SNOWFLAKE_PAT": MARK},
    {"SNOWFLAKE_TOKEN": MARK},
    {"SNOWFLAKE_OAUTH_TOKEN": MARK},
    {"SNOWFLAKE_PRIVATE_KEY": KEY, "SNOWFLAKE_PRIVATE_KEY_FILE_PWD": MARK},
    {"SNOWFLAKE_PRIVATE_KEY_FILE": "/k", "SNOWFLAKE_PRIVATE_KEY_FILE_PWD": MARK},
    {
        "SNOWFLAKE_OAUTH_CLIENT_ID": "i",
        "SNOWFLAKE_OAUTH_CLIENT_SECRET": MARK,
        "SNOWFLAKE_OAUTH_TOKEN_REQUEST_URL": "u",
    },
    {"SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER": "OIDC", "SNOWFLAKE_TOKEN": MARK},
]


def parts(value: Any) -> Iterator[Any]:
    """A settings value and all settings values inside it."""
    yield value
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from parts(getattr(value, field.name))


@pytest.mark.parametrize("env", ENVIRONMENTS, ids=["-".join(env) for env in ENVIRONMENTS])
def test_no_text_form_of_any_part_holds_a_secret(env: dict[str, str]) -> None:
    settings = Settings.from_env({**PLAIN, **PG, **env, "CELERY_BROKER_URL": f"redis://:{MARK}@h"})
    assert MARK in str(settings.source.conninfo())
    assert MARK in str(settings.broker_url)
    for part in parts(settings):
        shown = [repr(part), str(part), f"{part}", f"{part!a}", repr(getattr(part, "display", ""))]
        if dataclasses.is_dataclass(part) and not isinstance(part, type):
            shown += [repr(dataclasses.asdict(part)), repr(dataclasses.astuple(part))]
            shown.append(json.dumps(dataclasses.asdict(part), default=str))
        assert MARK not in "".join(shown)


@pytest.mark.parametrize("env", ENVIRONMENTS, ids=["-".join(env) for env in ENVIRONMENTS])
def test_settings_with_secrets_are_not_pickled(env: dict[str, str]) -> None:
    """A pickle of them would be a file or a message with the secret in it."""
    settings = Settings.from_env({**PLAIN, **PG, **env})
    for part in (settings, settings.source, settings.snowflake):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(part)
    assert copy.deepcopy(settings) == settings


def test_no_error_holds_the_value_of_a_secret_variable() -> None:
    """Each secret variable alone, holding nonsense, with everything else missing or present."""
    secrets = [name for name, variable in VARIABLES.items() if variable.secret]
    errors = [error for name in secrets for base in ({}, {**PLAIN, **PG}) if (error := _error(name, base))]
    assert len(errors) > len(secrets)
    for error in errors:
        assert MARK not in f"{error}{error.advice}{error!r}{error.__cause__}{error.__context__}"


def _error(name: str, base: dict[str, str]) -> ConfigError | None:
    try:
        Settings.from_env({**base, name: f"{MARK} is not valid"}).snowflake.connect_kwargs()
    except ConfigError as error:
        return error
    return None


@UNTIMED
@given(st.text(), st.text())
def test_a_secret_is_equal_only_to_itself_and_shows_nothing(one: str, other: str) -> None:
    assert (Secret(one) == Secret(other)) == (one == other)
    assert Secret(one) != one
    assert (repr(Secret(one)), str(Secret(one)), f"{Secret(one):>5}") == ("Secret(***)", "***", "  ***")
    assert Secret(one).reveal() == one
