"""Files, processes and the real clients that take what the settings say."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import psycopg.conninfo
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_runs
from hypothesis import strategies as st

from pgsnow.config.load import load_config, load_settings
from pgsnow.model.errors import ConfigError
from pgsnow.model.settings.postgres import PostgresSettings

UNTIMED = settings_of_runs(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""

TABLE = "{source: public.users, target: analytics.users, pk: id, watermark_column: updated_at}"
ENV = {
    "POSTGRES_DSN": "postgresql://u:p@h/d",
    "SNOWFLAKE_ACCOUNT": "acc",
    "SNOWFLAKE_USER": "u",
    "SNOWFLAKE_DATABASE": "d",
    "SNOWFLAKE_WAREHOUSE": "w",
}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for sync_config.yaml; the working directory is elsewhere and the environment empty."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for name in list(os.environ):
        if name.startswith(("PG", "POSTGRES", "SNOWFLAKE", "LEDGER", "NAMED")):
            monkeypatch.delenv(name)
    return tmp_path / "sync_config.yaml"


def problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    return caught.value.problems


def test_a_file_is_read(file: Path) -> None:
    file.write_text(f"tables: [{TABLE}]", "utf-8")
    assert load_config(file).tables[0].name == "public.users"
    assert load_config(str(file)) == load_config(file)


def test_a_byte_order_mark_does_no_harm(file: Path) -> None:
    file.write_text(f"tables: [{TABLE}]", "utf-8-sig")
    assert load_config(file).tables


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, ": the file does not exist — "),
        (b"\xff\xfe\x00", ": is not UTF-8 text"),
        (b"", ": tables: names no table"),
        (b"tables: [", ":1: is not valid YAML: "),
        (b"a: 1\nb: c: d", ":2: is not valid YAML: mapping values are not allowed here"),
        (b"a: &x [*x]", ":1: is not valid YAML: an alias refers to a value that contains it"),
        (b"a: !!python/object:os.system x", ":1: is not valid YAML: could not determine a constructor"),
        (b"a: 2024-13-45", ": is not valid YAML: a value that YAML reads as a date or a number"),
        (b"a: 1\n---\nb: 2", ":2: is not valid YAML: but found another document"),
        (b"a: \x01", ": is not valid YAML: "),
        (b"[" * 5000, ": is not valid YAML: it is nested too deeply"),
        (b"- 1", ": is not a mapping"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_its_line(
    file: Path, content: bytes | None, said: str
) -> None:
    if content is not None:
        file.write_bytes(content)
    (found,) = problems(file)
    assert found.startswith(f"{file}{said}")


def test_a_directory_is_told(tmp_path: Path) -> None:
    (found,) = problems(tmp_path)
    assert "cannot be read: Is a directory" in found


def test_aliases_that_multiply_are_refused(file: Path) -> None:
    """Nine lines that stand for a thousand million values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]" for at in range(1, 9)]
    file.write_text("\n".join(lines))
    (found,) = problems(file)
    assert "aliases expand" in found


def test_anchors_and_merge_keys_work(file: Path) -> None:
    file.write_text(
        "tables:\n"
        "  - &base {source: a, target: a, pk: id, watermark_column: u}\n"
        "  - {<<: *base, source: b, target: b}\n"
    )
    assert [table.pk for table in load_config(file).tables] == [("id",), ("id",)]


def test_keys_for_anchors_are_not_read(file: Path) -> None:
    """At the top of the file only: elsewhere, such a key is a mistake or a column's name."""
    file.write_text(
        "x-shared: &shared {pk: id, watermark_column: u, where: '${NAMED_NOWHERE:-true}', nonsense: 1}\n"
        "x-unused: ${NAMED_NOWHERE}\n"
        "x-users: &users {pk: id, watermark_column: u}\n"
        "tables:\n"
        "  - {<<: *users, source: a, target: a, columns: {rename: {x-y: z}}}\n"
    )
    [table] = load_config(file).tables
    assert (table.pk, table.columns.rename) == (("id",), {"x-y": "z"})
    file.write_text("tables:\n  - {source: a, target: a, x-note: 1}\n")
    assert "x-note" in problems(file)[0]


def test_every_problem_comes_with_its_line_in_the_file_s_order(file: Path) -> None:
    file.write_text(
        "parallel_tables: -1\n"
        "tables:\n"
        "  - source: public.users\n"
        "    target: analytics.users\n"
        "    pk: id\n"
        "    pk: [id]\n"
        "    watermrk: x\n"
        "  - source: public.users\n"
        "    target: ${NAMED_NOWHERE}\n"
        "    pk: id\n"
        "    watermark_column: u\n"
        "    transform:\n"
        "      mask:\n"
        "        phone: {keep: 4}\n"
    )
    found = [problem.removeprefix(str(file)).split(": ")[:2] for problem in problems(file)]
    assert found == [
        [":1", "parallel_tables"],
        [":3", "tables[0].watermark_column"],
        [":6", "tables[0].pk"],
        [":7", "tables[0].watermrk"],
        [":8", "tables[1].source"],
        [":9", "tables[1].target"],
        [":14", "tables[1].transform.mask.phone.keep"],
    ]


