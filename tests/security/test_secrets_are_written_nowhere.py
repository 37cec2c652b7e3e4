"""A canary in every setting and key of the configuration that holds a secret; everything is made to work once, and to
fail in every way, with all debug logs on. Then everything that was written anywhere is searched for the canaries."""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest
from celery import Celery
from fastapi import FastAPI
from fastapi.testclient import TestClient
from psycopg.conninfo import make_conninfo
from pydantic import BaseModel, SecretStr

from pgsnow.config.load import load_config
from pgsnow.integrations.celery.install import TASK_NAME, install
from pgsnow.integrations.fastapi.router import status_router
from pgsnow.model.errors import ConfigError
from pgsnow.model.settings.environment import VARIABLES
from pgsnow.model.settings.settings import Settings
from tests.acceptance.cli_user import User
from tests.inbox import Inbox
from tests.integration.integrations.test_celery_distributed import taken
from tests.world import USERS_TABLE

MARK = "c4nary"
"""Every canary begins so; a name follows, by which a failure says which secret was found."""


def canary(name: str) -> str:
    return f"{MARK}-{name.lower()}-7Xq/+e="


NOBODY = "127.0.0.1:1"
"""Where no server listens."""
ADDRESSES = {
    "POSTGRES_DSN": f"postgresql://reader:{MARK}-postgres@{NOBODY}/app",
    "LEDGER_DSN": f"postgresql://keeper:{MARK}-ledger@{NOBODY}/app",
    "CELERY_BROKER_URL": f"redis://:{MARK}-broker@{NOBODY}/0",
}
SECRETS = {name: ADDRESSES.get(name, canary(name)) for name, variable in VARIABLES.items() if variable.secret}
KEY = f"-----BEGIN PRIVATE KEY-----\n{MARK}-key\n-----END PRIVATE KEY-----"
LOGINS = [
    {name: SECRETS[name]} for name in ("SNOWFLAKE_PASSWORD", "SNOWFLAKE_PAT", "SNOWFLAKE_OAUTH_TOKEN")
] + [
    {"SNOWFLAKE_TOKEN": SECRETS["SNOWFLAKE_TOKEN"], "SNOWFLAKE_AUTHENTICATOR": "OAUTH"},
    {
        "SNOWFLAKE_PRIVATE_KEY": KEY,
        "SNOWFLAKE_PRIVATE_KEY_FILE_PWD": SECRETS["SNOWFLAKE_PRIVATE_KEY_FILE_PWD"],
    },
    {
        "SNOWFLAKE_OAUTH_CLIENT_ID": "i",
        "SNOWFLAKE_OAUTH_CLIENT_SECRET": SECRETS["SNOWFLAKE_OAUTH_CLIENT_SECRET"],
        "SNOWFLAKE_OAUTH_TOKEN_REQUEST_URL": f"http://{NOBODY}/token",
    },
    {"SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER": "OIDC", "SNOWFLAKE_TOKEN": SECRETS["SNOWFLAKE_TOKEN"]},
]
WORKING = (
    ("run", "--debug"), ("check", "--debug"), ("plan", "--debug"), ("verify", "--debug"), ("grants",),
    ("status", "-o", "json"), ("logs", "-o", "json"), ("doctor", "--write", "report.zip", "--debug"),
    ("errors", "list", "-o", "json"), ("cost", "-o", "json"), ("discover", "--debug"), ("dbt", "-"),
    ("alerts", "list"), ("version",), ("alerts", "test", "--debug"), ("log", "status", "--debug"),
)  # fmt: skip
FAILING = (("run", "--debug"), ("check", "--debug"))


def config_of(hook: str) -> dict[str, Any]:
    return {
        "alerts": {
            "to": [
                {
                    "url": f"{hook}/{canary('alerts-url')}",
                    "headers": {"Authorization": canary("alerts-header")},
                },
                {"kind": "slack", "url": f"http://user:{MARK}-basic@{NOBODY}/{canary('alerts-slack')}"},
                {"kind": "pagerduty", "url": f"{hook}/pager", "routing_key": canary("alerts-pagerduty")},
            ],
        },
        "heartbeat_url": f"{hook}/{canary('heartbeat')}",
        "heartbeat_fail_url": f"{hook}/{canary('heartbeat-fail')}",
        "openlineage_url": f"{hook}/{canary('openlineage')}",
        "openlineage_api_key": canary("openlineage-key"),
    }


