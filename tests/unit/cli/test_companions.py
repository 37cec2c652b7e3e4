"""The connector's companions are left out where a command is sure to do without them, and nowhere else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pgsnow.cli.companions import without_companions
from pgsnow.model.settings.settings import Settings

IMPORT = """
import sys
from pgsnow.cli.companions import without_companions
from pgsnow.model.settings.settings import Settings

with without_companions(Settings.from_env({env!r})):
    if {early}:
        import boto3
    from snowflake.connector import options
    import snowflake.connector.wif_util
    if not {early}:
        print(*sorted({{"boto3", "botocore"}} & set(sys.modules)), options.installed_boto)
        import boto3
assert not [finder for finder in sys.meta_path if type(finder).__module__.startswith("pgsnow")]
print(boto3.__name__, options.installed_boto)
"""
SNOWFLAKE = {
    "POSTGRES_DSN": "postgresql://u@127.0.0.1/app",
    "SNOWFLAKE_ACCOUNT": "org-a",
    "SNOWFLAKE_DATABASE": "D",
    "SNOWFLAKE_WAREHOUSE": "W",
}
PAT = {"SNOWFLAKE_PAT": "t0ken", "SNOWFLAKE_USER": "U"}
IDENTITY = {"SNOWFLAKE_AUTHENTICATOR": "WORKLOAD_IDENTITY", "SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER": "AWS"}
NAMED = {"SNOWFLAKE_CONNECTION_NAME": "of-the-file"}
BUCKET = {"S3_BUCKET": "parts", "S3_ACCESS_KEY": "k", "S3_SECRET": "s"}


def told(env: dict[str, str], *, early: bool = False) -> list[str]:
    """The output of the import in a fresh interpreter."""
    code = IMPORT.format(env={**SNOWFLAKE, **env}, early=early)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_without_aws_the_connector_is_imported_without_boto_and_others_may_import_it_still() -> None:
    assert told(PAT) == ["False", "boto3 False"]


def test_a_connector_that_may_need_boto_has_it() -> None:
    assert told(PAT | BUCKET) == ["boto3 botocore True", "boto3 True"]


@pytest.mark.parametrize("env", [IDENTITY, NAMED, PAT | BUCKET], ids=["identity", "named", "bucket"])
def test_nothing_is_left_out_where_the_connector_may_need_it(env: dict[str, str]) -> None:
    before = list(sys.meta_path)
    with without_companions(Settings.from_env({**SNOWFLAKE, **env})):
        assert sys.meta_path == before


def test_a_boto_that_is_there_already_stays_whole() -> None:
    assert told(PAT, early=True) == ["boto3 True"]