def test_variables_come_from_the_environment_and_below_it_from_dotenv(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(f"ledger_schema: ${{NAMED_SCHEMA}}\nparallel_tables: ${{NAMED_COUNT}}\ntables: [{TABLE}]")
    (file.parent / ".env").write_text("NAMED_SCHEMA=beside\nNAMED_COUNT=3\n")
    Path(".env").write_text("NAMED_SCHEMA=here\nNAMED_COUNT=9\n")
    monkeypatch.setenv("NAMED_SCHEMA", "real")
    config = load_config(file)
    assert (config.ledger_schema, config.parallel_tables) == ("real", 3)


def test_settings_come_from_the_environment_and_below_it_from_dotenv(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = {**ENV, "SNOWFLAKE_PASSWORD": "'from file'", "SNOWFLAKE_ROLE": "FILE"}
    Path(".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    monkeypatch.setenv("SNOWFLAKE_ROLE", "REAL")
    found = load_settings().snowflake
    assert (found.role, found.connect_kwargs()["password"]) == ("REAL", "from file")
    assert "SNOWFLAKE_PASSWORD" not in os.environ


def test_another_env_file_may_be_named_and_must_be_there(file: Path) -> None:
    other = file.parent / "other.env"
    with pytest.raises(ConfigError, match=r"other\.env: the file does not exist"):
        load_settings(env_file=other)
    other.write_text("".join(f"{name}={value}\n" for name, value in {**ENV, "SNOWFLAKE_PAT": "t"}.items()))
    assert load_settings(env_file=other).snowflake.auth == "programmatic access token"


def test_a_given_environment_is_all_there_is(file: Path) -> None:
    Path(".env").write_text("SNOWFLAKE_PASSWORD=p\n")
    with pytest.raises(ConfigError, match="there are no other credentials"):
        load_settings(ENV)


@pytest.mark.parametrize("name", ["SNOWFLAKE_PRIVATE_KEY_FILE", "SNOWFLAKE_TOKEN_FILE_PATH"])
def test_a_credential_s_file_must_be_there(file: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({**ENV, name: "~/no/such/file", "SNOWFLAKE_PORT": "x"})
    assert [problem.split(": ")[1] for problem in caught.value.problems] == ["SNOWFLAKE_PORT", name]


def test_a_home_directory_in_a_path_is_found(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(file.parent))
    (file.parent / "token").write_text("t")
    found = load_settings({**ENV, "SNOWFLAKE_TOKEN_FILE_PATH": "~/token"}).snowflake.connect_kwargs()
    assert found["token_file_path"] == str(file.parent / "token")


def test_reading_files_imports_nothing_that_must_wait_for_the_fork(file: Path) -> None:
    """A Celery parent does this before it forks its children."""
    file.write_text(f"tables: [{TABLE}]")
    code = (
        "import sys; from pgsnow.config.load import load_config, load_settings; "
        "load_config(sys.argv[1]); load_settings(); "
        "print(*{'pyarrow', 'snowflake', 'psycopg', 'numpy'} & set(sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(file)],
        env={"PATH": os.environ["PATH"], **ENV, "SNOWFLAKE_PASSWORD": "p"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "\n"


VALUE = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@UNTIMED
@given(
    st.dictionaries(
        st.sampled_from(["host", "dbname", "user", "password", "options", "passfile"]), VALUE, min_size=1
    )
)
def test_libpq_reads_what_we_write(parameters: dict[str, str]) -> None:
    assert psycopg.conninfo.conninfo_to_dict(PostgresSettings.of(parameters).conninfo()) == parameters


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:p%40ss@h:5433/d?sslmode=require&application_name=a%20b",
        "postgres://h",
        "postgresql:///d",
        "postgresql://u@/d?host=/run/pg",
        "postgresql://u:p@[::1]:5433/d",
        "postgresql://u@h1:1,h2:2/d?target_session_attrs=primary",
        "postgresql://h/d?ssl=true",
        "host=h dbname = d password='it\\'s \\\\ a' user=u",
        "host='' dbname=d",
        "service=shop",
    ],
)
def test_we_read_what_libpq_reads(dsn: str) -> None:
    ours = psycopg.conninfo.conninfo_to_dict(PostgresSettings.from_dsn(dsn).conninfo())
    theirs = psycopg.conninfo.conninfo_to_dict(dsn)
    assert {k: v for k, v in ours.items() if v} == {k: v for k, v in theirs.items() if v}


def test_the_connector_knows_every_argument_we_give_it(file: Path) -> None:
    """By its own table of parameters and their types; it only warns of others."""
    from snowflake.connector.connection import DEFAULT_CONFIGURATION

    from tests.unit.model.test_settings import CREDENTIALS, pem, snowflake

    known: dict[str, tuple[Any, Any]] = DEFAULT_CONFIGURATION
    extra = {
        "SNOWFLAKE_ROLE": "r",
        "SNOWFLAKE_HOST": "h",
        "SNOWFLAKE_PORT": "1",
        "SNOWFLAKE_PROTOCOL": "http",
    }
    for env in [*(env for env, _, _ in CREDENTIALS), {"SNOWFLAKE_PRIVATE_KEY": pem()}]:
        for name, value in snowflake(**env, **extra).snowflake.connect_kwargs().items():
            if name in ("connection_name", "workload_identity_provider"):
                continue  # connect() itself takes the first, and turns the text of the second into its enum
            assert name in known
            assert isinstance(value, known[name][1]), name


def test_a_private_key_from_the_environment_signs_the_connector_s_token() -> None:
    from snowflake.connector.auth.keypair import AuthByKeyPair

    from tests.unit.model.test_settings import pem, snowflake

    found = snowflake(SNOWFLAKE_PRIVATE_KEY=pem(b"secret"), SNOWFLAKE_PRIVATE_KEY_FILE_PWD="secret").snowflake
    arguments = found.connect_kwargs()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        token = AuthByKeyPair(private_key=arguments["private_key"]).prepare(account="acc", user="u")
    assert token.count(".") == 2