class Written:
    """Everything that was written, by where."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def add(self, where: str, text: object) -> None:
        self.texts[where] = f"{self.texts.get(where, '')}\n{text}"

    def found(self) -> dict[str, list[str]]:
        return {
            where: [line[:400] for line in text.splitlines() if MARK in line]
            for where, text in self.texts.items()
            if MARK in text
        }


@pytest.fixture
def secretive(user: User, s3_env: dict[str, str], receiver: Inbox, monkeypatch: pytest.MonkeyPatch) -> User:
    """A user whose every secret is a canary, of servers that work. Two tables are loaded through the stage and through
    the bucket; one has deferred loads, so that its files stay."""
    monkeypatch.setattr("tests.acceptance.cli_user.seen", lambda done: done)
    user.dsn = make_conninfo(user.dsn, password=f"{MARK}-postgres")
    keys = {name: SECRETS[name] for name in ("S3_ACCESS_KEY", "S3_SECRET")}
    user.env |= {
        **s3_env,
        **keys,
        "POSTGRES_DSN": user.dsn,
        "CELERY_BROKER_URL": SECRETS["CELERY_BROKER_URL"],
    }
    user.options |= config_of(receiver.url)
    user.options |= {"execution": "distributed"}
    users, checkins = user.tables
    users |= {"transform": {"hash": "name", "salt": canary("salt")}, "deletes": "hard"}
    checkins |= {"load": "s3", "load_every": "1d"}
    user.tables.append(
        {
            **users,
            "name": "late",
            "target": "analytics.late",
            "load_every": "1d",
            "transform": {"mask": "name"},
        }
    )
    user.save()
    return user


def with_secrets(value: Any) -> Iterator[str]:
    """Every secret of a configuration."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from with_secrets(getattr(value, name))
    elif isinstance(value, dict):
        for item in value.values():
            yield from with_secrets(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from with_secrets(item)


def commands(user: User, written: Written, which: tuple[tuple[str, ...], ...], what: str, **env: str) -> None:
    for command in which:
        done = user.here(*command, **env)
        written.add(f"{what}: {' '.join(command)}", done.out + done.err)


def ledger(user: User, written: Written) -> None:
    tables = user.sql(
        "select oid::regclass::text from pg_class where relname like 'sync!_%' escape '!' and relkind = 'r'"
    )
    assert len(tables) > 10
    for (table,) in tables:
        written.add(f"ledger: {table}", user.sql(f"select row_to_json(t)::text from {table} t"))
    written.add("server: activity", user.sql("select application_name, query from pg_stat_activity"))


def files(user: User, written: Written) -> None:
    """Files that are left in the folder, in the bucket and in the stage, with the metadata of Parquet files."""
    with zipfile.ZipFile(user.folder / "report.zip") as report:
        for name in report.namelist():
            written.add(f"doctor: {name}", report.read(name).decode())
    bucket = boto3.resource(
        "s3",
        endpoint_url=user.env["S3_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    ).Bucket(user.env["S3_BUCKET"])
    objects = list(bucket.objects.all())
    assert objects
    for one in objects:
        copy = user.folder / "object.parquet"
        bucket.download_file(one.key, str(copy))
        written.add(f"bucket: {one.key}", (one.key, bucket.Object(one.key).metadata, copy.read_bytes()))
        if one.key.endswith(".parquet"):
            read = pq.ParquetFile(copy)
            written.add("parquet", (read.metadata.to_dict(), read.schema_arrow, read.metadata.metadata))


def pages(user: User, written: Written, config: Path, **env: str) -> None:
    app = FastAPI()
    app.include_router(status_router(str(config), settings=Settings.from_env({**user.env, **env})))
    with TestClient(app, raise_server_exceptions=False) as client:
        for path in (
            "", "runs", "rejected", "setup", "status", "ready", "ready?strict=true", "metrics", "tables/public.users",
            "api/v1/summary", "api/v1/tables", "api/v1/tables/public.users", "api/v1/runs", "api/v1/events",
            "api/v1/errors", "api/v1/requests", "../openapi.json", "nowhere",
        ):  # fmt: skip
            answer = client.get(f"/sync/{path}")
            written.add(f"page: {path}", f"{answer.headers}{answer.text}")


def messages(user: User, written: Written, caplog: pytest.LogCaptureFixture, **env: str) -> None:
    """What a tick sends to the broker, and the result of each task."""
    app = Celery("host", broker="memory://")
    install(app, str(user.config), settings=Settings.from_env({**user.env, **env}))
    app.finalize()
    ended = app.tasks[TASK_NAME].apply()
    written.add("task", f"{ended.result!r} {ended.traceback}")
    for message in taken(app):
        written.add("broker", f"{message.headers} {message.properties} {message.body!r}")
        table = message.payload[1]["table"]
        ended = app.tasks[f"{TASK_NAME}.table"].apply(kwargs={"table": table})
        written.add("task of a table", f"{ended.result!r} {ended.traceback}")
    written.add("log of the process", caplog.text)


def test_every_secret_has_a_canary(secretive: User, tmp_path: Path) -> None:
    """Of the settings by their list, of the configuration by its model: a new one must be added here."""
    assert all(MARK in value for value in SECRETS.values())
    used = {name for login in LOGINS for name in login} | set(secretive.env) | set(ADDRESSES)
    assert set(SECRETS) - used <= {"PG_PASS", "PGPASSWORD", "S3_SESSION_TOKEN"}
    config = load_config(secretive.config, env={})
    found = list(with_secrets(config))
    assert len(found) == 10
    assert [value for value in found if MARK not in value and not value.endswith("/pager")] == []


WRONG_VALUES = (
    MARK,
    f"https://h/{MARK}",
    [MARK],
    {"a": MARK},
    [[MARK]],
    {"url": MARK},
    f" a\n{MARK}",
    f"http://[{MARK}",
)
"""A secret where it does not belong, or in another form."""
SECRET_KEYS: tuple[tuple[str | int, ...], ...] = (
    ("alerts",), ("alerts", "to"), ("alerts", "to", 0), ("alerts", "to", 0, "url"), ("alerts", "to", 0, "headers"),
    ("alerts", "to", 0, "headers", "Authorization"), ("alerts", "to", 0, "routing_key"), ("heartbeat_url",),
    ("heartbeat_fail_url",), ("openlineage_url",), ("openlineage_api_key",), ("tables", 0, "transform", "salt"),
)  # fmt: skip
NO_YAML = (
    "*{}",
    "!{} x",
    "&{} a: b",
    '"{}',
    "[{}",
    "{}: x: y",
    "@{}",
    "%{}",
    '"\\z{}"',
    "!!int {}",
    "|{}",
    "${{{}",
)


def test_a_wrong_configuration_is_refused_without_its_secrets(tmp_path: Path) -> None:
    """A secret in a wrong shape, or one that is no YAML because it begins with a mark or lacks a quote: the message
    names the key, and not the value."""
    for path in SECRET_KEYS:
        for value in WRONG_VALUES:
            document = placed({"tables": [{**USERS_TABLE, "transform": {"hash": "name"}}]}, path, value)
            assert MARK not in refusal(document, tmp_path), (path, value)
    for text in NO_YAML:
        (tmp_path / "c.yaml").write_text(f"openlineage_api_key: {text.format(MARK)}\ntables: [\n")
        with pytest.raises(ConfigError) as caught:
            load_config(tmp_path / "c.yaml", env={})
        assert MARK not in f"{caught.value}{caught.value.advice}", text


def placed(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """The document with this value at the path; what leads there is made."""
    if not path:
        return value
    first, rest = path[0], path[1:]
    if isinstance(first, int):
        items = list(document or [{}])
        items[first] = placed(items[first], rest, value)
        return items
    return {**(document or {}), first: placed((document or {}).get(first), rest, value)}


def refusal(document: Any, folder: Path) -> str:
    """The problems of this configuration; '' if it is accepted."""
    file = folder / "c.yaml"
    file.write_text(json.dumps(document))
    try:
        load_config(file, env={})
    except ConfigError as error:
        return f"{error}{error.advice}{error!r}"
    return ""


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.thorough)])
def test_nothing_that_was_written_has_a_secret(
    secretive: User, receiver: Inbox, caplog: pytest.LogCaptureFixture, every: bool
) -> None:
    """Command lines, logs (the root logger's at debug, too), the ledger, messages and results of tasks, part files, the
    report of a bug, pages and metrics; while all works, and while servers refuse: each server, login and command in
    `make thorough`."""
    caplog.set_level(logging.DEBUG)
    written = Written()
    secretive.sql("update users set name = null where id = 7")
    commands(secretive, written, (("run", "--debug"),), "the first run")
    secretive.sql("insert into checkins (user_id) select n from generate_series(1, 50) n")
    commands(secretive, written, WORKING if every else WORKING[::7], "all works")
    everything(secretive, written, caplog)
    for number, login in enumerate(LOGINS if every else LOGINS[:1]):
        refused = {"SNOWFLAKE_PASSWORD": "", "SNOWFLAKE_HOST": "127.0.0.1", "SNOWFLAKE_PORT": "1", **login}
        commands(secretive, written, FAILING[number % 2 :][:1], f"login {number}", **refused)
    refusing = {
        "the source": {"POSTGRES_DSN": SECRETS["POSTGRES_DSN"], "LEDGER_DSN": secretive.dsn},
        "the ledger": {"LEDGER_DSN": SECRETS["LEDGER_DSN"]},
        "the bucket": {
            "S3_ENDPOINT_URL": f"http://{NOBODY}",
            "S3_SESSION_TOKEN": SECRETS["S3_SESSION_TOKEN"],
        },
        "what is no address": {
            "POSTGRES_DSN": f"{MARK}-postgres",
            "LEDGER_DSN": f"postgresql://{MARK}:x:y@/",
        },
    }
    for what, env in list(refusing.items())[:: 1 if every else 3]:
        commands(secretive, written, FAILING, what, **env)
    pages(secretive, written, secretive.config, LEDGER_DSN=SECRETS["LEDGER_DSN"])
    messages(secretive, written, caplog, SNOWFLAKE_PORT="1")
    ledger(secretive, written)
    assert [where for where, text in written.texts.items() if not text.strip()] == []
    assert any(MARK in str(headers) for headers in receiver.headers), "the secrets were in use"
    assert written.found() == {}


def everything(user: User, written: Written, caplog: pytest.LogCaptureFixture) -> None:
    messages(user, written, caplog)
    pages(user, written, user.config)
    ledger(user, written)
    files(user, written)
    for process in (b"cmdline", b"comm", b"stat"):
        written.add("title of the process", Path(f"/proc/self/{process.decode()}").read_bytes())
