"""Secrets are taken out of text that goes to a log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsnow.model.errors import ColumnMissing
from pgsnow.model.settings.dsn import write_dsn
from pgsnow.model.settings.redaction import password_in, redacted, secrets_in
from pgsnow.model.settings.secret import Secret
from pgsnow.model.settings.settings import Settings
from pgsnow.model.unexpected import ADVICE, public_advice, public_text, redacted_traceback

KEY = "-----BEGIN PRIVATE KEY-----\nMIIcanaryMIIcanaryMII\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        "at postgresql://app:canary@db:5432/app",
        "at postgresql://app:ca@canary@db/app, then redis://:canary@h:6379/0",
        "host=db password=canary dbname=app",
        "host='db' password='it\\'s canary' dbname='app'",
        "connect(user='u', password='canary', private_key_file_pwd=\"canary\")",
        "{'user': 'u', 'password': 'canary', 'token': 'canary'}",
        "SNOWFLAKE_TOKEN=canary; AWS_SECRET_KEY = 'canary'",
        "PG_PASS=canary",
        KEY,
        repr(KEY),
    ],
)
def test_a_credential_is_known_by_its_form(text: str) -> None:
    assert "canary" not in redacted(text)
    assert "***" in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "RuntimeError: no such table: users",
        "invalid token: ','",
        "https://docs.snowflake.com/en/user@guide",
        '  File "/srv/pgsnow/app.py", line 7, in main',
    ],
)
def test_other_text_stays(text: str) -> None:
    assert redacted(text, [Secret("pgsnow")]) == text


@given(st.text(min_size=4).filter(lambda secret: all(len(line.strip()) >= 4 for line in secret.splitlines())))
def test_a_known_secret_is_masked_however_it_is_written(secret: str) -> None:
    for written in (f"[{secret}]", f"[{write_dsn({'x': secret})}]"):
        shown = redacted(written, [Secret(secret)])
        assert secret.strip() not in shown or secret.strip() in "[***]x=''"


def test_every_secret_of_the_settings_is_masked() -> None:
    names = {
        "PG_PASS": "canary-pg",
        "LEDGER_DSN": "postgresql://u:canary-ledger@h/l",
        "SNOWFLAKE_PRIVATE_KEY": KEY,
        "SNOWFLAKE_PRIVATE_KEY_FILE_PWD": "canary-phrase",
        "S3_ACCESS_KEY": "canary-access",
        "S3_SECRET": "canary-s3",
        "S3_SESSION_TOKEN": "canary-session",
        "CELERY_BROKER_URL": "redis://:canary-broker@h",
    }
    plain = {"PG_HOST": "h", "PG_USER": "u", "PG_DB": "d", "S3_BUCKET": "lake", "SNOWFLAKE_ACCOUNT": "a"}
    more = {"SNOWFLAKE_USER": "u", "SNOWFLAKE_DATABASE": "d", "SNOWFLAKE_WAREHOUSE": "w"}
    settings = Settings.from_env({**names, **plain, **more})
    text = " ".join(names.values()) + " canary-ledger canary-broker"
    assert "canary" not in redacted(text, settings.secrets())
    assert "canary" not in redacted(text, secrets_in(names))
    assert (
        secrets_in(plain | more | {"SNOWFLAKE_PRIVATE_KEY_FILE": "key.p8", "SNOWFLAKE_TOKEN_FILE_PATH": "t"})
        == ()
    )


@pytest.mark.parametrize(
    ("address", "password"),
    [
        ("postgresql://u:pw%40@h/d", "pw@"),
        ("host=h password='p w'", "p w"),
        ("redis://:pw@h", "pw"),
        ("https://h/x", ""),
        ("http://[", ""),
    ],
)
def test_the_password_of_an_address(address: str, password: str) -> None:
    assert password_in(address) == password


def test_an_unknown_error_is_its_class_and_its_place_and_a_known_one_its_text() -> None:
    assert public_text(ValueError("canary")) == "unexpected ValueError"
    with pytest.raises(TypeError) as caught:
        redacted(None)  # type: ignore[arg-type]
    assert public_text(caught.value).startswith("unexpected TypeError at pgsnow.model.settings.redaction:")
    assert public_advice(caught.value) == ADVICE
    known = ColumnMissing("public.users: no column x", advice="Rename it.")
    assert (public_text(known), public_advice(known)) == ("public.users: no column x", "Rename it.")


def test_a_traceback_keeps_its_causes_and_loses_its_secrets() -> None:
    try:
        try:
            raise ValueError("first canary")
        except ValueError as error:
            raise RuntimeError("then 'canary'") from error
    except RuntimeError as error:
        shown = redacted_traceback(error, [Secret("canary")])
    assert "ValueError: first ***" in shown
    assert "RuntimeError: then '***'" in shown
    assert __file__ in shown
