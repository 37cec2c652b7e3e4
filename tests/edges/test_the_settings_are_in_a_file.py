"""The settings stand in `.env` beside sync_config.yaml.

Group: process
Danger: `pgsnow run` works, because it reads that file, and the Celery worker and the API say that POSTGRES_DSN is not
set. A password between single quotes that contains `${HOME}` is changed.
Answer: the task and the status router read the same file by the same rules: a variable of the environment wins over
the file, and the file beside the configuration over one in the working directory. Between single quotes nothing is
replaced.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pgsnow.cli.invocation import Invocation
from pgsnow.config.load import read_dotenv
from pgsnow.integrations.config_source import ConfigSource
from pgsnow.model.errors import ConfigError
from pgsnow.model.settings.settings import Settings
from tests.world import NO_SNOWFLAKE

CONFIG = (
    "tables: [{source: public.users, target: users, watermark_column: u, where: 'tenant = ${TENANT:-0}'}]\n"
)
ENV = "".join(f"{name}={value}\n" for name, value in NO_SNOWFLAKE.items())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory is another one, with a `.env` of its own."""
    for name in (*NO_SNOWFLAKE, "POSTGRES_DSN", "TENANT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / ".env").write_text(f"{ENV}POSTGRES_DSN=postgresql://u@elsewhere/d\n")
    (tmp_path / "sync_config.yaml").write_text(CONFIG)
    (tmp_path / ".env").write_text(f"{ENV}POSTGRES_DSN=postgresql://u@beside/d\nTENANT=7\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def host(settings: Settings) -> str:
    return settings.source.display


def test_all_hosts_read_the_same_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Command line, task and router; what the environment says wins in all of them."""
    source = ConfigSource(str(folder / "sync_config.yaml"))
    config, of_command = Invocation(folder / "sync_config.yaml").load()
    assert "beside" in host(source.settings())
    assert host(source.settings()) == host(of_command)
    assert source.config().tables[0].where == config.tables[0].where == "tenant = 7"
    monkeypatch.setenv("POSTGRES_DSN", "postgresql://u@environment/d")
    assert "environment" in host(source.settings())
    assert "environment" in host(Invocation(folder / "sync_config.yaml").load()[1])


def test_without_a_file_beside_it_the_working_directory_is_read(folder: Path) -> None:
    """So is it for a configuration that is no file."""
    (folder / ".env").unlink()
    source = ConfigSource(folder / "sync_config.yaml")
    assert "elsewhere" in host(source.settings())
    assert "elsewhere" in host(ConfigSource(source.config()).settings())


def test_its_secrets_are_masked_in_logs(folder: Path) -> None:
    """Also those that no environment variable has."""
    with (folder / ".env").open("a") as file:
        file.write("PG_PASS=hunter2-in-file\n")
    secrets = ConfigSource(folder / "sync_config.yaml").secrets()
    assert "hunter2-in-file" in {secret.reveal() for secret in secrets}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("'${HOME}'", "${HOME}"),
        ("'pa${x}ss$word'", "pa${x}ss$word"),
        ('"${BASE}/x"', "/base/x"),
        ("${BASE}/x", "/base/x"),
        ("${NOWHERE:-default}", "default"),
        ("pa$word # comment", "pa$word"),
        ("' a # b '", " a # b "),
        (" '${BASE}'", "${BASE}"),
        ("", ""),
    ],
)
def test_values_are_read_as_a_shell_reads_them(tmp_path: Path, line: str, value: str) -> None:
    """Nothing is replaced between single quotes."""
    (tmp_path / ".env").write_text(f"\ufeffBASE=/base\nexport X={line}\nNO_VALUE\n")
    assert read_dotenv(tmp_path / ".env") == {"BASE": "/base", "X": value}


@pytest.mark.parametrize(
    ("written", "account"),
    [
        ("MYORG.ACCOUNT1", "MYORG-ACCOUNT1"),
        ("myorg.my_account", "myorg-my_account"),
        ("MYORG/ACCOUNT1", "MYORG-ACCOUNT1"),
        ("myorg-account1", "myorg-account1"),
        ("https://app.snowflake.com/myorg/account1/#/home", "myorg-account1"),
        ("https://MYORG-ACCOUNT1.snowflakecomputing.com/", "MYORG-ACCOUNT1"),
        ("myorg-account1.snowflakecomputing.com", "myorg-account1"),
        ("myorg-account1.privatelink.snowflakecomputing.com", "myorg-account1.privatelink"),
        ("xy12345.eu-central-1", "xy12345.eu-central-1"),
        ("xy12345.us-east-2.aws", "xy12345.us-east-2.aws"),
        ("https://xy12345.west-europe.azure.snowflakecomputing.com", "xy12345.west-europe.azure"),
        ("myorg-account1.privatelink", "myorg-account1.privatelink"),
        ("xy12345", "xy12345"),
    ],
)
def test_an_account_is_understood_in_the_forms_in_which_snowflake_shows_it(
    written: str, account: str
) -> None:
    """The web interface shows ORG.ACCOUNT and an address; older accounts have a locator with a region."""
    env = {**NO_SNOWFLAKE, "POSTGRES_DSN": "postgresql://h/d", "SNOWFLAKE_ACCOUNT": f" {written} "}
    assert Settings.from_env(env).snowflake.account == account


@pytest.mark.parametrize(
    "written", ["my org", "https://example.org/a", "https://app.snowflake.com/", "a..b", "-"]
)
def test_what_is_no_account_is_refused_with_the_right_form(written: str) -> None:
    """Before anything is sent to an address that does not exist."""
    env = {**NO_SNOWFLAKE, "POSTGRES_DSN": "postgresql://h/d", "SNOWFLAKE_ACCOUNT": written}
    with pytest.raises(ConfigError, match=r"SNOWFLAKE_ACCOUNT.*ORG-ACCOUNT"):
        Settings.from_env(env)
